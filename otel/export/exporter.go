package export

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/otel/otlp"

	promBridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
)

// scope is the instrumentation scope of what is sent.
const scope = "github.com/signalbox-dev/signalbox/otel/export"

// Exporter sends lines and metrics. All methods are safe for concurrent use, and
// on a nil Exporter, which sends nothing.
type Exporter struct {
	// logs, with its logger, and metrics are nil where they are not sent.
	logs    *sdklog.LoggerProvider
	logger  log.Logger
	metrics *sdkmetric.MeterProvider
}

// Open starts sending. It does not wait for the collector, which may come later
// or come back: meanwhile what is to be sent is dropped and counted.
func Open(ctx context.Context, c Config) (*Exporter, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("OTLP: %w", err)
	}
	x := &Exporter{}
	if err := errors.Join(x.openLogs(ctx, &c), x.openMetrics(ctx, &c)); err != nil {
		return nil, fmt.Errorf("OTLP: %w", err)
	}
	return x, nil
}

func (x *Exporter) openLogs(ctx context.Context, c *Config) error {
	exporter, err := newLogExporter(ctx, c)
	if err != nil || exporter == nil {
		return err
	}
	res, err := otlp.Resource(ctx, c.Version, c.Instance)
	if err != nil {
		return err
	}
	l := c.losses(Logs)
	batches := sdklog.NewBatchProcessor(&countingLogs{exporter, l}, sdklog.WithMaxQueueSize(c.QueueSize), sdklog.WithExportMaxBatchSize(min(c.QueueSize, 512)))
	x.logs = sdklog.NewLoggerProvider(sdklog.WithProcessor(&boundedLogs{batches, l}), sdklog.WithResource(res))
	x.logger = x.logs.Logger(scope)
	return nil
}

func (x *Exporter) openMetrics(ctx context.Context, c *Config) error {
	if c.Gatherer == nil {
		return nil
	}
	exporter, err := newMetricExporter(ctx, c)
	if err != nil || exporter == nil {
		return err
	}
	res, err := otlp.Resource(ctx, c.Version, c.Instance)
	if err != nil {
		return err
	}
	options := []sdkmetric.PeriodicReaderOption{sdkmetric.WithProducer(promBridge.NewMetricProducer(promBridge.WithGatherer(c.Gatherer)))}
	if c.Interval > 0 {
		options = append(options, sdkmetric.WithInterval(c.Interval))
	}
	reader := sdkmetric.NewPeriodicReader(&countingMetrics{exporter, c.losses(Metrics)}, options...)
	x.metrics = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(res))
	return nil
}

// Log sends one line. It never blocks, and keeps no part of l.
func (x *Exporter) Log(l *event.Log) {
	if x == nil || x.logger == nil {
		return
	}
	var r log.Record
	r.SetTimestamp(l.Time)
	r.SetObservedTimestamp(l.Time)
	r.SetBody(attribute.StringValue(l.Line))
	if l.Level != "" {
		r.SetSeverityText(l.Level)
		r.SetSeverity(severity(l.Level))
	}
	r.AddAttributes(attribute.String("faas.name", l.Function), attribute.String("log.iostream", l.Stream))
	for _, a := range []struct{ name, value string }{{"faas.version", l.Version}, {"faas.invocation_id", l.Run}, {"faas.instance", l.Instance}} {
		if a.value != "" {
			r.AddAttributes(attribute.String(a.name, a.value))
		}
	}
	x.logger.Emit(within(l), r)
}

// within is a context with the trace that a line belongs to.
func within(l *event.Log) context.Context {
	var sc trace.SpanContextConfig
	if n, err := hex.Decode(sc.TraceID[:], []byte(l.TraceID[:min(len(l.TraceID), 32)])); err != nil || n != len(sc.TraceID) {
		return context.Background()
	}
	if n, err := hex.Decode(sc.SpanID[:], []byte(l.SpanID[:min(len(l.SpanID), 16)])); err != nil || n != len(sc.SpanID) {
		sc.SpanID = trace.SpanID{}
	}
	return trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(sc))
}

func severity(level string) log.Severity {
	switch level {
	case "debug":
		return log.SeverityDebug
	case "info":
		return log.SeverityInfo
	case "warning":
		return log.SeverityWarn
	case "error":
		return log.SeverityError
	}
	return log.SeverityUndefined
}

// Shutdown sends what is waiting, until ctx ends, and stops.
func (x *Exporter) Shutdown(ctx context.Context) error {
	if x == nil {
		return nil
	}
	var faults []error
	if x.logs != nil {
		faults = append(faults, x.logs.Shutdown(ctx))
	}
	if x.metrics != nil {
		faults = append(faults, x.metrics.Shutdown(ctx))
	}
	return errors.Join(faults...)
}
