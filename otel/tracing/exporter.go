package tracing

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/signalbox-dev/signalbox/otel/otlp"
)

// signal is what spans are called in OTLP.
const signal = "traces"

// logEvery is the least time between two log lines about lost spans.
const logEvery = time.Minute

// newExporter returns nil when nothing says where spans should go. It does not
// connect: a collector may come later, or come back.
func newExporter(ctx context.Context, c *Config) (sdktrace.SpanExporter, error) {
	if c.Exporter != nil {
		return c.Exporter, nil
	}
	if c.Off {
		return nil, nil
	}
	if c.Endpoint != "" {
		e, err := otlp.Parse(c.Endpoint, signal)
		if err != nil {
			return nil, err
		}
		if e.GRPC {
			return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(e.URL))
		}
		return otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(e.URL))
	}
	return exporterFromEnv(ctx)
}

// exporterFromEnv follows the OpenTelemetry environment variables; the
// exporters read endpoint, headers, certificates and time-outs themselves.
func exporterFromEnv(ctx context.Context) (sdktrace.SpanExporter, error) {
	on, grpc, err := otlp.FromEnvironment(signal)
	switch {
	case err != nil || !on:
		return nil, err
	case grpc:
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

// losses counts and tells of the spans that were not exported.
type losses struct {
	c *Config
	// waiting is the number of finished spans that are not exported yet.
	waiting atomic.Int64
	// lost is the number of spans lost since the last log line, at logged
	// (Unix nanoseconds).
	lost   atomic.Int64
	logged atomic.Int64
}

// report counts, and logs at most once in logEvery. err nil means the queue was full.
func (l *losses) report(spans int, err error) {
	if l.c.Lost != nil {
		l.c.Lost(spans, err)
	}
	l.lost.Add(int64(spans))
	now, last := l.c.Now().UnixNano(), l.logged.Load()
	if (last != 0 && now-last < int64(logEvery)) || !l.logged.CompareAndSwap(last, now) {
		return
	}
	why := "the queue is full"
	if err != nil {
		why = err.Error()
	}
	l.c.Log.Warn("spans lost", "spans", l.lost.Swap(0), "cause", why)
}

// boundedProcessor refuses spans beyond the queue's size before the SDK's
// batch processor would drop them without telling.
type boundedProcessor struct {
	sdktrace.SpanProcessor
	*losses
}

// OnEnd queues a finished span or drops it; it never blocks.
func (p *boundedProcessor) OnEnd(s sdktrace.ReadOnlySpan) {
	if p.waiting.Add(1) > int64(p.c.QueueSize) {
		p.waiting.Add(-1)
		p.report(1, nil)
		return
	}
	p.SpanProcessor.OnEnd(s)
}

// countingExporter reports failed exports, and keeps them from the SDK's
// global error handler, which would print each of them.
type countingExporter struct {
	sdktrace.SpanExporter
	*losses
}

// ExportSpans sends one batch; the SDK's batch processor calls it one at a time.
func (e *countingExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.waiting.Add(-int64(len(spans)))
	if err != nil {
		e.report(len(spans), err)
	}
	return nil
}
