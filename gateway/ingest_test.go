package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/otel/tracing"
)

type panicking struct{}

func (panicking) AppendEvents(context.Context, []*event.Event, tracing.Context) error { panic("boom") }

// binary is the headers of a small event.
var binary = []string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "com.example.t"}

const structured = `{"specversion":"1.0","id":"1","source":"/s","type":"com.example.t","datacontenttype":"application/json","data":{"a": 1}}`

func TestAcceptModes(t *testing.T) {
	for name, c := range map[string]struct {
		body     string
		headers  []string
		accepted int
		data     string
	}{
		"binary":                        {`{"a": 1}`, append([]string{"Content-Type", "application/json"}, binary...), 1, `{"a": 1}`},
		"binary without data":           {"", binary, 1, ""},
		"binary multipart stays as is":  {"--b\r\nx\r\n--b--", append([]string{"Content-Type", "multipart/form-data; boundary=b"}, binary...), 1, "--b\r\nx\r\n--b--"},
		"structured":                    {structured, []string{"Content-Type", "application/cloudevents+json; charset=utf-8"}, 1, `{"a": 1}`},
		"structured, type in any case":  {structured, []string{"Content-Type", "Application/CloudEvents+JSON"}, 1, `{"a": 1}`},
		"structured beats ce- headers":  {structured, append([]string{"Content-Type", "application/cloudevents+json", "ce-id", "other"}, binary[2:]...), 1, `{"a": 1}`},
		"batch":                         {"[" + structured + "," + strings.Replace(structured, `"id":"1"`, `"id":"2"`, 1) + "]", []string{"Content-Type", "application/cloudevents-batch+json"}, 2, `{"a": 1}`},
		"empty batch":                   {"[]", []string{"Content-Type", "application/cloudevents-batch+json"}, 0, ""},
		"identity coding is no coding":  {"x", append([]string{"Content-Encoding", "identity"}, binary...), 1, "x"},
		"hops of an outsider stay":      {"x", append([]string{"ce-signalboxhops", "7"}, binary...), 1, "x"},
		"a body as large as is allowed": {strings.Repeat("x", 1<<20), binary, 1, strings.Repeat("x", 1<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil)
			a := r.do("POST", "/events", c.body, c.headers...)
			if want := fmt.Sprintf(`{"accepted":%d}`, c.accepted); a.StatusCode != 202 || string(a.body) != want || a.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			}
			got := r.log.Records()
			if len(got) != c.accepted {
				t.Fatalf("%d events appended", len(got))
			}
			if c.accepted > 0 && (got[0].Event.ID != "1" || string(got[0].Event.Data) != c.data) {
				t.Errorf("appended %+v", got[0].Event)
			}
		})
	}
}

func TestHeaderValuesPassUnharmed(t *testing.T) {
	r := start(t, nil)
	r.do("POST", "/events", "", "ce-specversion", "1.0", "ce-id", "a%20b", "ce-source", "/s", "ce-type", "t",
		"ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80", "ce-legacy", `"quoted \"value\""`)
	got := r.log.Records()
	if len(got) != 1 {
		t.Fatal("not accepted")
	}
	legacy, _ := got[0].Event.Extension("legacy")
	if e := got[0].Event; e.ID != "a b" || e.Subject != "Euro € 😀" || legacy != `quoted "value"` {
		t.Errorf("%+v", e)
	}
}

func TestEventsOwnTheirMemory(t *testing.T) {
	r := start(t, nil)
	for i := range 20 {
		id := strings.Repeat(string(rune('a'+i)), 20)
		r.do("POST", "/events", id, "ce-specversion", "1.0", "ce-id", id, "ce-source", "/"+id, "ce-type", id, "Content-Type", "text/"+id)
	}
	for i, rec := range r.log.Records() {
		id := strings.Repeat(string(rune('a'+i)), 20)
		if e := rec.Event; e.ID != id || e.Source != "/"+id || e.Type != id || e.DataContentType != "text/"+id || string(e.Data) != id {
			t.Errorf("event %d was overwritten: %+v", i, e)
		}
	}
}

func TestRefusals(t *testing.T) {
	batch := []string{"Content-Type", "application/cloudevents-batch+json"}
	for name, c := range map[string]struct {
		body    string
		headers []string
		status  int
		slug    string
		detail  string
	}{
		"no mark of an event":        {"x", nil, 400, "not-an-event", ""},
		"missing id":                 {"x", []string{"ce-specversion", "1.0", "ce-source", "/s", "ce-type", "t"}, 400, "invalid-event", "id"},
		"wrong specversion":          {"x", []string{"ce-specversion", "0.3", "ce-id", "1", "ce-source", "/s", "ce-type", "t"}, 400, "invalid-event", "specversion"},
		"wrong time":                 {"x", append([]string{"ce-time", "yesterday"}, binary...), 400, "invalid-event", "time"},
		"overlong UTF-8":             {"x", append([]string{"ce-subject", "%C0%A0"}, binary...), 400, "invalid-event", "subject"},
		"structured is no JSON":      {"{", []string{"Content-Type", "application/cloudevents+json"}, 400, "invalid-event", ""},
		"structured without source":  {`{"specversion":"1.0","id":"1","type":"t"}`, []string{"Content-Type", "application/cloudevents+json"}, 400, "invalid-event", "source"},
		"a format nobody reads":      {"x", []string{"Content-Type", "application/cloudevents+avro"}, 415, "unsupported-format", ""},
		"a batch nobody reads":       {"x", []string{"Content-Type", "application/cloudevents-batch+avro"}, 415, "unsupported-format", ""},
		"compressed":                 {"x", append([]string{"Content-Encoding", "gzip"}, binary...), 415, "unsupported-encoding", "gzip"},
		"body over the limit":        {strings.Repeat("x", 1<<20+1), binary, 413, "too-large", ""},
		"body far over the limit":    {strings.Repeat("x", 8<<20), binary, 413, "too-large", ""},
		"headers over the limit":     {"x", append([]string{"ce-big", strings.Repeat("x", 20<<10)}, binary...), 431, "headers-too-large", ""},
		"batch is no array":          {"{}", batch, 400, "invalid-event", ""},
		"batch over the limit":       {"[" + strings.Repeat(structured+",", 1000) + structured + "]", batch, 413, "batch-too-long", ""},
		"batch with one bad event":   {"[" + structured + `,{"id":"2"}]`, batch, 400, "invalid-batch", ""},
		"batch that ends too early":  {"[" + structured, batch, 400, "invalid-event", ""},
		"content type and no events": {"x", []string{"Content-Type", "application/json"}, 400, "not-an-event", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil)
			p := r.do("POST", "/events", c.body, c.headers...).refused(t, c.status, c.slug)
			if text := fmt.Sprint(p["detail"], p["attribute"]); !strings.Contains(text, c.detail) {
				t.Errorf("%q is not in %s", c.detail, text)
			}
			if n := len(r.log.Records()); n != 0 {
				t.Errorf("%d events appended", n)
			}
		})
	}
}

func TestBatchNamesEveryBadEvent(t *testing.T) {
	r := start(t, nil)
	body := "[" + structured + `,{"id":"2"},` + structured + `,{"specversion":"1.0","id":"3","source":"/s"}]`
	p := r.do("POST", "/events", body, "Content-Type", "application/cloudevents-batch+json").refused(t, 400, "invalid-batch")
	errs, _ := json.Marshal(p["errors"])
	if p["index"] != 1.0 || !strings.Contains(string(errs), `"index":1`) || !strings.Contains(string(errs), `"index":3`) || strings.Contains(string(errs), `"index":2`) {
		t.Errorf("index %v, errors %s", p["index"], errs)
	}
	if len(r.log.Records()) != 0 {
		t.Error("a part of the batch was appended")
	}
}

func TestLogTroubleIsTheRightAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		slug   string
	}{
		"away":          {errors.New("broker down"), 503, "unavailable"},
		"backlog":       {fmt.Errorf("lag 10000: %w", ErrBacklog), 429, "backlog"},
		"too large":     {fmt.Errorf("message: %w", ErrTooLarge), 413, "too-large"},
		"being stopped": {context.Canceled, 503, "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil)
			r.log.Append = func(context.Context) error { return c.err }
			a := r.do("POST", "/events", "x", binary...)
			a.refused(t, c.status, c.slug)
			if retry := a.Header.Get("Retry-After") != ""; retry != (c.status != 413) {
				t.Errorf("Retry-After is %q", a.Header.Get("Retry-After"))
			}
			if strings.Contains(string(a.body), "broker") {
				t.Error("the answer tells what is inside")
			}
		})
	}
}

func TestHandlerOwnsTheDeadline(t *testing.T) {
	r := start(t, func(c *Config, _ *Deps) { c.Ingest.AcceptTimeout = 100 * time.Millisecond })
	r.log.Append = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	begin := time.Now()
	a := r.do("POST", "/events", "x", binary...)
	a.refused(t, 503, "unavailable")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if took := time.Since(begin); took < 100*time.Millisecond || took > 5*time.Second {
		t.Errorf("answered after %s", took)
	}
}

type admitter func(*event.Event) (Verdict, error)

func (f admitter) Admit(_ context.Context, a Admission) (Verdict, error) { return f(a.Event) }

func TestAdmission(t *testing.T) {
	r := start(t, func(_ *Config, d *Deps) {
		d.Admitter = admitter(func(e *event.Event) (Verdict, error) {
			switch e.ID {
			case "denied":
				return Verdict{Denied: true, Reason: "not on Sundays"}, nil
			case "broken":
				return Verdict{}, errors.New("eval_conflict_error")
			}
			return Verdict{}, nil
		})
	})
	one := func(id string) string { return strings.Replace(structured, `"id":"1"`, `"id":"`+id+`"`, 1) }
	p := r.do("POST", "/events", one("denied"), "Content-Type", "application/cloudevents+json").refused(t, 403, "denied")
	if p["detail"] != "not on Sundays" {
		t.Errorf("detail %v", p["detail"])
	}
	r.do("POST", "/events", one("broken"), "Content-Type", "application/cloudevents+json").refused(t, 403, "denied")
	p = r.do("POST", "/events", "["+one("a")+","+one("denied")+"]", "Content-Type", "application/cloudevents-batch+json").refused(t, 403, "denied")
	if p["index"] != 1.0 {
		t.Errorf("index %v", p["index"])
	}
	if len(r.log.Records()) != 0 {
		t.Error("something was appended")
	}
}

func TestHandshake(t *testing.T) {
	for name, c := range map[string]struct {
		allowed              []string
		most                 int
		origin, rate         string
		wantOrigin, wantRate string
		status               int
	}{
		"plain OPTIONS":         {[]string{"*"}, 0, "", "", "", "", 200},
		"anybody":               {[]string{"*"}, 0, "eventemitter.example.com", "120", "*", "*", 200},
		"anybody, no rate":      {[]string{"*"}, 0, "eventemitter.example.com", "", "*", "*", 200},
		"a known one":           {[]string{"a.example", "b.example"}, 60, "B.example", "120", "b.example", "60", 200},
		"less than is granted":  {[]string{"b.example"}, 60, "b.example", "12", "b.example", "12", 200},
		"a stranger":            {[]string{"b.example"}, 0, "c.example", "1", "", "", 200},
		"nobody":                {nil, 0, "c.example", "1", "", "", 200},
		"a rate that is no one": {[]string{"*"}, 0, "c.example", "fast", "", "", 400},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(cf *Config, _ *Deps) {
				cf.Ingest.WebhookAllowedOrigins, cf.Ingest.WebhookAllowedRate = c.allowed, c.most
			})
			var h []string
			if c.origin != "" {
				h = append(h, "WebHook-Request-Origin", c.origin, "WebHook-Request-Callback", "http://127.0.0.1:1/callback")
			}
			if c.rate != "" {
				h = append(h, "WebHook-Request-Rate", c.rate)
			}
			a := r.do("OPTIONS", "/events", "", h...)
			if a.StatusCode != c.status || a.Header.Get("WebHook-Allowed-Origin") != c.wantOrigin || a.Header.Get("WebHook-Allowed-Rate") != c.wantRate {
				t.Errorf("%d %v", a.StatusCode, a.Header)
			}
			if !strings.Contains(a.Header.Get("Allow"), "POST") {
				t.Error("no Allow")
			}
		})
	}
}

func TestARequestIsASpanBelowTheContextItBrought(t *testing.T) {
	const sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	spans := tracetest.NewInMemoryExporter()
	cfg := tracing.DefaultConfig()
	cfg.Exporter = spans
	traces, err := tracing.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, func(_ *Config, d *Deps) { d.Traces = traces })
	r.do("POST", "/events", "x", append([]string{"traceparent", sent, "tracestate", "x=1", "tracestate", "y=2"}, binary...)...)
	r.do("POST", "/events", "x")
	if err := traces.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := spans.GetSpans()
	if len(got) != 2 || got[0].Name != "POST /events" || got[0].Parent.SpanID().String() != sent[36:52] {
		t.Fatalf("spans %+v", got)
	}
	rec := r.log.Records()[0]
	if want := "00-" + sent[3:35] + "-" + got[0].SpanContext.SpanID().String() + "-01"; rec.TraceParent != want || rec.TraceState != "x=1,y=2" {
		t.Errorf("appended with %q %q, want %q", rec.TraceParent, rec.TraceState, want)
	}
	for i, status := range []int64{202, 400} {
		if !slices.Contains(got[i].Attributes, attribute.Int64("http.response.status_code", status)) {
			t.Errorf("span %d has attributes %v, want status %d", i, got[i].Attributes, status)
		}
	}
}

func TestTraceContextOfTheRequestIsChecked(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for name, c := range map[string]struct {
		headers []string
		want    string
	}{
		"good":                {[]string{"traceparent", good}, good},
		"later version":       {[]string{"traceparent", "01" + good[2:] + "-more"}, good},
		"two of them":         {[]string{"traceparent", good, "traceparent", good}, ""},
		"version ff":          {[]string{"traceparent", "ff" + good[2:]}, ""},
		"upper case":          {[]string{"traceparent", strings.ToUpper(good)}, ""},
		"too long":            {[]string{"traceparent", good + "-x"}, ""},
		"trace id of zeros":   {[]string{"traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01"}, ""},
		"state without trace": {[]string{"tracestate", "a=b"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil)
			r.do("POST", "/events", "x", append(c.headers, binary...)...)
			if got := r.log.Records()[0]; got.TraceParent != c.want || got.TraceState != "" {
				t.Errorf("appended with %q %q", got.TraceParent, got.TraceState)
			}
		})
	}
}

type counts struct {
	accepted int
	refused  map[string]int
}

func (c *counts) Accepted(n int, _ time.Duration)        { c.accepted += n }
func (c *counts) Refused(reason string, _ time.Duration) { c.refused[reason]++ }

func TestMetrics(t *testing.T) {
	m := &counts{refused: map[string]int{}}
	r := start(t, func(_ *Config, d *Deps) { d.Metrics = m })
	r.do("POST", "/events", "x", binary...)
	r.do("POST", "/events", "["+structured+","+structured+"]", "Content-Type", "application/cloudevents-batch+json")
	r.do("POST", "/events", "x")
	r.do("POST", "/events", strings.Repeat("x", 2<<20), binary...)
	if m.accepted != 3 || m.refused["not-an-event"] != 1 || m.refused["too-large"] != 1 || len(m.refused) != 2 {
		t.Errorf("%+v", m)
	}
}
