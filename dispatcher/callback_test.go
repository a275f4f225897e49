package dispatcher_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// newCall is a call of fn whose caller wants to know.
func newCall(id string) *event.Event {
	e := newEvent(id)
	e.SetExtension(event.ExtCallTarget, "fn")
	e.SetExtension(event.ExtCallbackURL, "https://shop.example/done?n=1")
	return e
}

func extension(e *event.Event, name string) string {
	v, _ := e.Extension(name)
	return v
}

func TestACallersAnswerIsAnEvent(t *testing.T) {
	for _, c := range []struct {
		name         string
		answer       answer
		status, data string
		// others are the replies beside the answer, dead the dead letters.
		others, dead int
	}{
		{"a body", answer{200, "image/png", nil, "png"}, "200", "png", 0, 0},
		{"nothing", answer{204, "", nil, ""}, "204", "", 0, 0},
		{"another 2xx", answer{201, "text/plain", nil, "made"}, "201", "made", 0, 0},
		{"an event is both", answer{200, "application/json", ceHeaders, `{"x":1}`}, "200", `{"x":1}`, 1, 0},
		{"refused for good", answer{400, "text/plain", nil, "no"}, "400", "no", 0, 1},
		{"failed for good", answer{500, "text/plain", nil, "broken"}, "500", "broken", 0, 1},
		{"failed without a word", answer{500, "text/plain", nil, ""}, "500", "3 attempts spent", 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, one(serve(t, c.answer.ServeHTTP)), nil)
			b.send(newCall("a"))
			b.waitSettled(1)
			b.stop()
			events := b.log.Events()
			if len(events) != 1+c.others || len(b.log.Dead()) != c.dead {
				t.Fatalf("%d events and %d dead letters: want %d and %d", len(events), len(b.log.Dead()), 1+c.others, c.dead)
			}
			got := events[len(events)-1].Event
			if event.Callback(got) != "https://shop.example/done?n=1" || extension(got, event.ExtCallStatus) != c.status || extension(got, event.ExtCallID) != "a" || !strings.Contains(string(got.Data), c.data) {
				t.Errorf("the answer is %+v %q", got, got.Data)
			}
		})
	}
}

func TestACallWithoutACallbackIsAnsweredToNobody(t *testing.T) {
	b := newBed(t, one(serve(t, answer{200, "text/plain", nil, "x"}.ServeHTTP)), nil)
	e := newCall("a")
	e.SetExtension(event.ExtCallbackURL, "")
	b.send(e)
	b.waitSettled(1)
	b.stop()
	if events := b.log.Events(); len(events) != 0 {
		t.Errorf("%d events", len(events))
	}
}

// answerFor is an answer on its way to a caller at url.
func answerFor(t *testing.T, url string) (*event.Event, []resource.Target) {
	t.Helper()
	call := newCall("call-1")
	call.SetExtension(event.ExtCallbackURL, url)
	a := event.DeriveAnswer(call, &event.Answer{Status: 201, ContentType: "text/plain", Data: []byte("made"), MS: 1500, Function: "fn"}, 0, event.Hop{Link: "call:fn", Now: time.Now()})
	to, err := resource.CallbackTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	to.Link.Spec.Delivery = fast()
	return a, []resource.Target{to}
}

func TestACallerGetsTheAnswerAtItsURL(t *testing.T) {
	var got *http.Request
	var body []byte
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got, body = r, nil
		body, _ = io.ReadAll(r.Body)
		// A stranger gets no event in by what it answers, and no lease.
		answer{200, "application/json", ceHeaders, `{"x":1}`}.ServeHTTP(w, r)
	})
	a, targets := answerFor(t, url+"/done/a%2Fb?n=1#part")
	b := newBed(t, targets, nil)
	b.send(a)
	b.waitSettled(1)
	b.stop()
	if got.URL.EscapedPath() != "/done/a%2Fb" || got.URL.RawQuery != "n=1" || string(body) != "made" {
		t.Errorf("%s %q", got.URL, body)
	}
	for name, want := range map[string]string{
		"X-Call-Id": "call-1", "X-Function-Name": "fn", "X-Function-Status": "201", "X-Duration-Seconds": "1.500000", "Content-Type": "text/plain",
		"Ce-Type": event.TypeAnswer, "Signalbox-Delivery": "", "Prefer": "", "Ce-Callbackurl": "", "Signalbox-Attempt": "1",
	} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s is %q: want %q", name, v, want)
		}
	}
	if events := b.log.Events(); len(events) != 0 {
		t.Errorf("the caller's answer became %d events", len(events))
	}
}

func TestACallbackIsTriedAgainAndNeverLeased(t *testing.T) {
	calls := 0
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls == 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Signalbox-Lease", "1h")
		w.WriteHeader(http.StatusAccepted)
	})
	a, targets := answerFor(t, url+"/done")
	b := newBed(t, targets, nil)
	b.send(a)
	b.waitSettled(1)
	b.stop()
	if calls != 2 {
		t.Errorf("%d calls: want 2", calls)
	}
}

func TestCallbacksAreDialledByRulesOfTheirOwn(t *testing.T) {
	a, targets := answerFor(t, "http://10.0.0.1/done")
	dialled := make(chan string, 100)
	b := newBed(t, targets, func(b *bed) {
		b.parts.DialCallback = func(_ context.Context, _, address string) (net.Conn, error) {
			dialled <- address
			return nil, errors.New("not allowed")
		}
		b.parts.Dial = func(context.Context, string, string) (net.Conn, error) {
			t.Error("the function's dialler was used")
			return nil, errors.New("wrong")
		}
	})
	b.send(a)
	if address := <-dialled; address != "10.0.0.1:80" {
		t.Errorf("dialled %s", address)
	}
}

func TestTheCallerOfLongWorkIsAnsweredAtItsEnd(t *testing.T) {
	inLending(t, plainTarget(quick), "60s", func(t *testing.T, y *yard, fn *lender) {
		y.send(newCall("a"))
		y.waitSettledVirtual(1)
		time.Sleep(time.Second)
		if n := len(y.log.Events()); n != 0 {
			t.Fatalf("%d events before the work was done", n)
		}
		reply := newEvent("r")
		reply.Data = []byte("done")
		y.done(fn.token(1), reply)
		synctest.Wait()
		events := y.log.Events()
		if len(events) != 2 || event.Callback(events[1].Event) == "" || string(events[1].Event.Data) != "done" || extension(events[1].Event, event.ExtCallMS) != "1000.000" {
			t.Errorf("%d events", len(events))
		}
	})
}
