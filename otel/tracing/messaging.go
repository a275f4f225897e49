package tracing

import (
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-dev/signalbox/event"
)

// The extensions of CloudEvents that carry the trace which started an event
// (CloudEvents distributed tracing extension).
const (
	extTraceParent = "traceparent"
	extTraceState  = "tracestate"
)

// Attributes of our own.
const (
	keyLink     = attribute.Key("signalbox.link")
	keyFunction = attribute.Key("signalbox.function")
	keyRevision = attribute.Key("signalbox.revision")
	keyOutcome  = attribute.Key("signalbox.outcome")
	keyReason   = attribute.Key("signalbox.reason")
	keyAttempts = attribute.Key("signalbox.attempts")
)

// provider is the value of faas.invoked_provider.
const provider = "signalbox"

// Creation is the context in which ev was made, by its distributed tracing
// extension; zero when there is none that is valid.
func Creation(ev *event.Event) Context {
	if ev == nil {
		return Context{}
	}
	parent, ok := ev.Extension(extTraceParent)
	if !ok {
		return Context{}
	}
	state, _ := ev.Extension(extTraceState)
	return FromHeaders(parent, state)
}

// Incoming is the context of the hop that wrote rec: its traceparent header,
// else the event's creation context, so that events produced straight to the
// topic stay in their trace.
func Incoming(rec *event.Record) Context {
	if c := FromHeaders(rec.TraceParent, rec.TraceState); c.IsValid() {
		return c
	}
	return Creation(rec.Event)
}

// Send is the PRODUCER span "send <topic>" of appending one event, or a batch
// of several, below a span of this process. Its context goes into the record's
// traceparent header, and by Stamp into the event. For a batch ev is nil and
// batch the number of events, each of which is then given to Link; for one
// event batch is at most 1.
func (p *Provider) Send(parent Context, topic string, ev *event.Event, batch int) Span {
	s, sampled := p.begin(parent)
	if !sampled {
		return s
	}
	attrs := messaging(make([]attribute.KeyValue, 0, 12), "send", topic)
	if batch > 1 {
		attrs = append(attrs, semconv.MessagingBatchMessageCount(batch))
	}
	return p.record(s, start{
		parent: parent, kind: trace.SpanKindProducer, name: "send " + topic,
		creation: Creation(ev), attrs: message(attrs, ev),
	})
}

// Process is the CONSUMER span "process <link>" of one delivery: its attempts
// are below it, and so are the replies it led to.
func (p *Provider) Process(rec *event.Record, link, function string, revision uint64, group string) Span {
	return p.consume(rec, link, group, func(attrs []attribute.KeyValue) []attribute.KeyValue {
		return append(attrs,
			semconv.FaaSInvokedName(function),
			semconv.FaaSInvokedProviderKey.String(provider),
			keyLink.String(link),
			keyFunction.String(function),
			keyRevision.Int64(int64(revision)),
		)
	})
}

// Drop is the CONSUMER span "process <topic>" of a record that led to no
// delivery, begun and ended at once, such as a duplicate. reason is a class.
func (p *Provider) Drop(rec *event.Record, group, reason string) {
	if p == nil {
		return
	}
	s := p.consume(rec, p.c.Topic, group, func(attrs []attribute.KeyValue) []attribute.KeyValue { return attrs })
	s.Outcome(event.Dropped, reason, 0)
	s.End()
}

func (p *Provider) consume(rec *event.Record, name, group string, add func([]attribute.KeyValue) []attribute.KeyValue) Span {
	parent := Incoming(rec)
	s, sampled := p.begin(parent)
	if !sampled {
		return s
	}
	attrs := messaging(make([]attribute.KeyValue, 0, 20), "process", p.c.Topic)
	attrs = append(attrs,
		semconv.MessagingDestinationPartitionID(strconv.Itoa(int(rec.Partition))),
		semconv.MessagingKafkaOffset(int(rec.Offset)),
		semconv.MessagingConsumerGroupName(group),
	)
	return p.record(s, start{
		parent: parent, remote: true, kind: trace.SpanKindConsumer, name: "process " + name,
		creation: Creation(rec.Event), attrs: add(message(attrs, rec.Event)),
	})
}

// messaging appends what every messaging span has; name is also the type.
func messaging(attrs []attribute.KeyValue, operation, topic string) []attribute.KeyValue {
	return append(attrs,
		semconv.MessagingSystemKafka,
		semconv.MessagingOperationName(operation),
		semconv.MessagingOperationTypeKey.String(operation),
		semconv.MessagingDestinationName(topic),
	)
}

// message appends what is known of the one event of a span.
func message(attrs []attribute.KeyValue, ev *event.Event) []attribute.KeyValue {
	if ev == nil {
		return attrs
	}
	attrs = append(attrs, semconv.MessagingMessageID(ev.ID))
	if id, ok := ev.Extension("correlationid"); ok {
		attrs = append(attrs, semconv.MessagingMessageConversationID(id))
	}
	return cloudEvent(attrs, ev)
}

func cloudEvent(attrs []attribute.KeyValue, ev *event.Event) []attribute.KeyValue {
	attrs = append(attrs,
		semconv.CloudEventsEventID(ev.ID),
		semconv.CloudEventsEventSource(ev.Source),
		semconv.CloudEventsEventType(ev.Type),
		semconv.CloudEventsEventSpecVersion(event.SpecVersion),
	)
	if ev.Subject != "" {
		attrs = append(attrs, semconv.CloudEventsEventSubject(ev.Subject))
	}
	return attrs
}
