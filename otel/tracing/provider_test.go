package tracing

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/signalbox-dev/signalbox/event"
)

func TestConfigNamesEveryFault(t *testing.T) {
	c := DefaultConfig()
	c.SampleRatio, c.QueueSize, c.Topic, c.Log, c.Now, c.Endpoint = 2, 0, "", nil, nil, "ftp://x"
	_, err := Open(t.Context(), c)
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"SampleRatio", "QueueSize", "Topic", "Log", "Now", "Endpoint"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%q does not name %s", err, field)
		}
	}
}

func TestWithoutEndpointContextsPassThrough(t *testing.T) {
	p, err := Open(t.Context(), DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	in := FromHeaders(goodParent, "a=1")
	if got := p.Attempt(p.Server(in, "POST", "/events"), 1, "http://x/").Context(); got != in {
		t.Errorf("got %+v, want the caller's %+v", got, in)
	}
	fresh := p.Server(Context{}, "POST", "/events").Context()
	if !fresh.IsValid() || fresh.Flags != 0 {
		t.Errorf("an event without context got %q, want ids that are not sampled", fresh.TraceParent())
	}
	if err := p.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNilProviderAndZeroSpanDoNothing(t *testing.T) {
	var p *Provider
	in := FromHeaders(goodParent, "")
	runChain(p, in, &event.Event{ID: "1", Source: "/s", Type: "t"})
	if got := p.Server(in, "POST", "/events").Context(); got != in {
		t.Errorf("got %+v", got)
	}
	if got := p.Server(Context{}, "POST", "/events").TraceParent(); got != "" {
		t.Errorf("a nil provider made %q", got)
	}
	if err := errors.Join(p.Flush(t.Context()), p.Shutdown(t.Context())); err != nil {
		t.Error(err)
	}
	Span{}.End()
}

func TestUnsampledTraceStaysUnsampled(t *testing.T) {
	p, exporter := open(t, func(c *Config) { c.SampleRatio = 0 })
	ev := &event.Event{ID: "1", Source: "/s", Type: "t"}
	runChain(p, Context{}, ev)
	runChain(p, FromHeaders(goodParent[:53]+"00", ""), &event.Event{ID: "2", Source: "/s", Type: "t"})
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(exporter.GetSpans()); n != 0 {
		t.Errorf("%d spans were recorded", n)
	}
	made := Creation(ev)
	if !made.IsValid() || made.Sampled() {
		t.Errorf("the event carries %q, want a context that is not sampled", made.TraceParent())
	}
	a := p.Server(FromHeaders(goodParent[:53]+"02", "a=1"), "POST", "/events").Context()
	if a.TraceIDString() != goodTrace || a.Flags != 2 || a.State != "a=1" || strings.Contains(a.TraceParent(), goodSpan) {
		t.Errorf("child %q %q: want the caller's trace, flags and state with an id of its own", a.TraceParent(), a.State)
	}
}

func TestCallersDecisionWinsOverTheRatio(t *testing.T) {
	p, exporter := open(t, func(c *Config) { c.SampleRatio = 0 })
	p.Server(FromHeaders(goodParent, ""), "POST", "/events").End()
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(exporter.GetSpans()); n != 1 {
		t.Errorf("%d spans, want the caller's to be recorded", n)
	}
}

func TestRatioChoosesAboutThatManyTraces(t *testing.T) {
	p, _ := open(t, func(c *Config) { c.SampleRatio = .25 })
	sampled := 0
	const n = 20000
	for range n {
		if p.chosen(newTraceID()) {
			sampled++
		}
	}
	// Six standard deviations of the binomial distribution.
	if off := math.Abs(float64(sampled) - n*.25); off > 6*math.Sqrt(n*.25*.75) {
		t.Errorf("%d of %d", sampled, n)
	}
}

// stuck is an exporter that waits for its gate and then fails.
type stuck struct {
	gate    chan struct{}
	entered chan struct{}
	once    sync.Once
}

func (s *stuck) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	s.once.Do(func() { close(s.entered) })
	<-s.gate
	return errors.New("collector away")
}

func (s *stuck) Shutdown(context.Context) error { return nil }

func TestFullQueueAndFailedExportsAreCountedAndLoggedRarely(t *testing.T) {
	var mu sync.Mutex
	full, failed := 0, 0
	var lines strings.Builder
	s := &stuck{gate: make(chan struct{}), entered: make(chan struct{})}
	c := DefaultConfig()
	c.Exporter, c.QueueSize = s, 10
	c.Log = slog.New(slog.NewTextHandler(&lines, nil))
	c.Now = func() time.Time { return time.Unix(1000, 0) }
	c.Lost = func(spans int, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			full += spans
		} else {
			failed += spans
		}
	}
	p, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		p.Server(Context{}, "POST", "/events").End()
	}
	<-s.entered // the first batch is under way and will not end
	for range 15 {
		p.Server(Context{}, "POST", "/events").End()
	}
	close(s.gate)
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if full != 15 || failed != 10 {
		t.Errorf("full %d, failed %d: want 15 and 10", full, failed)
	}
	if n := strings.Count(lines.String(), "\n"); n != 1 {
		t.Errorf("%d log lines, want 1:\n%s", n, lines.String())
	}
}

// received are the spans a collector got.
type received struct {
	collector.UnimplementedTraceServiceServer
	names chan string
}

func (r *received) Export(_ context.Context, q *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	for _, rs := range q.ResourceSpans {
		service := ""
		for _, a := range rs.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				r.names <- service + ": " + s.Name
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func (r *received) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	var request collector.ExportTraceServiceRequest
	if err != nil || q.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	_, _ = r.Export(q.Context(), &request)
}

func TestSpansReachACollector(t *testing.T) {
	r := &received{names: make(chan string, 10)}
	overHTTP := httptest.NewServer(r)
	defer overHTTP.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	defer serving.Wait()
	defer server.Stop()
	tests := []struct {
		name, endpoint string
		env            map[string]string
	}{
		{name: "over HTTP", endpoint: overHTTP.URL},
		{name: "over gRPC", endpoint: "grpc://" + l.Addr().String()},
		{name: "over HTTP by environment", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": overHTTP.URL}},
		{name: "over gRPC by environment", env: map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + l.Addr().String(), "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for k, v := range test.env {
				t.Setenv(k, v)
			}
			c := DefaultConfig()
			c.Endpoint = test.endpoint
			p, err := Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			p.Server(Context{}, "POST", "/events").End()
			if err := p.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			select {
			case got := <-r.names:
				if got != "signalbox: POST /events" {
					t.Errorf("got %q", got)
				}
			default:
				t.Error("nothing arrived")
			}
		})
	}
}

func TestEnvironmentSwitchesTracingOff(t *testing.T) {
	for _, off := range [][2]string{{"OTEL_SDK_DISABLED", "true"}, {"OTEL_TRACES_EXPORTER", "none"}} {
		t.Run(off[0], func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv(off[0], off[1])
			p, err := Open(t.Context(), DefaultConfig())
			if err != nil || p.tracer != nil {
				t.Errorf("tracing is on (%v)", err)
			}
		})
	}
}

func BenchmarkUnsampledDelivery(b *testing.B) {
	p, _ := open(b, func(c *Config) { c.SampleRatio = .01 })
	rec := &event.Record{
		Event:       &event.Event{ID: "1", Source: "/s", Type: "t"},
		TraceParent: goodParent[:53] + "00",
	}
	b.ReportAllocs()
	for b.Loop() {
		s := p.Process(rec, "l", "f", 1, "g")
		a := p.Attempt(s, 1, "http://127.0.0.1:9000/")
		_ = a.TraceParent()
		a.End()
		s.Outcome(event.Delivered, "", 1)
		s.End()
	}
}

func BenchmarkUnsampledAccept(b *testing.B) {
	p, _ := open(b, func(c *Config) { c.SampleRatio = 0 })
	ev := &event.Event{ID: "1", Source: "/s", Type: "t"}
	b.ReportAllocs()
	for b.Loop() {
		s := p.Server(Context{}, "POST", "/events")
		send := p.Send(s.Context(), "signalbox.events", ev, 1)
		_ = send.TraceParent()
		send.End()
		s.End()
	}
}

func BenchmarkSampledDelivery(b *testing.B) {
	p, exporter := open(b, nil)
	rec := &event.Record{Event: &event.Event{ID: "1", Source: "/s", Type: "t"}, TraceParent: goodParent}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		s := p.Process(rec, "l", "f", 1, "g")
		a := p.Attempt(s, 1, "http://127.0.0.1:9000/")
		_ = a.TraceParent()
		a.SetStatus(200)
		a.End()
		s.Outcome(event.Delivered, "", 1)
		s.End()
		if n++; n%1000 == 0 {
			exporter.Reset()
		}
	}
}
