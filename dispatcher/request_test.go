package dispatcher_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/dispatcher/dispatchertest"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// wire is what a function received, one line for each header, sorted.
func wire(r *http.Request) string {
	lines := []string{"Host: " + strings.Split(r.Host, ":")[0]}
	for name, values := range r.Header {
		for _, v := range values {
			lines = append(lines, name+": "+v)
		}
	}
	slices.Sort(lines)
	body, _ := io.ReadAll(r.Body)
	return fmt.Sprintf("%s %s %s\n%s\n\n%s", r.Method, r.RequestURI, r.Proto, strings.Join(lines, "\n"), body)
}

// receive sends ev with a trace context over a link of the format and returns what arrived.
func receive(t *testing.T, ev *event.Event, format string, change func(*bed)) string {
	got := make(chan string, 1)
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { got <- wire(r) })
	d := fast()
	d.Format = format
	b := newBed(t, []resource.Target{dispatchertest.Target("link", "fn", url+"/in//here/%2e?q=1", d)}, change)
	recs := records(1289, ev)
	recs[0].TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	recs[0].TraceState = "a=1"
	b.Handle(b.part, recs, b.settle)
	b.waitSettled(1)
	return <-got
}

func TestACallIsMadeAtItsPath(t *testing.T) {
	ev := newEvent("a")
	ev.SetExtension(event.ExtCallTarget, "fn")
	ev.SetExtension(event.ExtCallPath, "/pre%2Fview?size=2")
	if got := receive(t, ev, resource.FormatBinary, nil); !strings.HasPrefix(got, "POST /in//here/%2e/pre%2Fview?q=1&size=2 HTTP/1.1\n") {
		t.Errorf("got %s", got)
	}
}

const commonHeaders = `Host: 127.0.0.1
Idempotency-Key: 3:1289/link
Prefer: reply
Signalbox-Attempt: 1
Signalbox-Delivery: fn~link~3~1289~1
Signalbox-Link: link
Signalbox-Max-Attempts: 3
Signalbox-Run: 3-1289-bf4b9bad694f4809-1
Signalbox-Timeout: 5000
Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00
Tracestate: a=1
User-Agent: signalbox`

func full() *event.Event {
	ev := newEvent("a b€")
	ev.Subject, ev.Time, ev.DataSchema = `50 % "off"`, "2026-11-21T04:00:00Z", "https://example.com/s"
	ev.SetExtension("traceparent", "00-ffffffffffffffffffffffffffffffff-b7ad6b7169203331-01")
	ev.SetExtension("tenant", "x")
	return ev
}

func TestWhatAFunctionReceivesInBinaryMode(t *testing.T) {
	want := `POST /in//here/%2e?q=1 HTTP/1.1
Ce-Dataschema: https://example.com/s
Ce-Id: a%20b%E2%82%AC
Ce-Source: /test
Ce-Specversion: 1.0
Ce-Subject: 50%20%25%20%22off%22
Ce-Tenant: x
Ce-Time: 2026-11-21T04:00:00Z
Ce-Traceparent: 00-ffffffffffffffffffffffffffffffff-b7ad6b7169203331-01
Ce-Type: com.example.test
Content-Length: 7
Content-Type: application/json
` + commonHeaders + "\n\n" + `{"n":1}`
	if got := receive(t, full(), "binary", nil); got != want {
		t.Errorf("received\n%s\nwant\n%s", got, want)
	}
}

func TestAnEventWithoutDataHasNoContentType(t *testing.T) {
	ev := newEvent("a")
	ev.DataContentType, ev.Data = "", nil
	want := "POST /in//here/%2e?q=1 HTTP/1.1\nCe-Id: a\nCe-Source: /test\nCe-Specversion: 1.0\nCe-Type: com.example.test\nContent-Length: 0\n" + commonHeaders + "\n\n"
	if got := receive(t, ev, "", nil); got != want {
		t.Errorf("received\n%s\nwant\n%s", got, want)
	}
}

func TestWhatAFunctionReceivesInTheOtherFormats(t *testing.T) {
	for _, c := range []struct{ format, contentType, body string }{
		{"structured", "application/cloudevents+json; charset=utf-8", string(full().AppendJSON(nil))},
		{"batch", "application/cloudevents-batch+json; charset=utf-8", string(event.AppendJSONBatch(nil, []*event.Event{full()}))},
	} {
		t.Run(c.format, func(t *testing.T) {
			want := fmt.Sprintf("POST /in//here/%%2e?q=1 HTTP/1.1\nContent-Length: %d\nContent-Type: %s\n%s\n\n%s", len(c.body), c.contentType, commonHeaders, c.body)
			if got := receive(t, full(), c.format, nil); got != want {
				t.Errorf("received\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestASampledEventCarriesTheSpanOfItsAttempt(t *testing.T) {
	tr := &tracer{}
	got := receive(t, newEvent("a"), "", func(b *bed) { b.parts.Tracer = tr })
	if !strings.Contains(got, "Traceparent: "+attemptContext+"\n") || strings.Contains(got, "Tracestate") {
		t.Errorf("received\n%s", got)
	}
	want := "start link/fn at 1289; attempt 1; end 200 <nil>; end delivered ;"
	if tr.log() != want {
		t.Errorf("spans %q, want %q", tr.log(), want)
	}
}

const attemptContext = "00-0af7651916cd43dd8448eb211c80319c-1111111111111111-01"

// tracer is a Tracer that writes down what it is told.
type tracer struct{ lines wordLog }

func (tr *tracer) log() string { return tr.lines.String() }

func (tr *tracer) Delivery(rec *event.Record, target resource.Target, _ uint64) dispatcher.Span {
	tr.lines.add("start %s/%s at %d;", target.Link.Metadata.Name, target.Function.Metadata.Name, rec.Offset)
	return tr
}

func (tr *tracer) Attempt(n int, _ string) dispatcher.AttemptSpan {
	tr.lines.add("attempt %d;", n)
	return call{tr}
}

func (tr *tracer) End(outcome event.Outcome, reason string, _ int) {
	tr.lines.add("end %s %s;", outcome, reason)
}

type call struct{ tr *tracer }

func (call) Context() (string, string) { return attemptContext, "" }

func (c call) End(status int, err *dispatcher.DeliveryError) {
	if err == nil {
		c.tr.lines.add("end %d <nil>;", status)
		return
	}
	c.tr.lines.add("end %d %s;", status, err.Class)
}

func TestSpansOfARetriedDelivery(t *testing.T) {
	tr := &tracer{}
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Signalbox-Attempt") != "2" {
			w.WriteHeader(502)
		} else {
			w.WriteHeader(400)
		}
	})
	b := newBed(t, one(url), func(b *bed) { b.parts.Tracer = tr })
	b.send(newEvent("a"))
	b.waitSettled(1)
	want := "start link/fn at 0; attempt 1; end 502 status_5xx; attempt 2; end 400 status_4xx; end dead status 400;"
	if tr.log() != want {
		t.Errorf("spans %q, want %q", tr.log(), want)
	}
	if dl := b.log.Dead(); len(dl) != 1 || dl[0].TraceID != attemptContext[3:35] {
		t.Errorf("dead letters %+v", dl)
	}
}

// In binary mode its content type would make the data pass for the event.
func TestAnEventWhoseDataAreAnEventTravelsInStructuredMode(t *testing.T) {
	ev := newEvent("outer")
	ev.DataContentType, ev.Data = "application/cloudevents+json", newEvent("inner").AppendJSON(nil)
	got := receive(t, ev, "", nil)
	if strings.Contains(got, "Ce-Id") || !strings.HasSuffix(got, "\n\n"+string(ev.AppendJSON(nil))) {
		t.Errorf("received\n%s", got)
	}
}

func TestEveryCallSaysTheIdOfItsRunRecord(t *testing.T) {
	var heard wordLog
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		heard.add("%s", r.Header.Get("Signalbox-Run"))
		if r.Header.Get("Signalbox-Attempt") == "1" {
			w.WriteHeader(502)
		}
	})
	b := newBed(t, one(url), nil)
	b.send(newEvent("a"))
	b.waitSettled(1)
	recorded := ""
	for _, run := range b.log.Runs() {
		recorded += run.ID + " "
	}
	if got := heard.String() + " "; got != recorded || strings.Count(got, " ") != 2 {
		t.Errorf("the function heard of %q, recorded is %q", got, recorded)
	}
}
