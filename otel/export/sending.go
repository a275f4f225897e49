package export

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
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

// logEvery is the least time between two log lines about what is lost.
const logEvery = time.Minute

// losses counts and tells of what was not sent.
type losses struct {
	c      *Config
	signal string
	// waiting is the number of records that are not sent yet.
	waiting atomic.Int64
	// lost is the number lost since the last log line, at logged (Unix nanoseconds).
	lost, logged atomic.Int64
}

// report counts, and logs at most once in logEvery. err nil: the queue was full.
func (l *losses) report(n int, err error) {
	if l.c.Lost != nil {
		l.c.Lost(l.signal, n, err != nil)
	}
	l.lost.Add(int64(n))
	now, last := l.c.Now().UnixNano(), l.logged.Load()
	if (last != 0 && now-last < int64(logEvery)) || !l.logged.CompareAndSwap(last, now) {
		return
	}
	why := "the queue is full"
	if err != nil {
		why = err.Error()
	}
	l.c.Log.Warn("telemetry lost (--otlp-signals says what is sent)", "signal", l.signal, "records", l.lost.Swap(0), "cause", why)
}

// boundedLogs refuses lines beyond the queue's size before the SDK's batch
// processor would drop others without telling.
type boundedLogs struct {
	*sdklog.BatchProcessor
	*losses
}

// OnEmit queues a line or drops it; it never blocks.
func (p *boundedLogs) OnEmit(ctx context.Context, r *sdklog.Record) error {
	if p.waiting.Add(1) > int64(p.c.QueueSize) {
		p.waiting.Add(-1)
		p.report(1, nil)
		return nil
	}
	return p.BatchProcessor.OnEmit(ctx, r)
}

// countingLogs reports failed exports, and keeps them from the SDK's global
// error handler, which would print each of them.
type countingLogs struct {
	sdklog.Exporter
	*losses
}

// Export sends one batch.
func (e *countingLogs) Export(ctx context.Context, records []sdklog.Record) error {
	err := e.Exporter.Export(ctx, records)
	e.waiting.Add(-int64(len(records)))
	if err != nil {
		e.report(len(records), err)
	}
	return nil
}

// countingMetrics is countingLogs for rounds of metrics.
type countingMetrics struct {
	sdkmetric.Exporter
	*losses
}

// Export sends one round.
func (e *countingMetrics) Export(ctx context.Context, round *metricdata.ResourceMetrics) error {
	if err := e.Exporter.Export(ctx, round); err != nil {
		e.report(1, err)
	}
	return nil
}
