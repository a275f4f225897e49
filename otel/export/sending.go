package export

import (
	"context"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/signalbox-dev/signalbox/otel/otlp"
)

// newLogExporter returns nil when lines are not sent.
func newLogExporter(ctx context.Context, c *Config) (sdklog.Exporter, error) {
	if c.LogExporter != nil {
		return c.LogExporter, nil
	}
	e, on, err := c.target(Logs)
	switch {
	case err != nil || !on:
		return nil, err
	case e.GRPC && e.URL != "":
		return otlploggrpc.New(ctx, otlploggrpc.WithEndpointURL(e.URL))
	case e.GRPC:
		return otlploggrpc.New(ctx)
	case e.URL != "":
		return otlploghttp.New(ctx, otlploghttp.WithEndpointURL(e.URL))
	}
	return otlploghttp.New(ctx)
}

// newMetricExporter returns nil when metrics are not sent.
func newMetricExporter(ctx context.Context, c *Config) (sdkmetric.Exporter, error) {
	if c.MetricExporter != nil {
		return c.MetricExporter, nil
	}
	e, on, err := c.target(Metrics)
	switch {
	case err != nil || !on:
		return nil, err
	case e.GRPC && e.URL != "":
		return otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpointURL(e.URL))
	case e.GRPC:
		return otlpmetricgrpc.New(ctx)
	case e.URL != "":
		return otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(e.URL))
	}
	return otlpmetrichttp.New(ctx)
}

// boundedLogs refuses lines beyond the queue's size before the SDK's batch
// processor would drop others without telling.
type boundedLogs struct {
	*sdklog.BatchProcessor
	*otlp.Losses
}

// OnEmit queues a line or drops it; it never blocks.
func (p *boundedLogs) OnEmit(ctx context.Context, r *sdklog.Record) error {
	if !p.Queue() {
		return nil
	}
	return p.BatchProcessor.OnEmit(ctx, r)
}

// countingLogs reports failed exports, and keeps them from the SDK's global
// error handler, which would print each of them.
type countingLogs struct {
	sdklog.Exporter
	*otlp.Losses
}

// Export sends one batch.
func (e *countingLogs) Export(ctx context.Context, records []sdklog.Record) error {
	e.Sent(len(records), e.Exporter.Export(ctx, records))
	return nil
}

// countingMetrics is countingLogs for rounds of metrics.
type countingMetrics struct {
	sdkmetric.Exporter
	*otlp.Losses
}

// Export sends one round.
func (e *countingMetrics) Export(ctx context.Context, round *metricdata.ResourceMetrics) error {
	if err := e.Exporter.Export(ctx, round); err != nil {
		e.Count(1, err)
	}
	return nil
}
