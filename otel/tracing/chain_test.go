package tracing

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/signalbox-dev/signalbox/event"
)

// open starts a Provider that exports into memory.
func open(t testing.TB, change func(*Config)) (*Provider, *tracetest.InMemoryExporter) {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	c := DefaultConfig()
	c.Exporter = exporter
	c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	if change != nil {
		change(&c)
	}
	p, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p, exporter
}

// tree shows the spans as an indented tree, siblings in the order they began,
// with kind, attributes sorted by name, links by the name of what they link to,
// span events and status.
func tree(t *testing.T, p *Provider, exporter *tracetest.InMemoryExporter) string {
	t.Helper()
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := exporter.GetSpans()
	slices.SortStableFunc(spans, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	known := map[string]bool{}
	for _, s := range spans {
		known[s.SpanContext.SpanID().String()] = true
	}
	var b strings.Builder
	var show func(parent string, depth int)
	show = func(parent string, depth int) {
		for _, s := range spans {
			at := s.Parent.SpanID().String()
			if at != parent && (depth > 0 || known[at]) {
				continue
			}
			in := strings.Repeat("  ", depth)
			fmt.Fprintf(&b, "%s%s [%s]%s\n", in, s.Name, s.SpanKind, statusText(s))
			fmt.Fprintf(&b, "%s  %s\n", in, attributes(s.Attributes))
			for _, e := range s.Events {
				fmt.Fprintf(&b, "%s  event %s: %s\n", in, e.Name, attributes(e.Attributes))
			}
			for _, l := range s.Links {
				fmt.Fprintf(&b, "%s  link %s-%s\n", in, l.SpanContext.TraceID(), l.SpanContext.SpanID())
			}
			show(s.SpanContext.SpanID().String(), depth+1)
		}
	}
	show("", 0)
	return b.String()
}

func statusText(s tracetest.SpanStub) string {
	if s.Status.Code.String() == "Unset" {
		return ""
	}
	return " " + s.Status.Code.String() + " " + s.Status.Description
}

func attributes(attrs []attribute.KeyValue) string {
	texts := make([]string, len(attrs))
	for i, a := range attrs {
		texts[i] = string(a.Key) + "=" + a.Value.String()
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

// logged is what the log hands on of an event sent with span s.
func logged(s Span, ev *event.Event, offset int64) *event.Record {
	s.Stamp(ev)
	return &event.Record{
		Position: event.Position{Partition: 2, Offset: offset}, Event: ev,
		TraceParent: s.TraceParent(), TraceState: s.Context().State,
	}
}

// runChain is a POST that leads to a delivery with one retry, whose reply
// leads to a delivery that ends dead.
func runChain(p *Provider, in Context, first *event.Event) {
	server := p.Server(in, "POST", "/events")
	send := p.Send(server.Context(), "signalbox.events", first, 1)
	rec := logged(send, first, 7)
	send.End()
	server.SetStatus(202)
	server.End()

	process := p.Process(rec, "thumbs-on-upload", "thumbs", 42, "signalbox-dispatcher")
	one := p.Attempt(process, 1, "http://bob:secret@127.0.0.1:9000/in?code=secret")
	one.SetStatus(503)
	one.End()
	two := p.Attempt(process, 2, "http://127.0.0.1:9000/in")
	two.SetStatus(200)
	two.End()
	reply := &event.Event{ID: "r1", Source: "/thumbs", Type: "com.example.thumbnail", Extensions: []event.Attribute{{Name: "correlationid", Value: "c1"}}}
	answer := p.Send(process.Context(), "signalbox.events", reply, 1)
	next := logged(answer, reply, 8)
	answer.End()
	process.Outcome(event.Delivered, "", 2)
	process.End()

	process = p.Process(next, "index", "index", 42, "signalbox-dispatcher")
	only := p.Attempt(process, 1, "https://index.example/")
	only.Fail("timeout", "no answer within 30s")
	only.End()
	process.Outcome(event.Dead, "timeout", 1)
	process.End()
	p.Drop(next, "signalbox-dispatcher", "duplicate")
}

func TestOneChainIsOneTrace(t *testing.T) {
	p, exporter := open(t, nil)
	first := &event.Event{ID: "e1", Source: "/camera", Type: "com.example.uploaded", Subject: "a.jpg"}
	runChain(p, Context{}, first)
	const firstEvent = "cloudevents.event_id=e1 cloudevents.event_source=/camera cloudevents.event_spec_version=1.0 cloudevents.event_subject=a.jpg cloudevents.event_type=com.example.uploaded"
	const replyEvent = "cloudevents.event_id=r1 cloudevents.event_source=/thumbs cloudevents.event_spec_version=1.0 cloudevents.event_type=com.example.thumbnail"
	want := `POST /events [server]
  http.request.method=POST http.response.status_code=202 http.route=/events url.scheme=http
  send signalbox.events [producer]
    ` + firstEvent + ` messaging.destination.name=signalbox.events messaging.message.id=e1 messaging.operation.name=send messaging.operation.type=send messaging.system=kafka
    process thumbs-on-upload [consumer]
      ` + firstEvent + ` faas.invoked_name=thumbs faas.invoked_provider=signalbox messaging.consumer.group.name=signalbox-dispatcher messaging.destination.name=signalbox.events messaging.destination.partition.id=2 messaging.kafka.offset=7 messaging.message.id=e1 messaging.operation.name=process messaging.operation.type=process messaging.system=kafka signalbox.attempts=2 signalbox.function=thumbs signalbox.link=thumbs-on-upload signalbox.outcome=delivered signalbox.revision=42
      POST [client] Error 
        error.type=503 http.request.method=POST http.response.status_code=503 server.address=127.0.0.1 server.port=9000 url.full=http://REDACTED:REDACTED@127.0.0.1:9000/in?code=REDACTED
      POST [client]
        http.request.method=POST http.request.resend_count=1 http.response.status_code=200 server.address=127.0.0.1 server.port=9000 url.full=http://127.0.0.1:9000/in
      send signalbox.events [producer]
        ` + replyEvent + ` messaging.destination.name=signalbox.events messaging.message.conversation_id=c1 messaging.message.id=r1 messaging.operation.name=send messaging.operation.type=send messaging.system=kafka
        process index [consumer] Error dead letter
          ` + replyEvent + ` error.type=timeout faas.invoked_name=index faas.invoked_provider=signalbox messaging.consumer.group.name=signalbox-dispatcher messaging.destination.name=signalbox.events messaging.destination.partition.id=2 messaging.kafka.offset=8 messaging.message.conversation_id=c1 messaging.message.id=r1 messaging.operation.name=process messaging.operation.type=process messaging.system=kafka signalbox.attempts=1 signalbox.function=index signalbox.link=index signalbox.outcome=dead signalbox.revision=42
          event dead letter: signalbox.reason=timeout
          POST [client] Error no answer within 30s
            error.type=timeout http.request.method=POST server.address=index.example server.port=443 url.full=https://index.example/
        process signalbox.events [consumer]
          ` + replyEvent + ` messaging.consumer.group.name=signalbox-dispatcher messaging.destination.name=signalbox.events messaging.destination.partition.id=2 messaging.kafka.offset=8 messaging.message.conversation_id=c1 messaging.message.id=r1 messaging.operation.name=process messaging.operation.type=process messaging.system=kafka signalbox.outcome=dropped
          event dropped: signalbox.reason=duplicate
`
	if got := tree(t, p, exporter); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	traces := map[string]bool{}
	for _, s := range exporter.GetSpans() {
		traces[s.SpanContext.TraceID().String()] = true
	}
	if len(traces) != 1 {
		t.Errorf("%d traces, want 1", len(traces))
	}
}

func TestCallerAndSourceAreJoined(t *testing.T) {
	p, exporter := open(t, nil)
	const source = "00-11111111111111111111111111111111-2222222222222222-01"
	ev := &event.Event{ID: "e1", Source: "/s", Type: "t", Extensions: []event.Attribute{{Name: "traceparent", Value: source}}}
	in := Extract([]string{goodParent}, []string{"a=1", "a=2"})
	runChain(p, in, ev)
	if got, _ := ev.Extension("traceparent"); got != source {
		t.Errorf("the source's extension became %q", got)
	}
	text := tree(t, p, exporter)
	if n := strings.Count(text, "link 11111111111111111111111111111111-2222222222222222"); n != 2 {
		t.Errorf("%d links to the creation context, want 2 (send and process):\n%s", n, text)
	}
	for _, s := range exporter.GetSpans() {
		if s.SpanContext.TraceID().String() != goodTrace {
			t.Errorf("%s is in trace %s, not the caller's", s.Name, s.SpanContext.TraceID())
		}
		if s.SpanKind.String() == "server" && s.Parent.SpanID().String() != goodSpan {
			t.Errorf("the server span's parent is %s, not the caller", s.Parent.SpanID())
		}
	}
}

func TestStateReachesTheNextHop(t *testing.T) {
	p, _ := open(t, nil)
	in := Extract([]string{goodParent}, []string{"a=1", "a=2,b=3"})
	ev := &event.Event{ID: "e1", Source: "/s", Type: "t"}
	send := p.Send(p.Server(in, "POST", "/events").Context(), "signalbox.events", ev, 1)
	rec := logged(send, ev, 0)
	if rec.TraceState != "a=1,a=2,b=3" {
		t.Errorf("tracestate %q", rec.TraceState)
	}
	if got, _ := ev.Extension("tracestate"); got != "a=1,a=2,b=3" {
		t.Errorf("extension tracestate %q", got)
	}
	if got, _ := ev.Extension("traceparent"); got != send.TraceParent() {
		t.Errorf("extension traceparent %q, want the send span %q", got, send.TraceParent())
	}
}

func TestRecordWithoutHeaderContinuesItsCreationContext(t *testing.T) {
	p, exporter := open(t, nil)
	ev := &event.Event{ID: "e1", Source: "/s", Type: "t", Extensions: []event.Attribute{{Name: "traceparent", Value: goodParent}}}
	p.Process(&event.Record{Event: ev}, "l", "f", 1, "g").End()
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := exporter.GetSpans()[0]
	if s.Parent.SpanID().String() != goodSpan || len(s.Links) != 0 {
		t.Errorf("parent %s with %d links, want %s with none", s.Parent.SpanID(), len(s.Links), goodSpan)
	}
}

func TestBatchHasACountAndALinkPerEvent(t *testing.T) {
	p, exporter := open(t, nil)
	batch := []*event.Event{
		{ID: "1", Source: "/s", Type: "t", Extensions: []event.Attribute{{Name: "traceparent", Value: goodParent}}},
		{ID: "2", Source: "/s", Type: "t"},
	}
	s := p.Send(Context{}, "signalbox.events", nil, len(batch))
	for _, ev := range batch {
		s.Link(ev)
		s.Stamp(ev)
	}
	s.Link(batch[1]) // stamped with the span itself: no link to oneself
	s.End()
	want := "send signalbox.events [producer]\n" +
		"  messaging.batch.message_count=2 messaging.destination.name=signalbox.events messaging.operation.name=send messaging.operation.type=send messaging.system=kafka\n" +
		"  link " + goodTrace + "-" + goodSpan + "\n"
	if got := tree(t, p, exporter); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestServerSpanOfStrangeMethods(t *testing.T) {
	p, exporter := open(t, nil)
	s := p.Server(Context{}, "FROB", "/events")
	s.SetStatus(405)
	s.End()
	want := "HTTP /events [server]\n  http.request.method=_OTHER http.response.status_code=405 http.route=/events url.scheme=http\n"
	if got := tree(t, p, exporter); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRecordThatIsNoEventHasASpan(t *testing.T) {
	p, exporter := open(t, nil)
	p.Drop(&event.Record{}, "g", "not_an_event")
	if got := tree(t, p, exporter); !strings.Contains(got, "event dropped: signalbox.reason=not_an_event") {
		t.Errorf("got\n%s", got)
	}
}
