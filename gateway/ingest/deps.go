package ingest

import (
	"context"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/otel/tracing"
)

// Appender puts events into the log.
type Appender interface {
	// AppendEvents returns nil once the log has all the events durably, and
	// only then. On an error some of them may be, or may still come to be, in
	// the log: the sender's retry is caught by deduplication. The events are
	// the appender's from the call on: it may complete and keep them. hop is
	// the context of the request's span; it need not be valid.
	//
	// It returns at the latest when ctx ends, whatever the broker does. Errors
	// that wrap problem.ErrBacklog are answered 429, problem.ErrTooLarge 413,
	// everything else 503. The Retry-After is that of a problem.RetryError
	// among the causes, else one second.
	AppendEvents(ctx context.Context, events []*event.Event, hop tracing.Context) error
}

// Admission is what the admission policy is asked about.
type Admission struct {
	Event *event.Event
	// Route is the route the event came in by.
	Route string
	// Identity is who sent it.
	Identity *access.Identity
}

// Verdict is the admission policy's answer.
type Verdict struct {
	Denied bool
	// Reason is told to the sender when Denied; Policy is the one that denied, ""
	// when none said so by name.
	Reason, Policy string
	// Ruled: a policy says who is allowed (a rule named allow), so that roles do not.
	Ruled bool
}

// Admitter decides who may emit what.
type Admitter interface {
	// Admit answers for one event. An error refuses the event too (403): a
	// policy that cannot be computed admits nobody. Safe for concurrent use.
	Admit(ctx context.Context, a Admission) (Verdict, error)
}

// Metrics counts. Calls come from every request: they must not block.
type Metrics interface {
	// Accepted is called once a request's events are durable.
	Accepted(events int, took time.Duration)
	// Refused gets the slug of the problem, such as invalid-event.
	Refused(reason string, took time.Duration)
}
