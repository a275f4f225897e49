package app

import (
	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/otel/tracing"
	"github.com/signalbox-dev/signalbox/resource"
)

// serverTracer makes the spans of requests.
type serverTracer struct{ traces *tracing.Provider }

// StartServer implements gateway.Tracer.
func (t *serverTracer) StartServer(method, route, traceparent, tracestate string) gateway.Trace {
	span := t.traces.Server(tracing.FromHeaders(traceparent, tracestate), method, route)
	c := span.Context()
	out := gateway.Trace{Parent: c.TraceParent(), State: c.State}
	if span.Recording() {
		out.Span = serverSpan{span}
	}
	return out
}

type serverSpan struct{ span tracing.Span }

// End implements gateway.Span.
func (s serverSpan) End(status int, err error) {
	s.span.SetStatus(status)
	if err != nil && status >= 500 {
		s.span.Fail("refused", err.Error())
	}
	s.span.End()
}

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
		s.span.Fail(string(err.Class), err.Error())
	}
	s.span.End()
}
