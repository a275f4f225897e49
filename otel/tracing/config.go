package tracing

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/signalbox-dev/signalbox/otel/otlp"
)

// Config says what is traced and where spans go.
type Config struct {
	// Endpoint is the collector's base URL. http and https speak OTLP over HTTP
	// (port 4317: over gRPC), grpc and grpcs OTLP over gRPC without and with TLS.
	// "" leaves it to the OTEL_EXPORTER_OTLP_* variables; when those name no
	// endpoint either, nothing is recorded.
	Endpoint string
	// Off sends no spans anywhere.
	Off bool
	// SampleRatio is the part of new traces that is recorded, 0 to 1; default 1.
	// A trace that came from outside keeps the decision it brought.
	SampleRatio float64
	// Version is Signalbox's own, the resource attribute service.version.
	Version string
	// Instance is this process's, the attribute service.instance.id; "" is one by chance.
	Instance string
	// Topic is the topic of events, as process spans name it; default signalbox.events.
	Topic string
	// QueueSize bounds the finished spans that wait for export; default 8192, 1
	// to 1048576. When it is full, spans are dropped and counted.
	QueueSize int
	// Log gets a line about lost spans, at most one a minute; default slog.Default().
	Log *slog.Logger
	// Lost, when set, is called with the number of spans lost, and the error of
	// the failed export, which is nil when the queue was full. It must not block.
	Lost func(spans int, err error)
	// Exporter, when set, takes the place of OTLP; tests use it.
	Exporter sdktrace.SpanExporter
	// Now is the clock of the log lines' limit; default time.Now.
	Now func() time.Time
}

// DefaultConfig traces everything, once there is an endpoint.
func DefaultConfig() Config {
	return Config{
		SampleRatio: 1,
		Version:     "unknown",
		Topic:       "signalbox.events",
		QueueSize:   8192,
		Log:         slog.Default(),
		Now:         time.Now,
	}
}

// validate returns every fault.
func (c *Config) validate() error {
	var faults []error
	if math.IsNaN(c.SampleRatio) || c.SampleRatio < 0 || c.SampleRatio > 1 {
		faults = append(faults, fmt.Errorf("SampleRatio %v: want 0 to 1", c.SampleRatio))
	}
	if c.QueueSize < 1 || c.QueueSize > 1<<20 {
		faults = append(faults, fmt.Errorf("QueueSize %d: want 1 to 1048576", c.QueueSize))
	}
	if c.Topic == "" {
		faults = append(faults, errors.New("Topic: empty: want a topic's name"))
	}
	if c.Log == nil {
		faults = append(faults, errors.New("Log: nil: want a logger"))
	}
	if c.Now == nil {
		faults = append(faults, errors.New("Now: nil: want a clock"))
	}
	if c.Endpoint != "" {
		if _, err := otlp.Parse(c.Endpoint, signal); err != nil {
			faults = append(faults, fmt.Errorf("Endpoint: %w", err))
		}
	}
	return errors.Join(faults...)
}
