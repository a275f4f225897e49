package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/dispatcher/dispatchertest"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// slowAnd answers after d, and fails the events named.
func slowAnd(d time.Duration, failing ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, id := range failing {
			if r.Header.Get("Ce-Id") == id {
				w.WriteHeader(500)
				return
			}
		}
		time.Sleep(d)
	}
}

var hourly = resource.Delivery{
	Concurrency: 2, Attempts: 100, Timeout: resource.Duration(10 * time.Minute),
	Backoff: resource.Backoff{Initial: resource.Duration(time.Hour), Max: resource.Duration(time.Hour)},
}

func TestLosingAPartitionFinishesCallsAndAbandonsTheRest(t *testing.T) {
	// e0 waits for a retry, e1 and e2 are being called, the others wait.
	virtual(t, hourly, slowAnd(10*time.Second, "e0"), nil, func(t *testing.T, b *bed) {
		b.send(newEvents(6)...)
		time.Sleep(time.Second)
		b.lose()
		b.Release(context.Background(), 3)
		if b.settledCount() != 2 || b.settled[1] != 1 || b.settled[2] != 1 {
			t.Errorf("settled %v, want offsets 1 and 2", b.settled)
		}
		for _, s := range b.Lanes() {
			if s.Queued+s.Retrying+s.Running != 0 {
				t.Errorf("lane %+v still holds deliveries of the lost partition", s)
			}
		}
		time.Sleep(10 * time.Hour)
		if b.settledCount() != 2 {
			t.Errorf("settled %v later", b.settled)
		}
	})
}

func TestACallBeyondTheDrainBudgetIsNotSettled(t *testing.T) {
	virtual(t, hourly, slowAnd(time.Minute), nil, func(t *testing.T, b *bed) {
		b.send(newEvent("a"))
		time.Sleep(time.Second)
		b.lose()
		start := time.Now()
		b.Release(context.Background(), 3)
		if took := time.Since(start); took != b.cfg.DrainTimeout {
			t.Errorf("drained after %s, want %s", took, b.cfg.DrainTimeout)
		}
		time.Sleep(time.Hour)
		if b.settledCount() != 0 {
			t.Errorf("settled %v, want none", b.settled)
		}
	})
}

func TestAPartitionThatComesBackIsDeliveredAgain(t *testing.T) {
	var mu sync.Mutex
	broken := true
	h := func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if broken {
			w.WriteHeader(500)
		}
	}
	virtual(t, hourly, h, nil, func(t *testing.T, b *bed) {
		b.send(newEvents(5)...)
		synctest.Wait()
		b.lose()
		mu.Lock()
		broken = false
		mu.Unlock()
		b.part, b.lose = context.WithCancel(context.Background())
		b.send(newEvents(5)...)
		b.waitSettledVirtual(5)
		time.Sleep(10 * time.Hour) // the abandoned retries must not settle once more
	})
}

func TestLosingAPartitionWakesAHandleThatWaitsForRoom(t *testing.T) {
	virtual(t, hourly, slowAnd(time.Minute), func(b *bed) { b.cfg.QueueSize = 2 }, func(t *testing.T, b *bed) {
		time.AfterFunc(time.Second, b.lose)
		start := time.Now()
		b.send(newEvents(50)...)
		if took := time.Since(start); took != time.Second {
			t.Errorf("Handle returned after %s, want 1s", took)
		}
	})
}

func TestDrainLetsCallsFinishAndStartsNothing(t *testing.T) {
	var calls atomic.Int64
	h := func(http.ResponseWriter, *http.Request) { calls.Add(1); time.Sleep(10 * time.Second) }
	virtual(t, hourly, h, nil, func(t *testing.T, b *bed) {
		b.send(newEvents(6)...)
		synctest.Wait()
		if err := b.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		if err := b.stop(); err != nil {
			t.Error(err)
		}
		if b.settledCount() != 2 || calls.Load() != 2 {
			t.Errorf("%d settled after %d calls, want 2 and 2", b.settledCount(), calls.Load())
		}
		b.Handle(b.part, records(10, newEvent("late")), b.settle)
		time.Sleep(time.Hour)
		if calls.Load() != 2 {
			t.Error("called after Drain")
		}
	})
}

func TestDrainCutsOffCallsAtTheEndOfItsBudget(t *testing.T) {
	virtual(t, hourly, slowAnd(5*time.Minute), nil, func(t *testing.T, b *bed) {
		b.send(newEvents(6)...)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 7*time.Second)
		defer cancel()
		start := time.Now()
		if err := b.Drain(ctx); !errors.Is(err, dispatcher.ErrCutOff) {
			t.Errorf("Drain: %v, want ErrCutOff", err)
		}
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("took %s, want 7s", took)
		}
		if b.settledCount() != 0 || len(b.log.Dead()) != 0 {
			t.Errorf("settled %v with dead letters %+v, want none: a call that was cut off has no outcome", b.settled, b.log.Dead())
		}
		time.Sleep(10 * time.Minute) // until the handlers of the test have ended
	})
}

func TestACallThatIsCutOffIsNoDeadLetter(t *testing.T) {
	last := hourly
	last.Attempts = 1
	virtual(t, last, slowAnd(5*time.Minute), nil, func(t *testing.T, b *bed) {
		b.send(newEvent("a"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		b.Drain(ctx)
		if b.settledCount() != 0 || len(b.log.Dead()) != 0 {
			t.Errorf("settled %v with dead letters %+v, want none", b.settled, b.log.Dead())
		}
		time.Sleep(10 * time.Minute)
	})
}

func TestAnUnwritableDeadLetterDoesNotHoldUpTheEnd(t *testing.T) {
	virtual(t, hourly, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) }, func(b *bed) {
		b.log.FailDead = func() bool { return true }
	}, func(t *testing.T, b *bed) {
		b.send(newEvents(5)...)
		synctest.Wait()
		start := time.Now()
		if err := b.stop(); !errors.Is(err, dispatcher.ErrCutOff) {
			t.Errorf("Run: %v, want ErrCutOff", err)
		}
		if took := time.Since(start); took > b.cfg.DrainTimeout || b.settledCount() != 0 {
			t.Errorf("stopped after %s with %d settled, want at most %s and none", took, b.settledCount(), b.cfg.DrainTimeout)
		}
	})
}

// TestEveryRecordIsSettledOnceWhateverHappens sends many events from several
// partitions to functions that answer at random, while partitions are lost and
// come back: in the end every record of every partition is settled, each at
// most once per time of owning its partition, and never without an outcome.
func TestEveryRecordIsSettledOnceWhateverHappens(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { chaos(t, seed) })
		})
	}
}

func chaos(t *testing.T, seed uint64) {
	const partitions, events, functions = 3, 120, 4
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	roll := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
	statuses := []int{200, 200, 200, 202, 204, 400, 404, 429, 500, 503, 302}
	h := func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Duration(roll(2000)) * time.Millisecond)
		w.WriteHeader(statuses[roll(len(statuses))])
	}
	p := &pipes{hosts: map[string]http.HandlerFunc{}}
	var targets []resource.Target
	for i := range functions {
		name := fmt.Sprint("f", i)
		if i != 0 { // f0 has no host
			p.hosts[name+":80"] = h
		}
		targets = append(targets, dispatchertest.Target("l"+name, name, "http://"+name, resource.Delivery{Concurrency: 3, Attempts: 3, Timeout: resource.Duration(time.Second)}))
	}
	b := newBed(t, targets, func(b *bed) {
		b.cfg.QueueSize, b.cfg.BreakerMax = 16, 2*time.Second
		b.parts.Dial = p.dial
		b.log.FailDead = func() bool { return roll(4) == 0 }
		b.claims.Fail = func() bool { return roll(10) == 0 }
		b.parts.Deduper = anew{}
	})
	var all sync.WaitGroup
	for part := range int32(partitions) {
		all.Go(func() { own(t, b, part, events, roll) })
	}
	all.Wait()
	b.stop()
	time.Sleep(2 * b.cfg.IdleConnTimeout)
	outcomes := map[string]int{}
	for _, r := range b.log.Runs() {
		if r.Outcome == event.Delivered || r.Outcome == event.Dead {
			outcomes[r.Position+" "+r.Link]++
		}
	}
	if len(outcomes) != partitions*events*functions {
		t.Errorf("%d deliveries have an outcome, want %d", len(outcomes), partitions*events*functions)
	}
}

// own is a log that delivers one partition until all of it is settled, losing it now and then.
func own(t *testing.T, b *bed, part int32, events int, roll func(int) int) {
	var mu sync.Mutex
	settled := map[int64]bool{}
	left := func() []event.Record {
		mu.Lock()
		defer mu.Unlock()
		var recs []event.Record
		for o := range int64(events) {
			if !settled[o] {
				recs = append(recs, event.Record{Position: event.Position{Partition: part, Offset: o}, Event: newEvent(fmt.Sprint(o)), Timestamp: time.Now()})
			}
		}
		return recs
	}
	for recs := left(); len(recs) > 0; recs = left() {
		ctx, cancel := context.WithCancel(context.Background())
		mine := map[int64]bool{}
		settle := func(o int64) {
			mu.Lock()
			defer mu.Unlock()
			if mine[o] {
				t.Errorf("partition %d: offset %d settled twice", part, o)
			}
			mine[o], settled[o] = true, true
		}
		time.AfterFunc(time.Duration(1+roll(60))*time.Second, cancel)
		b.Handle(ctx, recs, settle)
		<-ctx.Done()
		if roll(2) == 0 {
			b.Release(context.Background(), part)
		}
	}
}

// anew is a Deduper for which every event is new.
type anew struct{}

func (anew) Claim(_ context.Context, _ []event.Record, v []event.Verdict) error {
	clear(v)
	return nil
}

func TestAPartitionLostWhileDeadLettersFailIsLeftAtOnce(t *testing.T) {
	virtual(t, hourly, nil, func(b *bed) { b.log.FailDead = func() bool { return true } }, func(t *testing.T, b *bed) {
		time.AfterFunc(time.Minute, b.lose)
		start := time.Now()
		b.send(nil, nil) // no events: dead letters, written by the partition's own goroutine
		if took := time.Since(start); took != time.Minute || b.settledCount() != 0 {
			t.Errorf("Handle returned after %s with %d settled, want 1m and none", took, b.settledCount())
		}
	})
}

func TestACallThatFailsAfterItsPartitionWasLostIsNotRepeated(t *testing.T) {
	virtual(t, hourly, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(5 * time.Second)
		w.WriteHeader(500)
	}, nil, func(t *testing.T, b *bed) {
		b.send(newEvent("a"))
		synctest.Wait()
		b.lose()
		b.Release(context.Background(), 3)
		if s := b.Lanes(); s[0].Retrying != 0 || b.settledCount() != 0 {
			t.Errorf("lanes %+v, settled %v; want nothing", s, b.settled)
		}
	})
}

func TestWhatComesAfterTheReleaseIsForTheNextOwner(t *testing.T) {
	fn := &order{}
	inYard(t, plainTarget(quick), map[string]http.HandlerFunc{"fn": fn.ServeHTTP}, nil, func(t *testing.T, y *yard) {
		y.sendKeyed(0, "a")
		y.waitSettledVirtual(1)
		y.Release(context.Background(), 3)
		y.sendKeyed(1, "b") // it was on its way to the handler
		parked := event.Parked{Event: newEvent("c"), Link: "link", Function: "fn", Position: "3:2", Reason: event.ParkSlow}
		y.HandleParked(y.part, "fn", []event.Record{{Position: event.Position{Partition: 3}, Message: parked.Message()}}, func(int64) { t.Error("settled") })
		time.Sleep(time.Minute)
		if fn.count("b")+fn.count("c") > 0 || y.settledCount() != 1 {
			t.Errorf("called for %v, %d settled", fn.ids, y.settledCount())
		}
		earlier := y.part
		y.lose()
		y.ownAgain()
		y.Handle(earlier, keyed(1, "b"), y.settle) // later still
		y.sendKeyed(1, "b")
		y.waitSettledVirtual(2)
		if fn.count("b") != 1 {
			t.Errorf("called for %v", fn.ids)
		}
	})
}
