package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/otel/metrics"
	"github.com/signalbox-dev/signalbox/otel/tracing"
)

// traced is an event as a record, with the trace context of the hop that
// writes it in the record's own headers.
func traced(e *event.Event, hop tracing.Context) event.Message { return withTrace(e.Message(), hop) }

func withTrace(m event.Message, hop tracing.Context) event.Message {
	if hop.IsValid() {
		m.Headers = append(m.Headers, event.Header{Key: "traceparent", Value: []byte(hop.TraceParent())})
		if hop.State != "" {
			m.Headers = append(m.Headers, event.Header{Key: "tracestate", Value: []byte(hop.State)})
		}
	}
	return m
}

// appender is the gateway's way into the log.
type appender struct {
	log     *eventlog.Log
	traces  *tracing.Provider
	topic   string
	backlog *backlog
}

// AppendEvents implements gateway.Appender.
func (a *appender) AppendEvents(ctx context.Context, events []*event.Event, hop tracing.Context) error {
	if err := a.backlog.admit(); err != nil {
		return err
	}
	if err := a.admit(ctx); err != nil {
		return err
	}
	var only *event.Event
	if len(events) == 1 {
		only = events[0]
	}
	span := a.traces.Send(hop, a.topic, only, len(events))
	defer span.End()
	messages := make([]event.Message, len(events))
	for i, e := range events {
		if only == nil {
			span.Link(e)
		}
		if span.Recording() {
			span.Stamp(e)
		}
		messages[i] = traced(e, span.Context())
	}
	_, err := a.log.Append(ctx, eventlog.Events, messages)
	if err != nil {
		span.Fail("append", err.Error())
		return a.throttled(a.backlog.retry(gatewayError(err)))
	}
	a.backlog.accepted(len(events))
	return nil
}

// admit refuses what a quota of Kafka would not let through in time: nothing
// is written then, and the sender knows when to come again.
func (a *appender) admit(ctx context.Context) error {
	wait := a.log.Throttled()
	if wait == 0 {
		return nil
	}
	if end, ok := ctx.Deadline(); !ok || time.Now().Add(wait).Before(end) {
		return nil
	}
	err := fmt.Errorf("%w: a quota of Kafka holds this process back", gateway.ErrBacklog)
	return &gateway.RetryError{Err: err, After: min(wait, maxRetryAfter)}
}

// throttled adds to what ran out of time when a quota will let it through.
func (a *appender) throttled(err error) error {
	if wait := a.log.Throttled(); wait > 0 && errors.Is(err, gateway.ErrUnavailable) {
		return &gateway.RetryError{Err: err, After: min(wait, maxRetryAfter)}
	}
	return err
}

// gatewayError says an error of the log in the gateway's terms.
func gatewayError(err error) error {
	for _, m := range []struct{ log, gateway error }{
		{eventlog.ErrBacklog, gateway.ErrBacklog},
		{eventlog.ErrTooLarge, gateway.ErrTooLarge},
		{eventlog.ErrNotFound, gateway.ErrNotFound},
		{eventlog.ErrUnavailable, gateway.ErrUnavailable},
		{eventlog.ErrClosed, gateway.ErrUnavailable},
	} {
		if errors.Is(err, m.log) {
			return fmt.Errorf("%w: %w", m.gateway, err)
		}
	}
	return err
}

// dispatcherLog is the dispatcher's way into the log.
type dispatcherLog struct {
	log     *eventlog.Log
	traces  *tracing.Provider
	topic   string
	metrics *metrics.Metrics
	schemas *schemaDesk
}

// AppendEvents implements dispatcher.Log: replies.
func (l *dispatcherLog) AppendEvents(ctx context.Context, events []dispatcher.Outgoing) error {
	messages := make([]event.Message, len(events))
	spans := make([]tracing.Span, len(events))
	for i, o := range events {
		l.schemas.reply(o.Event)
		spans[i] = l.traces.Send(tracing.FromHeaders(o.TraceParent, o.TraceState), l.topic, o.Event, 1)
		if spans[i].Recording() {
			spans[i].Stamp(o.Event)
		}
		messages[i] = traced(o.Event, spans[i].Context())
	}
	_, err := l.log.AppendReplies(ctx, messages)
	for _, s := range spans {
		if err != nil {
			s.Fail("append", err.Error())
		}
		s.End()
	}
	if err == nil {
		l.metrics.Replies.Add(float64(len(events)))
	}
	return err
}

// DeadLetter implements dispatcher.Log.
func (l *dispatcherLog) DeadLetter(ctx context.Context, d *event.DeadLetter) error {
	_, err := l.log.Append(ctx, eventlog.Dead, []event.Message{d.Message()})
	return err
}

// Run implements dispatcher.Log: telemetry, dropped and counted when there is no room.
func (l *dispatcherLog) Run(r *event.Run) { l.log.AppendTelemetry(eventlog.Runs, r.AppendMessage) }
