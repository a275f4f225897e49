package dispatcher

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// Deduper claims events by source and id.
type Deduper interface {
	// Claim claims every record and writes what it found to the verdict of the
	// same index. Both slices have one length and every record holds an event.
	// Two records of one call may be the same event. An error means that no
	// verdict is valid. Claim may block; it is called concurrently.
	Claim(ctx context.Context, recs []event.Record, verdicts []event.Verdict) error
}

// Denial is a link that matched and that a policy denied.
type Denial struct {
	Link     string
	Function string
	Reason   string
}

// Choice is what was chosen for one event.
type Choice struct {
	// Targets get one delivery each. A link and a function stand in it at most once together.
	Targets []resource.Target
	// Denied get a run record that says why.
	Denied []Denial
	// Revision is that of the resources by which was chosen.
	Revision uint64
}

// Chooser finds the functions for an event.
type Chooser interface {
	// Choose may append the targets to buf and return that, or return a slice of
	// its own, which is only read. Links and functions never change once they
	// were returned: a new version is a new one. An error is tried again a few
	// times and then makes the event a dead letter. It is called concurrently.
	Choose(ctx context.Context, ev *event.Event, buf []resource.Target) (Choice, error)
}

// Endpoints says where a function answers.
type Endpoints interface {
	// URL is the absolute http or https URL of fn at this moment. It is asked
	// before every call and must not block. An error means "not ready yet".
	URL(fn *resource.Function) (string, error)
}

// Outgoing is an event to append, with the trace context of its hop.
type Outgoing struct {
	Event       *event.Event
	TraceParent string
	TraceState  string
}

// Log keeps what the dispatcher produces. It is called concurrently.
type Log interface {
	// AppendEvents returns nil once every event is durable. After an error some may be.
	AppendEvents(ctx context.Context, events []Outgoing) error
	// DeadLetter returns nil once the dead letter is durable. Writing one twice
	// is harmless: its ID stays the same.
	DeadLetter(ctx context.Context, dl *event.DeadLetter) error
	// Run takes a run record without blocking and drops it when there is no
	// room. It must not keep run or its slices after it returned.
	Run(run *event.Run)
}

// Tracer makes spans. A nil Tracer, and a nil Span, cost nothing: functions
// then get the trace context of the record as it stands in the log.
type Tracer interface {
	// Delivery starts the span of one delivery below the record's trace
	// context, nil when the record is not sampled. revision is that of the
	// resources by which was chosen.
	Delivery(rec *event.Record, target resource.Target, revision uint64) Span
}

// Span is a delivery's span. It is used by one goroutine at a time.
type Span interface {
	// Attempt starts the CLIENT span of call number n to url.
	Attempt(n int, url string) AttemptSpan
	// End ends the delivery's span after so many attempts.
	End(outcome event.Outcome, reason string, attempts int)
}

// AttemptSpan is the span of one call.
type AttemptSpan interface {
	// Context is what the function gets as traceparent and tracestate.
	Context() (traceparent, tracestate string)
	// End ends the span; status is 0 when there was no answer and err nil on success.
	End(status int, err *DeliveryError)
}

// Observer is told what happens; every hook may be nil, is called
// concurrently and must neither block nor keep its arguments.
type Observer struct {
	// Delivered is called with every run record. class is that of the error, ""
	// without one; of a dropped delivery it is ClassPolicy or ClassPaused.
	Delivered func(rec *event.Record, run *event.Run, class string)
	// Chosen is called for each event that was chosen for.
	Chosen func(rec *event.Record, targets, denied int, took time.Duration)
	// Duplicate is called for each event that was dropped as a duplicate.
	Duplicate func(rec *event.Record)
	// Claimed is called after each claim; with an error the records went on
	// unclaimed (mode deliver) or are tried again (mode hold).
	Claimed func(records int, took time.Duration, err error)
	// DeadLettered is called for each dead letter that was written. One without
	// a link is a record that was refused as a whole, for which there is no run.
	DeadLettered func(dl *event.DeadLetter)
	// WriteFailed is called for each dead letter or reply that could not be appended.
	WriteFailed func(what string, err error)
}

// Parts are what a Dispatcher works with. Deduper, Chooser, Endpoints and Log
// are required.
type Parts struct {
	Deduper   Deduper
	Chooser   Chooser
	Endpoints Endpoints
	Log       Log
	Tracer    Tracer
	Observer  Observer
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Now defaults to time.Now.
	Now func() time.Time
	// Rand gives numbers in [0,1) for the jitter; it defaults to math/rand/v2.
	// It is called concurrently.
	Rand func() float64
	// RootCAs are who may sign the certificates of functions by https; nil are the system's.
	RootCAs *x509.CertPool
	// Dial opens a TCP connection; it defaults to a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}
