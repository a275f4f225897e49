package hooks

import (
	"log/slog"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/gateway/ingest"
	"github.com/signalbox-dev/signalbox/otel/tracing"
)

// Delivery is one request of a third party. Nothing in it is kept but Body.
type Delivery struct {
	Method string
	// Values returns every value of a header, in order, by its name in any case.
	Values func(name string) []string
	// Query is raw.
	Query string
	// Body is raw: before any decoding.
	Body []byte
	// Loopback: it was sent on this machine, through no proxy.
	Loopback bool
	Now      time.Time
}

// Taken is what became of a delivery.
type Taken struct {
	// Provider is the webhook's, for policies.
	Provider string
	// Event is nil when the delivery is only to be answered, with Answer.
	Event       *event.Event
	Answer      []byte
	ContentType string
	// Quiet: the answer to the event must have no body.
	Quiet bool
}

// Webhooks knows the webhooks in force. Its errors are *Refusal, or
// problem.ErrNotFound where there is no such webhook, or it takes no such
// request. Safe for concurrent use; it must not block.
type Webhooks interface {
	// Take verifies a delivery and makes its event.
	Take(name string, d *Delivery) (Taken, error)
	// Challenge answers a GET that asks whether the webhook wants deliveries.
	Challenge(name string, d *Delivery) ([]byte, error)
	// Preview makes the event without verifying. refusal says why the delivery
	// would be refused, nil that it would be taken.
	Preview(name string, d *Delivery) (t Taken, refusal, err error)
}

// Cause is a class of refusals.
type Cause uint8

// The causes.
const (
	Unverified Cause = iota
	Malformed
	NoSecret
	Forbidden
)

// Refusal is why a delivery is not taken; Detail may be told to the sender.
type Refusal struct {
	Cause  Cause
	Detail string
	// Err is for the log only.
	Err error
}

// Error implements error.
func (r *Refusal) Error() string { return r.Detail }

// Unwrap gives what is for the log.
func (r *Refusal) Unwrap() error { return r.Err }

// Acceptor is where the events of every route end.
type Acceptor interface {
	// Accept admits and appends; nil means that all events are durable.
	Accept(a ingest.Arrival, events []*event.Event) error
}

// Deps are what the handler calls; Webhooks, Acceptor and Logger are required.
type Deps struct {
	Webhooks Webhooks
	Acceptor Acceptor
	// Guard bounds what deliveries cost that are not signed rightly; nil is without bound.
	Guard *access.Guard
	// Traces and Metrics nil are none.
	Traces  *tracing.Provider
	Metrics ingest.Metrics
	Logger  *slog.Logger
	Now     func() time.Time
}
