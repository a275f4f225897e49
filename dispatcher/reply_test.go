package dispatcher_test

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
)

// answer is what a function answers with.
type answer struct {
	status      int
	contentType string
	headers     map[string]string
	body        string
}

func (a answer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = nil
	if a.contentType != "" {
		w.Header().Set("Content-Type", a.contentType)
	}
	for k, v := range a.headers {
		w.Header().Set(k, v)
	}
	w.WriteHeader(a.status)
	io.WriteString(w, a.body)
}

var (
	ceHeaders = map[string]string{"ce-specversion": "1.0", "ce-id": "r1", "ce-source": "/functions/fn", "ce-type": "com.example.reply", "ce-note": "50%20%25"}
	ceJSON    = `{"specversion":"1.0","id":"r1","source":"/functions/fn","type":"com.example.reply","note":"50 %","data":{"x":1}}`
)

const (
	structured = "application/cloudevents+json; charset=UTF-8"
	batch      = "application/cloudevents-batch+json"
)

func TestReplies(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer answer
		want   int // replies
		class  string
	}{
		{"empty 200", answer{200, "", nil, ""}, 0, ""},
		{"a body that is no event", answer{200, "text/html", nil, "<p>hello"}, 0, ""},
		{"plain JSON is no event", answer{200, "application/json", nil, ceJSON}, 0, ""},
		{"binary", answer{200, "application/json", ceHeaders, `{"x":1}`}, 1, ""},
		{"structured", answer{200, structured, nil, ceJSON}, 1, ""},
		{"batch", answer{200, batch, nil, "[" + ceJSON + "," + ceJSON + "]"}, 2, ""},
		{"empty batch", answer{200, batch, nil, "[]"}, 0, ""},
		{"202 is not routed, binary", answer{202, "application/json", ceHeaders, `{"x":1}`}, 0, ""},
		{"202 is not routed, structured", answer{202, structured, nil, ceJSON}, 0, ""},
		{"201 is not routed", answer{201, structured, nil, ceJSON}, 0, ""},
		{"binary without a source", answer{200, "", map[string]string{"ce-specversion": "1.0", "ce-id": "1", "ce-type": "x"}, ""}, 0, "bad_reply"},
		{"one ce- header is a claim", answer{200, "", map[string]string{"ce-id": "1"}, ""}, 0, "bad_reply"},
		{"structured that is not JSON", answer{200, structured, nil, "hello"}, 0, "bad_reply"},
		{"structured and empty", answer{200, structured, nil, ""}, 0, "bad_reply"},
		{"batch with one bad event", answer{200, batch, nil, "[" + ceJSON + `,{"id":"1"}]`}, 0, "bad_reply"},
		{"another format", answer{200, "application/cloudevents+avro", nil, "x"}, 0, "bad_reply"},
		{"batch too long", answer{200, batch, nil, "[" + ceJSON + "," + ceJSON + "," + ceJSON + "]"}, 0, "too_large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := serve(t, c.answer.ServeHTTP)
			b := newBed(t, one(url), func(b *bed) { b.cfg.MaxReplies = 2 })
			recs := records(0, newEvent("a"))
			recs[0].TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
			b.Handle(b.part, recs, b.settle)
			b.waitSettled(1)
			b.stop()
			checkReplies(t, b, c.want)
			dead := b.log.Dead()
			switch {
			case c.class == "" && len(dead) > 0:
				t.Errorf("dead letters %+v, want none", dead)
			case c.class != "" && (len(dead) != 1 || len(dead[0].Attempts) != 3 || dead[0].Attempts[2].Class != c.class || dead[0].Attempts[2].Status != 200):
				t.Errorf("dead letters %+v, want one after 3 attempts of class %s", dead, c.class)
			}
		})
	}
}

func checkReplies(t *testing.T, b *bed, want int) {
	t.Helper()
	events := b.log.Events()
	if len(events) != want {
		t.Fatalf("%d replies appended, want %d", len(events), want)
	}
	seen := map[string]bool{}
	for _, o := range events {
		e := o.Event
		cause, _ := e.Extension(event.ExtCausationID)
		note, _ := e.Extension("note")
		if e.Type != "com.example.reply" || e.Source != "/functions/fn" || cause != "a" || event.Hops(e) != 1 || note != "50 %" || string(e.Data) != `{"x":1}` {
			t.Errorf("reply %+v", e)
		}
		if o.TraceParent != "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00" {
			t.Errorf("traceparent %q", o.TraceParent)
		}
		if seen[e.ID] {
			t.Errorf("id %s stands twice", e.ID)
		}
		seen[e.ID] = true
	}
	for _, r := range b.log.Runs() {
		if r.Outcome == event.Delivered && len(r.Replies) != want {
			t.Errorf("run %+v, want %d replies", r, want)
		}
	}
}

func TestWhatAFunctionSaysItHasSentIsNamedInTheRun(t *testing.T) {
	for list, want := range map[string]int{`[{"source":"/f","id":"1","type":"t"},{"source":"/f","id":"2","type":"u"}]`: 2, `nonsense`: 0} {
		url := serve(t, answer{204, "", map[string]string{"Signalbox-Sent": list}, ""}.ServeHTTP)
		b := newBed(t, one(url), nil)
		b.send(newEvent("a"))
		b.waitSettled(1)
		if runs := b.log.Runs(); len(runs) != 1 || len(runs[0].Replies) != want || want > 0 && runs[0].Replies[1].ID != "2" || len(b.log.Events()) != 0 {
			t.Errorf("%s: %+v", list, runs)
		}
	}
}

func TestRepeatedDeliveryAppendsTheSameIDs(t *testing.T) {
	url := serve(t, answer{200, batch, nil, "[" + ceJSON + "," + ceJSON + "]"}.ServeHTTP)
	b := newBed(t, one(url), nil)
	b.send(newEvent("a"))
	b.waitSettled(1)
	again := newBed(t, one(url), nil)
	again.send(newEvent("a"))
	again.waitSettled(1)
	x, y := b.log.Events(), again.log.Events()
	if len(x) != 2 || len(y) != 2 || x[0].Event.ID != y[0].Event.ID || x[1].Event.ID != y[1].Event.ID {
		t.Errorf("ids differ: %+v and %+v", x, y)
	}
}

func TestReplyThatCannotBeAppendedFailsTheDelivery(t *testing.T) {
	var calls, fails atomic.Int64
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		answer{200, structured, nil, ceJSON}.ServeHTTP(w, r)
	})
	b := newBed(t, one(url), func(b *bed) { b.log.FailEvents = func() bool { return fails.Add(1) < 3 } })
	b.send(newEvent("a"))
	b.waitSettled(1)
	b.stop()
	if calls.Load() != 3 || len(b.log.Events()) != 1 {
		t.Errorf("%d calls and %d replies, want 3 and 1", calls.Load(), len(b.log.Events()))
	}
	if runs := b.log.Runs(); runs[0].Outcome != event.Retrying || runs[0].Status != 200 || runs[2].Outcome != event.Delivered {
		t.Errorf("runs %+v", runs)
	}
}

func TestReplyIsAppendedBeforeTheRecordIsSettled(t *testing.T) {
	url := serve(t, answer{200, structured, nil, ceJSON}.ServeHTTP)
	b := newBed(t, one(url), nil)
	settled := make(chan int, 1)
	b.Handle(b.part, records(0, newEvent("a")), func(int64) { settled <- len(b.log.Events()) })
	if n := <-settled; n != 1 {
		t.Errorf("%d replies appended when settle was called, want 1", n)
	}
}
