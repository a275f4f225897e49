package tracing

import (
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-dev/signalbox/event"
)

// Span is one span, recorded or not. It is a small value: copies are the same
// span. The zero Span does nothing. End is called exactly once; the other
// methods are safe for concurrent use, and do nothing once it has ended.
type Span struct {
	ctx Context
	// sdk is nil when the span is not recorded.
	sdk  trace.Span
	kind trace.SpanKind
}

// Context names the span; it is what goes on to the next hop.
func (s Span) Context() Context { return s.ctx }

// TraceParent is the span as a traceparent header; "" when there is no context.
func (s Span) TraceParent() string { return s.ctx.TraceParent() }

// Recording tells whether what is said about the span is kept. Callers ask
// before they prepare something costly.
func (s Span) Recording() bool { return s.sdk != nil }

// Set adds an attribute, for what the constructors cannot know.
func (s Span) Set(key, value string) {
	if s.sdk != nil {
		s.sdk.SetAttributes(attribute.String(key, value))
	}
}

// Event notes something that happened within the span, with attributes as
// pairs of key and value.
func (s Span) Event(name string, pairs ...string) {
	if s.sdk == nil {
		return
	}
	attrs := make([]attribute.KeyValue, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		attrs = append(attrs, attribute.String(pairs[i], pairs[i+1]))
	}
	s.sdk.AddEvent(name, trace.WithAttributes(attrs...))
}

// Fail says that what the span stands for went wrong. errType is a class of
// failure, of which there are few; msg says what happened, redacted.
func (s Span) Fail(errType, msg string) {
	if s.sdk == nil {
		return
	}
	s.sdk.SetAttributes(semconv.ErrorTypeKey.String(errType))
	s.sdk.SetStatus(codes.Error, msg)
}

// SetStatus records the HTTP status of the answer. It fails a client's span
// from 400 on and a server's from 500 on (semantic conventions for HTTP spans).
func (s Span) SetStatus(code int) {
	if s.sdk == nil {
		return
	}
	s.sdk.SetAttributes(semconv.HTTPResponseStatusCode(code))
	if code >= 500 || (code >= 400 && s.kind == trace.SpanKindClient) {
		s.Fail(strconv.Itoa(code), "")
	}
}

// Outcome records how a delivery ended after so many attempts (0: not known, or
// none). A dead or dropped one is a span event too, and a dead one fails the span; reason is
// then a class, of which there are few.
func (s Span) Outcome(o event.Outcome, reason string, attempts int) {
	if s.sdk == nil {
		return
	}
	s.sdk.SetAttributes(keyOutcome.String(string(o)))
	if attempts > 0 {
		s.sdk.SetAttributes(keyAttempts.Int(attempts))
	}
	switch o {
	case event.Dead:
		s.Event("dead letter", string(keyReason), reason)
		s.Fail(reason, "dead letter")
	case event.Dropped:
		s.Event("dropped", string(keyReason), reason)
	}
}

// Link links the span to the creation context of ev, when the event brought
// one that is not the span itself: for each event of a batch.
func (s Span) Link(ev *event.Event) {
	if s.sdk == nil {
		return
	}
	if c := Creation(ev); c.IsValid() && !c.sameSpan(s.ctx) {
		s.sdk.AddLink(trace.Link{SpanContext: c.spanContext(true), Attributes: cloudEvent(nil, ev)})
	}
}

// Stamp writes the span into the distributed tracing extension of an event
// that has none and is not shared yet. What a source sent stays as it is, even
// when it is invalid: an intermediary does not change it.
func (s Span) Stamp(ev *event.Event) {
	if _, ok := ev.Extension(extTraceParent); ok || !s.ctx.IsValid() {
		return
	}
	ev.SetExtension(extTraceParent, s.TraceParent())
	ev.SetExtension(extTraceState, s.ctx.State)
}

// End ends the span.
func (s Span) End() {
	if s.sdk != nil {
		s.sdk.End()
	}
}
