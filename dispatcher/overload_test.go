package dispatcher_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher/dispatchertest"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// answersAfter is a function that takes so long.
func answersAfter(d time.Duration) http.HandlerFunc {
	return func(http.ResponseWriter, *http.Request) { time.Sleep(d) }
}

// oneCall is a function that takes one call at a time.
func oneCall() []resource.Target {
	targets := plainTarget(resource.Delivery{Timeout: resource.Duration(time.Hour)})
	targets[0].Function.Spec.Concurrency = 1
	return targets
}

// parkedRuns counts the deliveries that were parked for want of room.
func (y *yard) parkedRuns(function string) (n int) {
	for _, r := range y.log.Runs() {
		if r.Function == function && r.Outcome == event.Waiting {
			n++
		}
	}
	return n
}

func TestAFullLaneThatMovesIsWaitedForWhileAllAreBusy(t *testing.T) {
	targets := append(oneCall(), dispatchertest.Target("other", "well", "http://well/", resource.Delivery{}))
	targets[1].Function.Spec.Concurrency = 1
	busy := map[string]http.HandlerFunc{"fn": answersAfter(5 * time.Millisecond), "well": answersAfter(5 * time.Millisecond)}
	inYard(t, targets, busy, func(b *bed) { b.cfg.QueueSize = 16 }, func(t *testing.T, y *yard) {
		y.send(newEvents(500)...)
		y.waitSettledVirtual(500)
		if fn, well := y.parkedRuns("fn"), y.parkedRuns("well"); fn+well != 0 {
			t.Errorf("%d and %d deliveries were parked, want none", fn, well)
		}
	})
}

func TestAFullLaneIsNotWaitedForWhileAnotherHasNothingToDo(t *testing.T) {
	targets := append(oneCall(), dispatchertest.Target("other", "well", "http://well/", resource.Delivery{}))
	hosts := map[string]http.HandlerFunc{"fn": answersAfter(5 * time.Millisecond), "well": answersAfter(0)}
	inYard(t, targets, hosts, func(b *bed) { b.cfg.QueueSize = 128 }, func(t *testing.T, y *yard) {
		begun := time.Now()
		y.send(newEvents(500)...)
		if took := time.Since(begun); took > 50*time.Millisecond {
			t.Errorf("the partition waited for %s", took)
		}
		y.waitSettledVirtual(500)
		if n := y.parkedRuns("fn"); n < 300 {
			t.Errorf("%d deliveries were parked, want what found no room", n)
		}
	})
}

func TestAFullLaneThatStandsStillIsWaitedForOnce(t *testing.T) {
	var stands chan struct{} // made in the bubble
	hosts := map[string]http.HandlerFunc{"fn": func(http.ResponseWriter, *http.Request) { <-stands }}
	inYard(t, oneCall(), hosts, func(b *bed) { b.cfg.QueueSize = 16 }, func(t *testing.T, y *yard) {
		stands = make(chan struct{})
		begun := time.Now()
		y.send(newEvents(500)...)
		if took := time.Since(begun); took < y.cfg.ParkAfter/8 || took > y.cfg.ParkAfter {
			t.Errorf("the partition waited for %s, want once, and at most %s", took, y.cfg.ParkAfter)
		}
		y.waitSettledVirtual(499) // all but the one that is being called
		close(stands)
		time.Sleep(time.Minute)
	})
}

func TestAPartitionThatWaitsForRoomIsHandedOver(t *testing.T) {
	hosts := map[string]http.HandlerFunc{"fn": answersAfter(time.Minute)}
	inYard(t, oneCall(), hosts, func(b *bed) { b.cfg.QueueSize = 16 }, func(t *testing.T, y *yard) {
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			y.send(newEvents(18)...)
		}()
		time.Sleep(50 * time.Millisecond) // it waits now
		released, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		y.Release(released, 3)
		select {
		case <-sent:
		case <-time.After(time.Millisecond):
			t.Error("Handle still waits after the hand-over")
			<-sent
		}
		time.Sleep(2 * time.Minute)
	})
}

func TestAPartitionFarBehindDoesNotWaitForRoom(t *testing.T) {
	hosts := map[string]http.HandlerFunc{"fn": answersAfter(5 * time.Millisecond)}
	inYard(t, oneCall(), hosts, func(b *bed) { b.cfg.QueueSize = 16 }, func(t *testing.T, y *yard) {
		old := records(0, newEvents(500)...)
		for i := range old {
			old[i].Timestamp = time.Now().Add(-11 * y.cfg.ParkAfter)
		}
		begun := time.Now()
		y.Handle(y.part, old, y.settle)
		if took := time.Since(begun); took > 50*time.Millisecond {
			t.Errorf("the partition waited for %s", took)
		}
		y.waitSettledVirtual(500)
		time.Sleep(time.Minute)
	})
}
