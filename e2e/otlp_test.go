//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/signalbox-dev/signalbox/client"
)

// collector takes OTLP over HTTP in the official types; traces are thrown away.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	lines   []*logs.LogRecord
	metrics map[string]bool
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{metrics: map[string]bool{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.URL.Path {
	case "/v1/logs":
		var in collectorlogs.ExportLogsServiceRequest
		err = errors.Join(err, proto.Unmarshal(body, &in))
		for _, of := range in.ResourceLogs {
			for _, scope := range of.ScopeLogs {
				c.lines = append(c.lines, scope.LogRecords...)
			}
		}
	case "/v1/metrics":
		var in collectormetrics.ExportMetricsServiceRequest
		err = errors.Join(err, proto.Unmarshal(body, &in))
		for _, of := range in.ResourceMetrics {
			for _, scope := range of.ScopeMetrics {
				for _, m := range scope.Metrics {
					c.metrics[m.Name] = true
				}
			}
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func TestLinesAndMetricsAreSentOverOTLP(t *testing.T) {
	sink := newCollector(t)
	s := startProgram(t, []string{"OTEL_METRIC_EXPORT_INTERVAL=300", "OTEL_BLRP_SCHEDULE_DELAY=100"}, []string{binary(t)}, append(embeddedArgs(t), "--otlp", sink.URL, "--trace-sample", "1"))
	dir := writeFiles(t, map[string]string{"work.py": "from signalbox import context\ncontext.log.error('broken ' + context.event.id)\n"})
	s.apply(scriptsManifest("work", dir, "python", "work.py", "com.test.work", ""))
	s.emitMany("com.test.work", 3)
	kept := s.awaitLines(client.Query{Function: "work"}, 3)
	await(t, "lines and metrics at the collector", func() error {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		if len(sink.lines) < 3 || !sink.metrics["signalbox_deliveries_delivered_total"] && !sink.metrics["signalbox_deliveries_delivered"] || !sink.metrics["signalbox_delivery_duration_seconds"] {
			return fmt.Errorf("%d lines, metrics %v", len(sink.lines), sink.metrics)
		}
		return nil
	})
	sink.mu.Lock()
	defer sink.mu.Unlock()
	for _, l := range sink.lines {
		at := slices.IndexFunc(kept, func(k client.Line) bool { return k.Line == l.Body.GetStringValue() })
		if at < 0 || fmt.Sprintf("%x", l.TraceId) != kept[at].TraceID || fmt.Sprintf("%x", l.SpanId) != kept[at].SpanID || l.SeverityText != "error" {
			t.Errorf("%+v", l)
		}
	}
}
