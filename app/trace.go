package app

import (
	"strconv"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/otel/tracing"
	"github.com/signalbox-dev/signalbox/resource"
)

// deliveryTracer makes the spans of deliveries.
type deliveryTracer struct {
	traces *tracing.Provider
	group  string
}

// Delivery implements dispatcher.Tracer. A record that brings a context which
// is not sampled needs no span: the function gets that context.
func (t *deliveryTracer) Delivery(rec *event.Record, target resource.Target, revision uint64) dispatcher.Span {
	if in := tracing.Incoming(rec); in.IsValid() && !in.Sampled() {
		return nil
	}
	return deliverySpan{traces: t.traces, span: t.traces.Process(rec, target.Link.Metadata.Name, target.Function.Metadata.Name, revision, t.group)}
}

type deliverySpan struct {
	traces *tracing.Provider
	span   tracing.Span
}

// Attempt implements dispatcher.Span.
func (s deliverySpan) Attempt(n int, url string) dispatcher.AttemptSpan {
	return attemptSpan{s.traces.Attempt(s.span, n, url)}
}

// End implements dispatcher.Span.
func (s deliverySpan) End(outcome event.Outcome, reason string, attempts int) {
	s.span.Outcome(outcome, reason, attempts)
	s.span.End()
}

type attemptSpan struct{ span tracing.Span }

// Context implements dispatcher.AttemptSpan.
func (s attemptSpan) Context() (traceparent, tracestate string) {
	c := s.span.Context()
	return c.TraceParent(), c.State
}

// End implements dispatcher.AttemptSpan.
func (s attemptSpan) End(status int, err *dispatcher.DeliveryError) {
	if status > 0 {
		s.span.SetStatus(status)
	}
	if err != nil {
		class := string(err.Class)
		if status >= 400 { // then it is the status, by the HTTP conventions
			class = strconv.Itoa(status)
		}
		s.span.Fail(class, err.Error())
	}
	s.span.End()
}
