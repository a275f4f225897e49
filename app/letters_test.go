package app

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	logbroker "github.com/signalbox-dev/signalbox/eventlog/embedded"
	"github.com/signalbox-dev/signalbox/gateway"
)

// openLog is a log on an embedded broker that keeps its data under dir.
func openLog(t *testing.T, dir string) (log *eventlog.Log, stop func()) {
	t.Helper()
	broker, err := logbroker.Start(logbroker.Config{DataDir: dir, Listen: "127.0.0.1:0", NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	cfg := eventlog.DefaultConfig()
	cfg.Brokers, cfg.Embedded, cfg.Partitions = []string{broker.Addr()}, true, 4
	log, err = eventlog.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			log.Close(context.Background())
			if err := broker.Close(); err != nil {
				t.Errorf("the broker: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return log, stop
}

// letter is a dead letter of function f.
func letter(n int64, change ...func(*event.DeadLetter)) event.DeadLetter {
	pos := event.Position{Partition: 2, Offset: n}
	d := event.DeadLetter{
		ID:    event.DeadLetterID(pos, "l", 0),
		Event: &event.Event{ID: fmt.Sprint("e", n), Source: "/s", Type: "t", Subject: fmt.Sprint("s", n%2)},
		Link:  "l", Function: "f", Version: "v1", Reason: "status 400", Position: pos.String(), Revision: 7, Time: time.Now(),
		Attempts: []event.Attempt{{Number: 1, Status: 400, Time: time.Now()}},
	}
	for _, c := range change {
		c(&d)
	}
	return d
}

func write(t *testing.T, log *eventlog.Log, topic eventlog.Topic, messages ...event.Message) {
	t.Helper()
	if _, err := log.Append(t.Context(), topic, messages); err != nil {
		t.Fatal(err)
	}
}

func resolution(id string, a event.Action) event.Message {
	return (&event.Resolution{Letter: id, Action: a, Version: "v9", Time: time.Now()}).Message()
}

// followed is an index that is followed until the test ends; told gets the
// decisions that it hears of.
func followed(t *testing.T, log *eventlog.Log) (x *letterIndex, told chan event.Resolution) {
	t.Helper()
	told = make(chan event.Resolution, 100)
	x = newLetterIndex(log, quiet(), func(r event.Resolution) { told <- r })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return x, told
}

func stateOf(t *testing.T, x *letterIndex, id string) (letterState, event.Resolution) {
	t.Helper()
	r, s, err := x.State(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

func TestAnIndexKnowsWhatWasDecidedBeforeItBegan(t *testing.T) {
	dir := t.TempDir()
	log, stop := openLog(t, dir)
	open, redriven, dropped := letter(1), letter(2), letter(3)
	write(t, log, eventlog.Dead, open.Message(), redriven.Message(), dropped.Message(),
		resolution(redriven.ID, event.Redrive), resolution(dropped.ID, event.Drop),
		resolution(redriven.ID, event.Drop)) // too late: the first decision holds
	check := func(log *eventlog.Log) {
		t.Helper()
		x, told := followed(t, log)
		if s, _ := stateOf(t, x, open.ID); s != letterOpen {
			t.Errorf("the open one is %v", s)
		}
		if s, r := stateOf(t, x, redriven.ID); s != letterResolved || r.Action != event.Redrive || r.Version != "v9" {
			t.Errorf("the redriven one is %v %+v", s, r)
		}
		if s, r := stateOf(t, x, dropped.ID); s != letterResolved || r.Action != event.Drop {
			t.Errorf("the dropped one is %v %+v", s, r)
		}
		if s, _ := stateOf(t, x, "2-77-none"); s != letterNone {
			t.Errorf("one that does not exist is %v", s)
		}
		if len(told) > 0 {
			t.Errorf("%d decisions of the past are told as news", len(told))
		}
	}
	check(log)
	stop()
	log, _ = openLog(t, dir)
	check(log)
}

func TestAnIndexTellsEachLaterDecisionOnce(t *testing.T) {
	log, _ := openLog(t, t.TempDir())
	a, b := letter(1), letter(2)
	write(t, log, eventlog.Dead, a.Message())
	x, told := followed(t, log)
	if s, _ := stateOf(t, x, a.ID); s != letterOpen {
		t.Fatalf("%v", s)
	}
	write(t, log, eventlog.Dead, resolution(a.ID, event.Drop), event.Message{Headers: []event.Header{{Key: event.ResolutionHeader, Value: []byte("{")}}},
		resolution(a.ID, event.Redrive), b.Message(), resolution(b.ID, event.Redrive))
	for range 20 { // several read the same part at a time
		go func() { _ = x.refresh(context.Background()) }()
	}
	if r := <-told; r.Letter != a.ID || r.Action != event.Drop {
		t.Errorf("told %+v", r)
	}
	if r := <-told; r.Letter != b.ID || r.Action != event.Redrive {
		t.Errorf("told %+v", r)
	}
	if s, r := stateOf(t, x, a.ID); s != letterResolved || r.Action != event.Drop {
		t.Errorf("%v %+v", s, r)
	}
	if err := x.refresh(t.Context()); err != nil || len(told) > 0 {
		t.Errorf("told again: %d, %v", len(told), err)
	}
}

func TestWhatIsForgottenIsReadFromTheLog(t *testing.T) {
	log, _ := openLog(t, t.TempDir())
	x := newLetterIndex(log, quiet(), nil)
	x.letters, x.decisions = newLetterPlaces(4), newLetterPlaces(4)
	var ids []string
	want := map[string]gateway.LetterState{}
	for n := range int64(12) {
		l := letter(n)
		ids = append(ids, l.ID)
		write(t, log, eventlog.Dead, l.Message())
		if n%3 > 0 {
			action := []event.Action{"", event.Redrive, event.Drop}[n%3]
			write(t, log, eventlog.Dead, resolution(l.ID, action))
			want[l.ID] = gateway.StateAfter(action)
		} else {
			want[l.ID] = gateway.LetterOpen
		}
	}
	if err := x.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !x.letters.forgot || !x.decisions.forgot {
		t.Fatal("nothing was forgotten: the test shows nothing")
	}
	if got, err := x.states(t.Context(), ids); err != nil || !maps.Equal(got, want) {
		t.Errorf("states %v, %v\nwant   %v", got, err, want)
	}
	for n, id := range ids {
		found, err := x.find(t.Context(), id)
		if err != nil || found[id].letter == nil || found[id].letter.ID != id || (found[id].resolution == nil) != (n%3 == 0) {
			t.Errorf("letter %d: %+v, %v", n, found[id], err)
		}
	}
	if found, err := x.find(t.Context(), "none"); err != nil || found["none"] != (standing{}) {
		t.Errorf("none: %+v, %v", found, err)
	}
}

func TestAnIndexThatCannotReadSaysSo(t *testing.T) {
	log, stop := openLog(t, t.TempDir())
	x := newLetterIndex(log, quiet(), nil)
	stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := x.State(ctx, "1-1-x"); err == nil {
		t.Error("no error")
	}
}

func TestLetterIDOfARecord(t *testing.T) {
	real := letter(5)
	for name, c := range map[string]struct{ header, want string }{
		"as it is written":  {string(mustHeader(real.Message())), real.ID},
		"other order":       {`{"link":"l","id":"x"}`, "x"},
		"with an escape":    {`{"id":"a\"b"}`, `a"b`},
		"not closed":        {`{"id":"a`, ""},
		"no JSON":           {`id`, ""},
		"an id that is not": {`{"id":7}`, ""},
	} {
		m := event.Message{Headers: []event.Header{{Key: event.DeadLetterHeader, Value: []byte(c.header)}}}
		if got := letterID(&m); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := letterID(&event.Message{}); got != "" {
		t.Errorf("no header: %q", got)
	}
}

func mustHeader(m event.Message) []byte {
	h, _ := m.Header(event.DeadLetterHeader)
	return h
}

func TestPlacesKeepPositionAndBit(t *testing.T) {
	for _, pos := range []event.Position{{}, {Partition: 1<<partitionBits - 1, Offset: 1<<offsetBits - 1}, {Partition: 3, Offset: 17}} {
		for _, bit := range []bool{false, true} {
			if p := packPlace(pos, bit); p.position() != pos || p.bit() != bit {
				t.Errorf("%v %t comes back as %v %t", pos, bit, p.position(), p.bit())
			}
		}
	}
}
