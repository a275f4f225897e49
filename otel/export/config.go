// Package export sends the lines of functions and the metrics of the process to
// a collector, over OTLP. Traces have a package of their own: otel/tracing.
package export

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/signalbox-dev/signalbox/otel/otlp"
)

// The signals.
const (
	Traces  = "traces"
	Logs    = "logs"
	Metrics = "metrics"
)

// Config says what is sent, and where.
type Config struct {
	// Endpoint is the collector's base URL, as tracing.Config has it; "" leaves it
	// to the OTEL_EXPORTER_OTLP_* variables, and without those nothing is sent.
	Endpoint string
	// Signals are those that are sent; Traces among them means nothing here.
	Signals []string
	// Version is Signalbox's own, Instance that of the process; "" is none.
	Version, Instance string
	// Gatherer gives the metrics; nil sends none.
	Gatherer prometheus.Gatherer
	// Interval is the time between two rounds of metrics; 1s to 1h, default 1m. The
	// variable OTEL_METRIC_EXPORT_INTERVAL goes before the default.
	Interval time.Duration
	// QueueSize bounds the lines that wait for export, default 2048 (half a
	// kilobyte each is taken at once), 1 to 1048576.
	// When it is full, lines are dropped and counted.
	QueueSize int
	// Log gets a line about what is lost, at most one a minute and signal.
	Log *slog.Logger
	// Lost, when set, is told how many records of a signal were lost: to an export
	// that failed, or to a full queue. It must not block.
	Lost func(signal string, n int, failed bool)
	// LogExporter and MetricExporter, when set, take the place of OTLP; tests use them.
	LogExporter    sdklog.Exporter
	MetricExporter sdkmetric.Exporter
	// Now is the clock of the log lines' limit; default time.Now.
	Now func() time.Time
}

// DefaultConfig sends both, once there is an endpoint.
func DefaultConfig() Config {
	return Config{Signals: []string{Traces, Logs, Metrics}, Version: "unknown", QueueSize: 2048, Log: slog.Default(), Now: time.Now}
}

func (c *Config) validate() error {
	var faults []error
	if c.QueueSize < 1 || c.QueueSize > 1<<20 {
		faults = append(faults, fmt.Errorf("QueueSize %d: want 1 to 1048576", c.QueueSize))
	}
	if c.Interval != 0 && (c.Interval < time.Second || c.Interval > time.Hour) {
		faults = append(faults, fmt.Errorf("Interval %s: want 1s to 1h, or 0", c.Interval))
	}
	if c.Log == nil || c.Now == nil {
		faults = append(faults, errors.New("Log and Now: nil: want a logger and a clock"))
	}
	if c.Endpoint != "" {
		if _, err := otlp.Parse(c.Endpoint, Logs); err != nil {
			faults = append(faults, fmt.Errorf("Endpoint: %w", err))
		}
	}
	return errors.Join(faults...)
}

// losses counts what is lost of a signal.
func (c *Config) losses(signal string) *otlp.Losses {
	l := &otlp.Losses{Signal: signal, QueueSize: c.QueueSize, Log: c.Log, Now: c.Now}
	if c.Lost != nil {
		l.Lost = func(n int, err error) { c.Lost(signal, n, err != nil) }
	}
	return l
}

// target says where a signal goes; on is false when it is not sent.
func (c *Config) target(signal string) (e otlp.Endpoint, on bool, err error) {
	if !slices.Contains(c.Signals, signal) {
		return e, false, nil
	}
	if c.Endpoint != "" {
		e, err = otlp.Parse(c.Endpoint, signal)
		return e, err == nil && !otlp.Disabled(signal), err
	}
	on, e.GRPC, err = otlp.FromEnvironment(signal)
	return e, on, err
}
