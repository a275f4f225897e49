package dispatcher_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

func withTime(id, extension string, at time.Time) *event.Event {
	ev := newEvent(id)
	ev.SetExtension(extension, at.Format(time.RFC3339Nano))
	return ev
}

func TestAnExpiredEventIsDroppedAndSaysSo(t *testing.T) {
	o := &order{}
	inYard(t, plainTarget(resource.Delivery{}), map[string]http.HandlerFunc{"fn": o.ServeHTTP}, nil, func(t *testing.T, y *yard) {
		y.send(withTime("old", "expirytime", time.Now().Add(-time.Second)), withTime("fresh", "expirytime", time.Now().Add(time.Second)))
		y.waitSettledVirtual(2)
		if o.done() != "fresh" {
			t.Errorf("done %q, want fresh alone", o.done())
		}
		for _, r := range y.log.Runs() {
			if r.EventID == "old" && (r.Outcome != event.Dropped || !strings.HasPrefix(r.Reason, "expired: its expirytime was")) {
				t.Errorf("run %+v", r)
			}
		}
	})
}

func TestAnEventThatExpiresWhileItWaitsIsDropped(t *testing.T) {
	for name, d := range map[string]resource.Delivery{
		"in the lane": {Backoff: resource.Backoff{Initial: resource.Duration(500 * time.Millisecond), Max: resource.Duration(500 * time.Millisecond)}},
		"parked":      slowRetry,
	} {
		t.Run(name, func(t *testing.T) {
			o := &order{status: func(string, int) int { return 500 }}
			full := func(b *bed) { b.parts.Rand = func() float64 { return 1 } }
			inYard(t, plainTarget(d), map[string]http.HandlerFunc{"fn": o.ServeHTTP}, full, func(t *testing.T, y *yard) {
				y.send(withTime("a", "expirytime", time.Now().Add(400*time.Millisecond)))
				time.Sleep(time.Hour)
				runs := y.log.Runs()
				if last := runs[len(runs)-1]; o.count("a") != 1 || last.Outcome != event.Dropped || len(y.parking.Open("fn", 3)) != 0 || y.settledCount() != 1 {
					t.Errorf("%d calls, run %+v", o.count("a"), last)
				}
			})
		})
	}
}

func TestDeliverAfterIsWaitedForOverAHandOver(t *testing.T) {
	o := &order{}
	inYard(t, plainTarget(resource.Delivery{}), map[string]http.HandlerFunc{"fn": o.ServeHTTP}, nil, func(t *testing.T, y *yard) {
		soon, late := withTime("soon", "deliverafter", time.Now().Add(500*time.Millisecond)), withTime("late", "deliverafter", time.Now().Add(time.Hour))
		y.send(soon, late, newEvent("now"))
		synctest.Wait()
		if o.done() != "now" || y.settledCount() != 2 {
			t.Errorf("done %q with %d settled, want now and 2: what is far away must not hold up the partition", o.done(), y.settledCount())
		}
		time.Sleep(time.Second)
		y.handOver()
		time.Sleep(58 * time.Minute)
		if o.done() != "now soon" {
			t.Errorf("done %q, want now soon", o.done())
		}
		time.Sleep(2 * time.Minute)
		if o.done() != "now soon late" {
			t.Errorf("done %q, want now soon late", o.done())
		}
	})
}

func TestATimeThatIsNoneSaysNothing(t *testing.T) {
	o := &order{}
	inYard(t, plainTarget(resource.Delivery{}), map[string]http.HandlerFunc{"fn": o.ServeHTTP}, nil, func(t *testing.T, y *yard) {
		ev := newEvent("a")
		ev.SetExtension("expirytime", "yesterday")
		ev.SetExtension("deliverafter", "tomorrow")
		y.send(ev)
		y.waitSettledVirtual(1)
		if o.done() != "a" {
			t.Errorf("done %q", o.done())
		}
	})
}
