package ingest

import (
	"context"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// Appender puts events into the log.
type Appender interface {
	// AppendEvents returns nil once the log has all the events durably, and
	// only then. On an error some of them may be, or may still come to be, in
	// the log: the sender's retry is caught by deduplication. The events are
	// shared from the call on and may be kept. traceparent and tracestate are
	// the hop's, "" when there are none.
	//
	// It returns at the latest when ctx ends, whatever the broker does. Errors
	// that wrap problem.ErrBacklog are answered 429, problem.ErrTooLarge 413,
	// everything else 503.
	AppendEvents(ctx context.Context, events []*event.Event, traceparent, tracestate string) error
}

// Admission is what the admission policy is asked about.
type Admission struct {
	Event *event.Event
	// Route is the route the event came in by.
	Route string
	// Identity is who sent it; "" is anonymous.
	Identity string
}

// Verdict is the admission policy's answer.
type Verdict struct {
	Denied bool
	// Reason is told to the sender when Denied.
	Reason string
}

// Admitter decides who may emit what.
type Admitter interface {
	// Admit answers for one event. An error refuses the event too (403): a
	// policy that cannot be computed admits nobody. Safe for concurrent use.
	Admit(ctx context.Context, a Admission) (Verdict, error)
}

// Trace is the context a request's spans belong to.
type Trace struct {
	// Parent and State (W3C traceparent and tracestate) go into the log with
	// the events; "" when there are none.
	Parent, State string
	// Span is the SERVER span; nil when the trace is not sampled.
	Span Span
}

// Span is an open SERVER span.
type Span interface {
	// End closes the span with http.response.status_code; err is nil below 400.
	End(status int, err error)
}

// Tracer opens the SERVER span of a request.
type Tracer interface {
	// StartServer gets the request's own traceparent and tracestate: checked,
	// several lines joined, "" when absent or wrong. route is http.route. It
	// must not keep allocating for traces that are not sampled.
	StartServer(method, route, traceparent, tracestate string) Trace
}

// Metrics counts. Calls come from every request: they must not block.
type Metrics interface {
	// Accepted is called once a request's events are durable.
	Accepted(events int, took time.Duration)
	// Refused gets the slug of the problem, such as invalid-event.
	Refused(reason string, took time.Duration)
}
