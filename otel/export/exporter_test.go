package export

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/signalbox-dev/signalbox/event"
)

// collector takes OTLP over HTTP, in the official types.
type collector struct {
	mu      sync.Mutex
	logs    []*collectorlogs.ExportLogsServiceRequest
	metrics []*collectormetrics.ExportMetricsServiceRequest
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.URL.Path {
	case "/v1/logs":
		var in collectorlogs.ExportLogsServiceRequest
		err = errors.Join(err, proto.Unmarshal(body, &in))
		c.logs = append(c.logs, &in)
	case "/v1/metrics":
		var in collectormetrics.ExportMetricsServiceRequest
		err = errors.Join(err, proto.Unmarshal(body, &in))
		c.metrics = append(c.metrics, &in)
	default:
		err = errors.New(r.URL.Path)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func quiet() Config {
	c := DefaultConfig()
	c.Log = slog.New(slog.DiscardHandler)
	return c
}

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
)

func TestLinesAndMetricsReachACollector(t *testing.T) {
	sink := &collector{}
	server := httptest.NewServer(sink)
	defer server.Close()
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "signalbox_test_total", Help: "A test."})
	registry.MustRegister(counter)
	counter.Add(3)
	c := quiet()
	c.Endpoint, c.Version, c.Gatherer = server.URL, "v9", registry
	x, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)
	x.Log(&event.Log{Time: at, Function: "thumbs", Version: "v2", Stream: "stderr", Level: "warning", Line: "careful", Run: "0-1-ab-1", Instance: "7", TraceID: traceID, SpanID: spanID})
	x.Log(&event.Log{Time: at, Function: "thumbs", Stream: "stdout", Line: "plain"})
	if err := x.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if len(sink.logs) != 1 || len(sink.metrics) == 0 {
		t.Fatalf("%d requests of logs, %d of metrics", len(sink.logs), len(sink.metrics))
	}
	of := sink.logs[0].ResourceLogs[0]
	if text := of.Resource.String(); !strings.Contains(text, "signalbox") || !strings.Contains(text, "v9") {
		t.Errorf("resource %s", text)
	}
	all := of.ScopeLogs[0].LogRecords
	if len(all) != 2 {
		t.Fatalf("%d records", len(all))
	}
	l := all[0]
	attributes := map[string]string{}
	for _, a := range l.Attributes {
		attributes[a.Key] = a.Value.GetStringValue()
	}
	if l.Body.GetStringValue() != "careful" || l.SeverityText != "warning" || l.SeverityNumber != 13 || l.TimeUnixNano != uint64(at.UnixNano()) || //nolint:gosec // after 1970
		len(l.TraceId) != 16 || l.TraceId[0] != 0x0a || len(l.SpanId) != 8 || l.SpanId[0] != 0xb7 {
		t.Errorf("%+v", l)
	}
	want := map[string]string{"faas.name": "thumbs", "faas.version": "v2", "faas.invocation_id": "0-1-ab-1", "faas.instance": "7", "log.iostream": "stderr"}
	for k, v := range want {
		if attributes[k] != v {
			t.Errorf("%s is %q, want %q", k, attributes[k], v)
		}
	}
	if len(all[1].TraceId) != 0 || all[1].SeverityText != "" {
		t.Errorf("%+v", all[1])
	}
	if text := sink.metrics[0].String(); !strings.Contains(text, "signalbox_test_total") {
		t.Errorf("metrics %s", text)
	}
}

// stuck is an exporter that does not come back before it is let.
type stuck struct {
	sdklog.Exporter
	let chan struct{}
}

func (s stuck) Export(ctx context.Context, _ []sdklog.Record) error {
	select {
	case <-s.let:
	case <-ctx.Done():
	}
	return errors.New("stuck")
}
func (stuck) Shutdown(context.Context) error   { return nil }
func (stuck) ForceFlush(context.Context) error { return nil }

func TestACollectorThatHangsBlocksNobodyAndLossesAreCounted(t *testing.T) {
	c := quiet()
	s := stuck{let: make(chan struct{})}
	c.LogExporter, c.QueueSize = s, 10
	var mu sync.Mutex
	full, failed := 0, 0
	c.Lost = func(_ string, n int, byFailure bool) {
		mu.Lock()
		defer mu.Unlock()
		if byFailure {
			failed += n
		} else {
			full += n
		}
	}
	x, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		x.Log(&event.Log{Time: time.Now(), Function: "f", Line: "x"})
	}
	mu.Lock()
	if full != 990 {
		t.Errorf("%d lines found the queue full, want 990", full)
	}
	mu.Unlock()
	close(s.let)
	if err := x.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if failed != 10 {
		t.Errorf("%d lines were lost to failed exports, want 10", failed)
	}
}

func TestWithoutAnEndpointNothingIsSent(t *testing.T) {
	c := quiet()
	c.Gatherer = prometheus.NewRegistry()
	x, err := Open(t.Context(), c)
	if err != nil || x.logs != nil || x.metrics != nil {
		t.Errorf("%+v, %v", x, err)
	}
	x.Log(&event.Log{})
	(*Exporter)(nil).Log(&event.Log{})
	c.Endpoint, c.Signals = "http://127.0.0.1:1", []string{Traces}
	if x, err = Open(t.Context(), c); err != nil || x.logs != nil || x.metrics != nil {
		t.Errorf("signals that were not asked for are sent: %+v, %v", x, err)
	}
	c.Endpoint, c.QueueSize = "ftp://x", 0
	if _, err = Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "QueueSize") || !strings.Contains(err.Error(), "scheme") {
		t.Errorf("%v", err)
	}
}

func BenchmarkLine(b *testing.B) {
	c := quiet()
	c.LogExporter = nowhere{}
	x, err := Open(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	l := &event.Log{Time: time.Now(), Function: "thumbs", Stream: "stdout", Line: strings.Repeat("a line of text ", 8), Run: "3-17-bf4b9bad694f4809-1", TraceID: traceID, SpanID: spanID}
	b.ReportAllocs()
	for b.Loop() {
		x.Log(l)
	}
}

type nowhere struct{}

func (nowhere) Export(context.Context, []sdklog.Record) error { return nil }
func (nowhere) Shutdown(context.Context) error                { return nil }
func (nowhere) ForceFlush(context.Context) error              { return nil }
