package eventlogtest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
)

func (s suite) testConsume(t *testing.T) {
	for name, run := range map[string]func(*testing.T){
		"what is settled is not delivered again":                      s.settledStays,
		"settled beyond the watermark is skipped after a restart":     s.aheadIsSkipped,
		"a stop waits for what is in flight":                          s.stopDrains,
		"a stop does not wait longer than the budget":                 s.stopIsBounded,
		"order is kept within a key":                                  s.orderPerKey,
		"a slow partition holds up no other":                          s.slowPartition,
		"a full window stops the hand-over":                           s.windowBounds,
		"a record that is no event is handed over":                    s.poison,
		"transaction markers and aborted records let the lag reach 0": s.markersPass,
		"only one Consume at a time":                                  s.onlyOne,
	} {
		t.Run(name, run)
	}
}

func (s suite) settledStays(t *testing.T) {
	l := open(t, s.fresh(t, 1))
	in := newInbox()
	c := consume(t, l, in)
	mustAppend(t, l, messages("s", 0, 20)...)
	for _, d := range in.wait(t, 20) {
		d.done()
	}
	c.mustStop(t)
	lag, err := l.Lag(within(t))
	if err != nil || lag[0] != 0 {
		t.Errorf("lag %v, %v", lag, err)
	}
	equal(t, valuesOf(again(t, l)), nil)
}

// again consumes once more and returns what comes before a record appended now.
func again(t testing.TB, l *eventlog.Log) []delivery {
	t.Helper()
	in := newInbox()
	in.auto = true
	c := consume(t, l, in)
	mustAppend(t, l, message("s", "last"))
	got := in.until(t, func(got []delivery) bool {
		return slices.ContainsFunc(got, func(d delivery) bool { return string(d.Message.Value) == "last" })
	})
	c.mustStop(t)
	return got[:len(got)-1]
}

func (s suite) aheadIsSkipped(t *testing.T) {
	cfg := s.fresh(t, 1)
	cfg.DrainTimeout = 10 * time.Millisecond
	l := open(t, cfg)
	in := newInbox()
	c := consume(t, l, in)
	mustAppend(t, l, messages("s", 0, 200)...)
	got := in.wait(t, 200)
	var want []string
	for i, d := range slices.Backward(got) {
		if i%17 == 3 {
			want = append(want, string(d.Message.Value))
			continue
		}
		d.done()
	}
	slices.Reverse(want)
	c.mustStop(t)
	equal(t, valuesOf(again(t, l)), want)
	equal(t, valuesOf(again(t, l)), nil)
}

func (s suite) stopDrains(t *testing.T) {
	l := open(t, s.fresh(t, 1))
	in := newInbox()
	c := consume(t, l, in)
	mustAppend(t, l, messages("s", 0, 5)...)
	got := in.wait(t, 5)
	c.cancel()
	for l.Stats().Assigned > 0 { // until it drains
		<-time.After(time.Millisecond)
	}
	for _, d := range got {
		select {
		case <-c.ended:
			t.Fatal("Consume ended with records in flight")
		default:
		}
		d.done()
	}
	c.mustStop(t)
	equal(t, valuesOf(again(t, l)), nil)
}

func (s suite) stopIsBounded(t *testing.T) {
	cfg := s.fresh(t, 1)
	cfg.DrainTimeout = 50 * time.Millisecond
	l := open(t, cfg)
	in := newInbox()
	ended := make(chan struct{})
	in.block = func(ctx context.Context, recs []event.Record) {
		<-ctx.Done()
		close(ended)
	}
	c := consume(t, l, in)
	mustAppend(t, l, messages("s", 0, 5)...)
	for l.Stats().Unsettled < 1 {
		<-time.After(time.Millisecond)
	}
	c.mustStop(t)
	<-ended
	equal(t, valuesOf(again(t, l)), ids("s", 0, 5))
}

func (s suite) orderPerKey(t *testing.T) {
	l := open(t, s.fresh(t, 3))
	in := newInbox()
	in.auto = true
	consume(t, l, in)
	const keys, each = 7, 30
	for i := range each {
		for k := range keys {
			mustAppend(t, l, message(fmt.Sprint(k), fmt.Sprintf("%d-%d", k, i)))
		}
	}
	next := make(map[string]int)
	for _, d := range in.wait(t, keys*each) {
		key := string(d.Message.Key)
		if want := fmt.Sprintf("%s-%d", key, next[key]); string(d.Message.Value) != want {
			t.Fatalf("got %s, want %s", d.Message.Value, want)
		}
		next[key]++
	}
}

func (s suite) slowPartition(t *testing.T) {
	cfg := s.fresh(t, 4)
	cfg.QueueRecords, cfg.HandleRecords = 4, 2
	l := open(t, cfg)
	slow := l.PartitionOf(eventlog.Events, []byte("slow"))
	quick := "q"
	for l.PartitionOf(eventlog.Events, []byte(quick)) == slow {
		quick += "q"
	}
	in := newInbox()
	in.auto = true
	release := make(chan struct{})
	in.block = func(ctx context.Context, recs []event.Record) {
		if recs[0].Partition == slow {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
	}
	consume(t, l, in)
	for i := range 50 { // the slow partition's queue overflows many times
		mustAppend(t, l, messages("slow", 10*i, 10*i+10)...)
		mustAppend(t, l, messages(quick, 10*i, 10*i+10)...)
	}
	equal(t, valuesOf(in.wait(t, 500)[:500]), ids(quick, 0, 500))
	if n := l.Stats().Polled; n >= 1000 {
		t.Errorf("all %d records were fetched: the slow partition was not paused", n)
	}
	close(release)
	equal(t, valuesOf(in.wait(t, 1000)[500:]), ids("slow", 0, 500))
}

func (s suite) windowBounds(t *testing.T) {
	cfg := s.fresh(t, 1)
	cfg.Window, cfg.HandleRecords = 10, 5
	l := open(t, cfg)
	in := newInbox()
	consume(t, l, in)
	mustAppend(t, l, messages("w", 0, 100)...)
	got := in.wait(t, 10)
	for _, d := range got[1:] {
		d.done() // the first one holds the watermark
	}
	if n := len(in.wait(t, 10)); n != 10 {
		t.Fatalf("%d records handed over, the window is 10", n)
	}
	in.settleOn()
	got[0].done()
	equal(t, valuesOf(in.wait(t, 100)), ids("w", 0, 100))
}

func (s suite) poison(t *testing.T) {
	l := open(t, s.fresh(t, 1))
	in := newInbox()
	in.auto = true
	c := consume(t, l, in)
	mustAppend(t, l, event.Message{Key: []byte("k"), Value: []byte("no event")}, message("k", "event"))
	got := in.wait(t, 2)
	if got[0].Event != nil || got[0].Fault == nil || string(got[0].Message.Value) != "no event" {
		t.Errorf("got %+v", got[0].Record)
	}
	if got[1].Event == nil || got[1].Fault != nil {
		t.Errorf("got %+v", got[1].Record)
	}
	c.mustStop(t)
	equal(t, valuesOf(again(t, l)), nil)
}

func (s suite) markersPass(t *testing.T) {
	cfg := s.fresh(t, 1)
	l := open(t, cfg)
	in := newInbox()
	c := consume(t, l, in)
	mustAppend(t, l, message("m", "first"))
	transactions(t, cfg)
	got := in.wait(t, 2)
	equal(t, valuesOf(got), []string{"first", "committed-0"})
	mustAppend(t, l, message("m", "behind")) // the last marker was fetched when this came
	for _, d := range in.wait(t, 3) {
		d.done()
	}
	transactions(t, cfg)
	in.wait(t, 4)[3].done()
	ctx := within(t)
	for {
		lag, err := l.Lag(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if lag[0] == 0 {
			break
		}
	}
	c.mustStop(t)
}

func (s suite) onlyOne(t *testing.T) {
	l := open(t, s.fresh(t, 1))
	in := newInbox()
	consume(t, l, in)
	mustAppend(t, l, message("o", "one"))
	in.wait(t, 1)[0].done()
	if err := l.Consume(t.Context(), in); err == nil {
		t.Error("a second Consume ran")
	}
}
