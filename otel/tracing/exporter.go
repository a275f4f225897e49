package tracing

import (
	"context"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/signalbox-dev/signalbox/otel/otlp"
)

// signal is what spans are called in OTLP.
const signal = "traces"

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

// boundedProcessor refuses spans beyond the queue's size before the SDK's
// batch processor would drop them without telling.
type boundedProcessor struct {
	sdktrace.SpanProcessor
	*otlp.Losses
}

// OnEnd queues a finished span or drops it; it never blocks.
func (p *boundedProcessor) OnEnd(s sdktrace.ReadOnlySpan) {
	if p.Queue() {
		p.SpanProcessor.OnEnd(s)
	}
}

// countingExporter reports failed exports, and keeps them from the SDK's
// global error handler, which would print each of them.
type countingExporter struct {
	sdktrace.SpanExporter
	*otlp.Losses
}

// ExportSpans sends one batch; the SDK's batch processor calls it one at a time.
func (e *countingExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.Sent(len(spans), err)
	return nil
}
