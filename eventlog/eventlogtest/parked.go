package eventlogtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func (s suite) testParked(t *testing.T) {
	for name, run := range map[string]func(*testing.T){
		"what is not settled comes back after a stop, in order":            s.parkedStays,
		"after a crash exactly what was not settled comes again":           s.parkedCrash,
		"it follows its partition to another member":                       s.parkedMoves,
		"members share, and hand over without loss or repetition":          s.parkedShare,
		"calls for one function and partition keep their order":            s.parkedOrder,
		"behind is true from Park until the handler's call has returned":   s.parkedBehind,
		"what another process parks is found":                              s.parkedByOthers,
		"a blocked function holds up neither events nor other functions":   s.parkedBlocks,
		"a backlog behind a blocked handler stays in the log":              s.parkedBounded,
		"a full window stops one stream only":                              s.parkedWindow,
		"a delivery that is no good is refused once":                       s.parkedRefused,
		"what is settled is deleted from the log":                          s.parkedDeleted,
		"a topic that somebody deleted begins anew":                        s.parkedTopicGone,
		"a topic made anew is read from its start, however long it is":     s.parkedTopicAnew,
		"own comes first, release once, and nothing is settled afterwards": s.ownAndRelease,
	} {
		t.Run(name, run)
	}
}

// park parks messages and waits until they stand in the log.
func park(t testing.TB, l *eventlog.Log, function string, partition int32, msgs ...event.Message) []event.Position {
	t.Helper()
	at := make([]event.Position, len(msgs))
	errs := make(chan error, len(msgs))
	for i := range msgs {
		l.Park(function, partition, msgs[i], func(pos event.Position, err error) {
			at[i] = pos
			errs <- err
		})
	}
	for range msgs {
		if err := <-errs; err != nil {
			t.Fatalf("park: %v", err)
		}
	}
	return at
}

func (b *inbox) waitParked(t testing.TB, n int) []delivery {
	t.Helper()
	return b.untilOf(t, &b.parked, n, func([]delivery) bool { return true })
}

// againParked consumes once more and returns what comes of a stream before a
// record parked now.
func againParked(t testing.TB, l *eventlog.Log, function string) []delivery {
	t.Helper()
	in := newInbox()
	in.auto = true
	c := consume(t, l, in)
	park(t, l, function, 0, message("", "last"))
	got := in.untilParked(t, func(got []delivery) bool {
		return slices.ContainsFunc(got, func(d delivery) bool { return string(d.Message.Value) == "last" })
	})
	c.mustStop(t)
	return got[:len(got)-1]
}

func (s suite) parkedStays(t *testing.T) {
	cfg := s.fresh(t, 2)
	cfg.DrainTimeout = 10 * time.Millisecond
	l := open(t, cfg)
	at := park(t, l, "f", 0, messages("p", 0, 200)...)
	if at[0] != (event.Position{}) || at[199].Offset != 199 {
		t.Errorf("parked at %v and %v", at[0], at[199])
	}
	in := newInbox()
	c := consume(t, l, in)
	got := in.waitParked(t, 200)
	equal(t, valuesOf(got), ids("p", 0, 200))
	if d := got[7]; d.function != "f" || d.Event != nil || d.Fault != nil || d.Position != at[7] {
		t.Errorf("got %+v of function %q", d.Record, d.function)
	}
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
	if lag, err := l.ParkedLag(within(t)); err != nil || len(lag) != 1 || lag["f"] != 197 {
		t.Errorf("lag %v, %v: want 197, from the first that is open", lag, err)
	}
	again := open(t, cfg)
	equal(t, valuesOf(againParked(t, again, "f")), want)
	equal(t, valuesOf(againParked(t, again, "f")), nil)
	if lag, err := again.ParkedLag(within(t)); err != nil || lag["f"] != 0 {
		t.Errorf("lag %v, %v", lag, err)
	}
}

func (s suite) parkedCrash(t *testing.T) {
	s.halfSettled(t, func(l *eventlog.Log, msgs []event.Message) { park(t, l, "f", 0, msgs...) }, (*inbox).waitParked)
}

func (s suite) parkedMoves(t *testing.T) {
	cfg := s.fresh(t, 4)
	a, b := open(t, cfg), open(t, cfg)
	inA, inB := newInbox(), newInbox()
	cA := consume(t, a, inA)
	for p := range int32(4) {
		park(t, a, "f", p, messages(fmt.Sprint(p), 0, 10)...)
	}
	got := inA.waitParked(t, 40)
	open := make(map[string]bool)
	for i, d := range got {
		if i%3 == 0 {
			open[string(d.Message.Value)] = true
		} else {
			d.done()
		}
	}
	// a hands partitions over and does not wait for what is open there.
	inA.change(func() { clear(inA.open) })
	cB := consume(t, b, inB)
	moved := inB.untilParked(t, func(got []delivery) bool {
		owned := make(map[int32]int)
		for _, d := range got {
			owned[d.Partition]++
		}
		return len(owned) == 2
	})
	for _, d := range got {
		if d.Partition == moved[0].Partition {
			d.done() // too late: a does not own it any more
		}
	}
	cA.mustStop(t)
	all := inB.untilParked(t, func(got []delivery) bool { return len(got) >= len(open) })
	for _, d := range all {
		if !open[string(d.Message.Value)] {
			t.Errorf("%s was settled, and came again", d.Message.Value)
		}
		d.done()
	}
	cB.mustStop(t)
	if lag, err := b.ParkedLag(within(t)); err != nil || lag["f"] != 0 {
		t.Errorf("lag %v, %v", lag, err)
	}
}

func (s suite) parkedShare(t *testing.T) {
	cfg := s.fresh(t, 6)
	cfg.ParkedInterval = 20 * time.Millisecond
	a, b := open(t, cfg), open(t, cfg)
	inA, inB := newInbox(), newInbox()
	inA.later, inB.later = true, true
	halt := make(chan struct{})
	sent := 0
	var sender sync.WaitGroup
	sender.Go(func() {
		for ; ; sent++ {
			select {
			case <-halt:
				return
			default:
				park(t, a, []string{"f", "g"}[sent%2], int32(sent%6), message("", fmt.Sprint(sent)))
			}
		}
	})
	cA := consume(t, a, inA)
	inA.waitParked(t, 100)
	cB := consume(t, b, inB)
	inB.waitParked(t, 100) // a has handed partitions over, amid the stream
	cA.mustStop(t)
	before := len(inB.waitParked(t, 100))
	inB.waitParked(t, before+100) // b has taken the others over
	close(halt)
	sender.Wait()
	times := make(map[string]int)
	inB.untilParked(t, func(got []delivery) bool {
		clear(times)
		for _, d := range slices.Concat(got, inA.parked) { // a has ended
			times[string(d.Message.Value)]++
		}
		return len(times) == sent
	})
	cB.mustStop(t)
	for v, n := range times {
		if n != 1 {
			t.Errorf("%s was delivered %d times", v, n)
		}
	}
	if lag, err := b.ParkedLag(within(t)); err != nil || lag["f"] != 0 || lag["g"] != 0 {
		t.Errorf("lag %v, %v", lag, err)
	}
}

func (s suite) parkedOrder(t *testing.T) {
	l := open(t, s.fresh(t, 3))
	in := newInbox()
	in.auto = true
	consume(t, l, in)
	const each = 300
	var parking, answered sync.WaitGroup
	for _, function := range []string{"f", "g.v2"} {
		for p := range int32(3) {
			parking.Go(func() {
				for i := range each {
					answered.Add(1)
					l.Park(function, p, message("k", fmt.Sprint(i)), func(_ event.Position, err error) {
						if err != nil {
							t.Error(err)
						}
						answered.Done()
					})
				}
			})
		}
	}
	parking.Wait()
	answered.Wait()
	next := make(map[string]int)
	for _, d := range in.waitParked(t, 2*3*each) {
		stream := fmt.Sprint(d.function, d.Partition)
		if want := fmt.Sprint(next[stream]); string(d.Message.Value) != want {
			t.Fatalf("stream %s: got %s, want %s", stream, d.Message.Value, want)
		}
		next[stream]++
	}
}

// caughtUp waits until a stream is not behind.
func caughtUp(t testing.TB, l *eventlog.Log, function string, partition int32) {
	t.Helper()
	for ctx := within(t); l.ParkedBehind(function, partition); {
		if ctx.Err() != nil {
			t.Fatalf("%s %d is behind for ever", function, partition)
		}
		<-time.After(time.Millisecond)
	}
}

func (s suite) parkedBehind(t *testing.T) {
	l := open(t, s.fresh(t, 2))
	if !l.ParkedBehind("f", 0) {
		t.Error("not behind before anything is known")
	}
	park(t, l, "f", 0, message("", "early"))
	mustAppend(t, l, message("", "event"))
	in := newInbox()
	inCall, release := make(chan string), make(chan bool)
	in.blockParked = func(ctx context.Context, _ string, recs []event.Record) {
		select {
		case inCall <- string(recs[0].Message.Value):
			<-release
		case <-ctx.Done():
		}
	}
	in.block = func(_ context.Context, recs []event.Record) {
		if !l.ParkedBehind("f", 0) {
			t.Error("not behind when the first event came")
		}
	}
	c := consume(t, l, in)
	if v := <-inCall; v != "early" {
		t.Fatalf("got %s", v)
	}
	caughtUp(t, l, "none", 0)
	caughtUp(t, l, "f", 1)
	in.wait(t, 1)
	if !l.ParkedBehind("f", 0) {
		t.Error("not behind during the handler's call")
	}
	release <- true
	caughtUp(t, l, "f", 0) // nothing of it is settled
	for i := range 50 {
		parked := make(chan error, 1)
		l.Park("f", 0, message("", fmt.Sprint(i)), func(_ event.Position, err error) { parked <- err })
		if !l.ParkedBehind("f", 0) {
			t.Error("not behind after Park")
		}
		if v := <-inCall; v != fmt.Sprint(i) {
			t.Fatalf("got %s", v)
		}
		if !l.ParkedBehind("f", 0) {
			t.Error("not behind during the handler's call")
		}
		release <- true
		if err := <-parked; err != nil {
			t.Fatal(err)
		}
		caughtUp(t, l, "f", 0)
	}
	for _, d := range in.waitParked(t, 51) {
		d.done()
	}
	in.mu.Lock()
	in.auto = true
	for _, d := range in.got {
		go d.done()
	}
	in.mu.Unlock()
	c.mustStop(t)
	if !l.ParkedBehind("f", 0) || !l.ParkedBehind("none", 0) {
		t.Error("not behind after the partition was handed over")
	}
}

func (s suite) parkedByOthers(t *testing.T) {
	cfg := s.fresh(t, 2)
	cfg.ParkedInterval = 50 * time.Millisecond
	l, other := open(t, cfg), open(t, cfg)
	in := newInbox()
	in.auto = true
	consume(t, l, in)
	caughtUp(t, l, "f", 1)
	park(t, other, "f", 1, messages("o", 0, 3)...)
	equal(t, valuesOf(in.waitParked(t, 3)), ids("o", 0, 3))
	park(t, other, "f", 1, messages("o", 3, 6)...)
	equal(t, valuesOf(in.waitParked(t, 6)), ids("o", 0, 6))
}

func (s suite) parkedBlocks(t *testing.T) {
	l := open(t, s.fresh(t, 1))
	in := newInbox()
	in.auto = true
	release := make(chan struct{})
	in.blockParked = func(ctx context.Context, function string, _ []event.Record) {
		if function == "slow" {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
	}
	consume(t, l, in)
	park(t, l, "slow", 0, messages("s", 0, 10)...)
	park(t, l, "quick", 0, messages("q", 0, 10)...)
	mustAppend(t, l, messages("m", 0, 10)...)
	equal(t, valuesOf(in.wait(t, 10)), ids("m", 0, 10))
	equal(t, valuesOf(in.waitParked(t, 10)), ids("q", 0, 10))
	close(release)
	equal(t, valuesOf(in.waitParked(t, 20)[10:]), ids("s", 0, 10))
}

func (s suite) parkedBounded(t *testing.T) {
	const many = 100_000
	cfg := s.fresh(t, 1)
	l := open(t, cfg)
	in := newInbox()
	in.later = false
	entered, release := make(chan int, 1), make(chan struct{})
	var once sync.Once
	in.blockParked = func(ctx context.Context, _ string, recs []event.Record) {
		once.Do(func() { entered <- len(recs) })
		select {
		case <-release:
		case <-ctx.Done():
		}
	}
	c := consume(t, l, in)
	pad := strings.Repeat("x", 1000)
	before := heap()
	for from := 0; from < many; from += 10_000 {
		var answered sync.WaitGroup
		for i := from; i < from+10_000; i++ {
			answered.Add(1)
			l.Park("f", 0, message("", pad+fmt.Sprint(i)), func(_ event.Position, err error) {
				if err != nil {
					t.Error(err)
				}
				answered.Done()
			})
		}
		answered.Wait()
	}
	if n := <-entered; n > 64 {
		t.Errorf("%d records in one call", n)
	}
	if grown := heap() - before; grown > 32<<20 {
		t.Errorf("%d MiB are kept of 100 MiB in the log", grown>>20)
	}
	if lag, err := l.ParkedLag(within(t)); err != nil || lag["f"] != many {
		t.Errorf("lag %v, %v", lag, err)
	}
	if n := l.Stats().Unparked; n > 64 {
		t.Errorf("%d records handed over to a handler that is blocked", n)
	}
	in.settleOn()
	close(release)
	got := in.waitParked(t, many)
	for i, d := range got {
		if want := fmt.Sprint(pad, i); string(d.Message.Value) != want {
			t.Fatalf("record %d is %s", i, d.Message.Value[1000:])
		}
	}
	c.mustStop(t)
}

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func (s suite) parkedWindow(t *testing.T) {
	cfg := s.fresh(t, 1)
	cfg.ParkedWindow, cfg.HandleRecords = 10, 5
	l := open(t, cfg)
	in := newInbox()
	consume(t, l, in)
	park(t, l, "f", 0, messages("w", 0, 100)...)
	got := in.waitParked(t, 10)
	park(t, l, "g", 0, messages("g", 0, 5)...)
	equal(t, valuesOf(in.waitParked(t, 15)[10:]), ids("g", 0, 5))
	in.settleOn()
	for _, d := range got[1:] {
		d.done() // the first one holds the watermark, and nothing else
	}
	equal(t, valuesOf(in.waitParked(t, 105)[15:]), ids("w", 10, 100))
	got[0].done()
}

func (s suite) parkedRefused(t *testing.T) {
	cfg := s.fresh(t, 1)
	cfg.MaxMessageBytes = 64 << 10
	cfg.MaxBufferedRecords = 8
	cable := plug(&cfg)
	l := open(t, cfg)
	answer := func(function string, partition int32, m event.Message) error {
		got := make(chan error, 2)
		l.Park(function, partition, m, func(_ event.Position, err error) { got <- err })
		return <-got
	}
	if err := answer("f", 0, event.Message{Value: make([]byte, 512<<10)}); err != nil {
		t.Errorf("as large as a dead letter may be: %v", err)
	}
	if err := answer("f", 0, event.Message{Value: make([]byte, 2<<20)}); !errors.Is(err, eventlog.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if err := answer(strings.Repeat("f", 250), 0, message("", "x")); !errors.Is(err, eventlog.ErrTooLarge) {
		t.Errorf("a name that is no topic's: %v", err)
	}
	if err := answer("f", -1, message("", "x")); !errors.Is(err, eventlog.ErrNotFound) {
		t.Errorf("no partition: %v", err)
	}
	if err := answer("f", 3, message("", "x")); err != nil {
		t.Errorf("a partition the events topic got later: %v", err)
	}
	cable.cut()
	errs := make(chan error, 20)
	for _, m := range messages("b", 0, 10) {
		l.Park("f", 0, m, func(_ event.Position, err error) { errs <- err })
	}
	for range 2 {
		if err := <-errs; !errors.Is(err, eventlog.ErrBacklog) {
			t.Errorf("got %v, want ErrBacklog", err)
		}
	}
	cable.mend()
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	mustAppend(t, l, message("", "event"))
	l.Close(within(t))
	if err := answer("f", 0, message("", "x")); !errors.Is(err, eventlog.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if err := answer("new", 0, message("", "x")); !errors.Is(err, eventlog.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func (s suite) ownAndRelease(t *testing.T) {
	cfg := s.fresh(t, 1)
	l := open(t, cfg)
	in := newInbox()
	in.blockParked = func(context.Context, string, []event.Record) {
		in.mu.Lock()
		defer in.mu.Unlock()
		if !slices.Equal(in.events, []string{"own 0"}) {
			t.Errorf("%v before a record came", in.events)
		}
	}
	in.block = func(context.Context, []event.Record) { in.blockParked(nil, "", nil) }
	c := consume(t, l, in)
	mustAppend(t, l, message("", "event"))
	park(t, l, "f", 0, message("", "parked"))
	main, parked := in.wait(t, 1)[0], in.waitParked(t, 1)[0]
	in.change(func() { clear(in.open) }) // release returns at once
	c.mustStop(t)
	in.mu.Lock()
	if !slices.Equal(in.events, []string{"own 0", "release 0"}) {
		t.Errorf("%v", in.events)
	}
	in.mu.Unlock()
	main.done()
	parked.done()
	in = newInbox()
	in.auto = true
	c = consume(t, l, in)
	equal(t, valuesOf(in.wait(t, 1)), []string{"event"})
	equal(t, valuesOf(in.waitParked(t, 1)), []string{"parked"})
	c.mustStop(t)
}

func (s suite) parkedDeleted(t *testing.T) {
	cfg := s.fresh(t, 1)
	if cfg.Embedded {
		return // by size: see the tests of trimming
	}
	cfg.ParkedInterval = 10 * time.Millisecond
	l := open(t, cfg)
	in := newInbox()
	c := consume(t, l, in)
	park(t, l, "f", 0, messages("d", 0, 10)...)
	got := in.waitParked(t, 10)
	for i, d := range got {
		if i != 6 {
			d.done()
		}
	}
	left := func() (values []string) {
		err := l.Read(within(t), eventlog.Parked("f"), eventlog.Earliest(), eventlog.ReadOptions{}, func(r event.Record) error {
			values = append(values, string(r.Message.Value))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return values
	}
	for ctx := within(t); len(left()) == 10 && ctx.Err() == nil; {
		<-time.After(10 * time.Millisecond)
	}
	equal(t, left(), ids("d", 6, 10))
	got[6].done()
	for ctx := within(t); len(left()) > 0 && ctx.Err() == nil; {
		<-time.After(10 * time.Millisecond)
	}
	equal(t, left(), nil)
	park(t, l, "f", 0, message("", "more"))
	equal(t, valuesOf(in.waitParked(t, 11)[10:]), []string{"more"})
	in.waitParked(t, 11)[10].done()
	c.mustStop(t)
	equal(t, valuesOf(againParked(t, l, "f")), nil)
}

func (s suite) parkedTopicAnew(t *testing.T) {
	t.Run("by who reads it", func(t *testing.T) { s.madeAnew(t, false) })
	t.Run("by who reads it next", func(t *testing.T) { s.madeAnew(t, true) })
}

func (s suite) madeAnew(t *testing.T, stopped bool) {
	cfg := s.fresh(t, 1)
	cfg.ParkedInterval = 300 * time.Millisecond
	l := open(t, cfg)
	in := newInbox()
	in.auto = true
	c := consume(t, l, in)
	park(t, l, "f", 0, messages("a", 0, 10)...)
	in.waitParked(t, 10)
	if stopped {
		c.mustStop(t)
	}
	deleteTopic(t, cfg, eventlog.Parked("f"))
	other := open(t, cfg) // it knows nothing of the topic that was there
	for ctx := within(t); ; {
		lag, err := other.ParkedLag(ctx)
		if _, there := lag["f"]; err == nil && !there {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("lag %v, %v", lag, err)
		}
	}
	parkAnew(t, other, "f", message("b", "b-0"))
	park(t, other, "f", 0, messages("b", 1, 30)...)
	if stopped {
		c = consume(t, other, in)
	}
	want := make([]string, 30)
	for i := range want {
		want[i] = fmt.Sprint("b-", i)
	}
	equal(t, valuesOf(in.waitParked(t, 40)[10:]), want)
	c.mustStop(t)
}

// parkAnew parks in a topic that was deleted a moment ago: until the broker has the
// new one it refuses records, though it says already that there is such a topic.
func parkAnew(t *testing.T, l *eventlog.Log, function string, msg event.Message) {
	t.Helper()
	for ctx := within(t); ; {
		answer := make(chan error, 1)
		l.Park(function, 0, msg, func(_ event.Position, err error) { answer <- err })
		if err := <-answer; err == nil {
			return
		} else if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

func deleteTopic(t *testing.T, cfg eventlog.Config, topic eventlog.Topic) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).DeleteTopic(within(t), cfg.TopicPrefix+string(topic)); err != nil {
		t.Fatal(err)
	}
}

func (s suite) parkedTopicGone(t *testing.T) {
	cfg := s.fresh(t, 1)
	cfg.ParkedInterval = 20 * time.Millisecond
	l := open(t, cfg)
	in := newInbox()
	in.auto = true
	c := consume(t, l, in)
	park(t, l, "f", 0, messages("a", 0, 10)...)
	in.waitParked(t, 10)
	deleteTopic(t, cfg, eventlog.Parked("f"))
	for ctx := within(t); ; { // until this process has noticed, an answer may be an error
		lag, err := l.ParkedLag(ctx)
		if _, there := lag["f"]; err == nil && !there {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("lag %v, %v", lag, err)
		}
	}
	parkAnew(t, l, "f", message("", "b"))
	equal(t, valuesOf(in.waitParked(t, 11)[10:]), []string{"b"})
	c.mustStop(t)
}
