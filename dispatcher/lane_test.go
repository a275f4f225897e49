package dispatcher_test

import (
	"net/http"
	"strconv"
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

func TestASlowFunctionDelaysNoOther(t *testing.T) {
	release := make(chan struct{})
	slow := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	var quick wordLog
	fastURL := serve(t, counter(&quick))
	b := newBed(t, []resource.Target{
		dispatchertest.Target("slow", "slow", slow, resource.Delivery{}),
		dispatchertest.Target("quick", "quick", fastURL, resource.Delivery{}),
	}, nil)
	b.send(newEvents(200)...)
	b.waitRuns(200)
	if b.settledCount() != 0 {
		t.Error("settled although the slow function has not answered")
	}
	close(release)
	b.waitSettled(200)
}

// gauge counts how many calls are in flight, and the most there were.
type gauge struct {
	mu        sync.Mutex
	now, most int
}

func (g *gauge) enter(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += n
	g.most = max(g.most, g.now)
}

func TestConcurrencyLimits(t *testing.T) {
	for _, c := range []struct {
		name               string
		function, link     int
		wantFn, wantOfLink int
	}{
		{"the function's bounds all its links", 3, 64, 3, 3},
		{"a link's bounds that link", 10, 2, 10, 2},
		{"the default is 64", 0, 100, 64, 64},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var all, first gauge
				p := &pipes{hosts: map[string]http.HandlerFunc{"fn:80": func(_ http.ResponseWriter, r *http.Request) {
					all.enter(1)
					if r.Header.Get("Signalbox-Link") == "a" {
						first.enter(1)
						defer first.enter(-1)
					}
					defer all.enter(-1)
					time.Sleep(time.Second)
				}}}
				limited := dispatchertest.Target("a", "fn", "http://fn/", resource.Delivery{Concurrency: c.link})
				other := dispatchertest.Target("b", "fn", "http://fn/", resource.Delivery{Concurrency: 1000})
				limited.Function.Spec.Concurrency = c.function
				other.Function = limited.Function
				b := newBed(t, []resource.Target{limited, other}, func(b *bed) { b.parts.Dial = p.dial })
				b.send(newEvents(200)...)
				b.waitSettledVirtual(200)
				if all.most != c.wantFn || first.most > c.wantOfLink {
					t.Errorf("at most %d calls at once, %d of the first link; want %d and at most %d", all.most, first.most, c.wantFn, c.wantOfLink)
				}
				b.stop()
				time.Sleep(2 * b.cfg.IdleConnTimeout)
			})
		})
	}
}

func TestAFullLaneBlocksThePartitionUntilThereIsRoom(t *testing.T) {
	var calls atomic.Int64
	virtual(t, resource.Delivery{Concurrency: 1}, func(http.ResponseWriter, *http.Request) {
		calls.Add(1)
		time.Sleep(time.Second)
	}, func(b *bed) { b.cfg.QueueSize = 8 }, func(t *testing.T, b *bed) {
		done := make(chan struct{})
		go func() { b.send(newEvents(30)...); close(done) }()
		synctest.Wait()
		if s := b.Lanes(); len(s) != 1 || s[0].Queued > 8 || s[0].Queued < 6 || s[0].Running != 1 {
			t.Errorf("lanes %+v, want about 8 queued and 1 running", s)
		}
		select {
		case <-done:
			t.Error("Handle returned while the lane was full")
		default:
		}
		<-done
		b.waitSettledVirtual(30)
	})
}

func TestALaneTakesTheNewestVersionOfItsFunction(t *testing.T) {
	var old, renewed wordLog
	first := dispatchertest.Target("link", "fn", serve(t, counter(&old)), fast())
	second := dispatchertest.Target("link", "fn", serve(t, counter(&renewed)), fast())
	second.Function.Metadata.Revision, second.Function.Spec.Concurrency = 2, 1
	var current atomic.Pointer[resource.Target]
	current.Store(&first)
	b := newBed(t, nil, func(b *bed) {
		b.parts.Chooser = dispatchertest.Choose(func(*event.Event) (dispatcher.Choice, error) {
			return dispatcher.Choice{Targets: []resource.Target{*current.Load()}}, nil
		})
	})
	b.send(newEvent("a"))
	current.Store(&second)
	b.Handle(b.part, records(1, newEvent("b")), b.settle)
	b.waitSettled(2)
	if old.String() != "a" || renewed.String() != "b" {
		t.Errorf("the old URL was called for %q, the new one for %q", old.String(), renewed.String())
	}
}

func TestADeadLetterThatCannotBeWrittenStopsItsLaneAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		var after atomic.Int64
		p := &pipes{hosts: map[string]http.HandlerFunc{
			"bad:80": func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Ce-Id") == "e0" {
					w.WriteHeader(400)
					return
				}
				after.Add(1)
				time.Sleep(time.Second)
			},
			"good:80": func(http.ResponseWriter, *http.Request) {},
		}}
		bad := dispatchertest.Target("bad", "bad", "http://bad/", resource.Delivery{Concurrency: 2})
		good := dispatchertest.Target("good", "good", "http://good/", resource.Delivery{})
		b := newBed(t, []resource.Target{bad, good}, func(b *bed) {
			b.parts.Dial = p.dial
			b.log.FailDead = away.Load
		})
		b.send(newEvents(20)...)
		time.Sleep(time.Hour)
		delivered := 0
		for _, r := range b.log.Runs() {
			if r.Function == "good" && r.Outcome == event.Delivered {
				delivered++
			}
		}
		if delivered != 20 || after.Load() > 1 || b.settledCount() > 1 || len(b.log.Dead()) != 0 {
			t.Errorf("good got %d, bad %d behind the dead letter, %d settled; want 20, at most the one in flight, and 0", delivered, after.Load(), b.settledCount())
		}
		for _, s := range b.Lanes() {
			if s.Halted != (s.Function == "bad") {
				t.Errorf("lane %+v", s)
			}
		}
		away.Store(false)
		b.waitSettledVirtual(20)
		if len(b.log.Dead()) != 1 {
			t.Errorf("%d dead letters, want 1", len(b.log.Dead()))
		}
		b.stop()
		time.Sleep(2 * b.cfg.IdleConnTimeout)
	})
}

func TestIdleLanesEnd(t *testing.T) {
	virtual(t, resource.Delivery{}, func(http.ResponseWriter, *http.Request) {}, nil, func(t *testing.T, b *bed) {
		for round := range int64(3) {
			b.Handle(b.part, records(round, newEvent("r"+strconv.Itoa(int(round)))), b.settle)
			b.waitSettledVirtual(int(round) + 1)
			if n := len(b.Lanes()); n != 1 {
				t.Errorf("%d lanes, want 1", n)
			}
			time.Sleep(3 * b.cfg.IdleAfter)
			if n := len(b.Lanes()); n != 0 {
				t.Errorf("%d lanes after idling, want none", n)
			}
		}
	})
}
