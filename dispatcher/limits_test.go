package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/dispatcher/dispatchertest"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

func TestCallsThatAreNotTakenAreNumberedAndSpendNoAttempt(t *testing.T) {
	var mu sync.Mutex
	var numbers []string
	h := func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		numbers = append(numbers, r.Header.Get("Signalbox-Attempt"))
		if len(numbers) < 4 {
			w.WriteHeader(503)
			return
		}
		w.WriteHeader(500)
	}
	inYard(t, plainTarget(resource.Delivery{Attempts: 2}), map[string]http.HandlerFunc{"fn": h}, nil, func(t *testing.T, y *yard) {
		y.send(newEvent("a"))
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if got := strings.Join(numbers, " "); got != "1 2 3 4 5" {
			t.Errorf("attempts %q, want 1 to 5: three that were not taken and two that failed", got)
		}
		dead := y.log.Dead()
		if len(dead) != 1 || len(dead[0].Attempts) != 2 || dead[0].Reason != "2 attempts spent, the last: status 500" {
			t.Errorf("dead letters %+v", dead)
		}
	})
}

func TestTheBoundOfCallsFollowsTheFunction(t *testing.T) {
	// The function takes four calls at a time and answers 429 to more.
	var inFlight, served, refused atomic.Int64
	h := func(w http.ResponseWriter, _ *http.Request) {
		defer inFlight.Add(-1)
		if inFlight.Add(1) > 4 {
			refused.Add(1)
			w.WriteHeader(429)
			return
		}
		time.Sleep(100 * time.Millisecond)
		served.Add(1)
	}
	inYard(t, plainTarget(resource.Delivery{}), map[string]http.HandlerFunc{"fn": h}, nil, func(t *testing.T, y *yard) {
		start := time.Now()
		y.send(newEvents(1000)...)
		for served.Load() < 1000 && time.Since(start) < time.Hour {
			time.Sleep(time.Second)
		}
		took := time.Since(start)
		if served.Load() != 1000 || took > 90*time.Second {
			t.Errorf("%d served in %s, want 1000 in at most 90s (25s is the best there is)", served.Load(), took)
		}
		if refused.Load() > 500 {
			t.Errorf("%d calls were refused", refused.Load())
		}
		if len(y.log.Dead()) != 0 {
			t.Errorf("%d dead letters", len(y.log.Dead()))
		}
	})
}

func TestAFunctionThatFailsEveryCallIsLeftAloneAndProbed(t *testing.T) {
	var calls atomic.Int64
	var mended atomic.Bool
	h := func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		if !mended.Load() {
			w.WriteHeader(500)
		}
	}
	d := resource.Delivery{Attempts: 100, Backoff: resource.Backoff{Initial: resource.Duration(time.Second), Max: resource.Duration(time.Second)}}
	inYard(t, plainTarget(d), map[string]http.HandlerFunc{"fn": h}, nil, func(t *testing.T, y *yard) {
		y.send(newEvents(200)...)
		time.Sleep(10 * time.Minute)
		if n := calls.Load(); n > 300 {
			t.Errorf("%d calls in 10 minutes, want a breaker: about 20, one for each in flight, and a probe each half minute", n)
		}
		if !y.Lanes()[0].Closed && y.Lanes()[0].Limit != 1 {
			t.Errorf("lane %+v, want closed or probing", y.Lanes()[0])
		}
		mended.Store(true)
		time.Sleep(time.Minute)
		if y.settledCount() != 200 || len(y.parking.Open("fn", 3)) != 0 || len(y.log.Dead()) != 0 {
			t.Errorf("%d settled, %d parked, %d dead", y.settledCount(), len(y.parking.Open("fn", 3)), len(y.log.Dead()))
		}
	})
}

// ration is dispatcher.Rates for one dispatcher: a bucket of a tenth of a second.
type ration struct {
	mu   sync.Mutex
	next time.Time
	err  error
}

func (r *ration) Take(_ context.Context, _ string, rate float64, want int) (int, time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return 0, 0, r.err
	}
	now := time.Now()
	if now.Before(r.next) {
		return 0, r.next.Sub(now), nil
	}
	r.next = now.Add(time.Duration(float64(want) / rate * float64(time.Second)))
	return want, 0, nil
}

func TestARateIsHeld(t *testing.T) {
	for name, err := range map[string]error{"counted by all": nil, "counted by nobody": errors.New("away")} {
		for _, rate := range []float64{5, 200} {
			t.Run(fmt.Sprint(name, ", ", rate, "/s"), func(t *testing.T) {
				o := &order{}
				inYard(t, plainTarget(resource.Delivery{Rate: rate}), map[string]http.HandlerFunc{"fn": o.ServeHTTP}, func(b *bed) { b.parts.Rates = &ration{err: err} }, func(t *testing.T, y *yard) {
					n := int(rate * 60)
					y.send(newEvents(n)...)
					time.Sleep(30 * time.Second)
					if got := float64(o.tried()); got < rate*30*0.97 || got > rate*30*1.03+1 {
						t.Errorf("%v calls in 30s, want %v", got, rate*30)
					}
					time.Sleep(32 * time.Second)
					if o.tried() != n {
						t.Errorf("%d calls, want %d", o.tried(), n)
					}
				})
			})
		}
	}
}

func TestSlotsAreSharedByWeight(t *testing.T) {
	var mu sync.Mutex
	served := map[string]int{}
	hosts := map[string]http.HandlerFunc{}
	var targets []resource.Target
	for name, weight := range map[string]int{"a": 1, "b": 1, "c": 2} {
		hosts[name] = func(http.ResponseWriter, *http.Request) {
			time.Sleep(100 * time.Millisecond)
			mu.Lock()
			served[name]++
			mu.Unlock()
		}
		target := dispatchertest.Target(name, name, "http://"+name+"/", resource.Delivery{})
		target.Function.Spec.Weight = weight
		targets = append(targets, target)
	}
	inYard(t, targets, hosts, func(b *bed) { b.cfg.Slots, b.cfg.ParkAfter = 8, time.Hour }, func(t *testing.T, y *yard) {
		y.send(newEvents(1000)...)
		time.Sleep(10 * time.Second)
		mu.Lock()
		a, b, c := served["a"], served["b"], served["c"]
		mu.Unlock()
		if total := a + b + c; total < 750 {
			t.Errorf("%d calls in 10s, want nearly 800: slots lie idle", total)
		}
		if a < 150 || b < 150 || c < 350 {
			t.Errorf("served %d, %d and %d, want about 200, 200 and 400", a, b, c)
		}
		time.Sleep(time.Minute)
		if y.settledCount() != 1000 {
			t.Errorf("%d settled", y.settledCount())
		}
	})
}

func TestFunctionsThatHangLeaveSlotsForOthers(t *testing.T) {
	for _, hanging := range []int{2, 10, 40} {
		t.Run(fmt.Sprint(hanging), func(t *testing.T) {
			var served atomic.Int64
			var hung chan struct{} // made in the bubble
			hosts := map[string]http.HandlerFunc{"well": func(http.ResponseWriter, *http.Request) {
				time.Sleep(10 * time.Millisecond)
				served.Add(1)
			}}
			var hang []resource.Target
			d := resource.Delivery{Timeout: resource.Duration(time.Hour), Attempts: 1}
			for i := range hanging {
				name := fmt.Sprint("f", i)
				hosts[name] = func(http.ResponseWriter, *http.Request) { <-hung }
				hang = append(hang, dispatchertest.Target(name, name, "http://"+name+"/", d))
			}
			all := append(hang, dispatchertest.Target("well", "well", "http://well/", resource.Delivery{}))
			inYard(t, all, hosts, func(b *bed) {
				b.cfg.Slots = 256
				b.parts.Chooser = dispatchertest.Choose(func(ev *event.Event) (dispatcher.Choice, error) {
					if ev.Type == "hang" {
						return dispatcher.Choice{Targets: hang}, nil
					}
					return dispatcher.Choice{Targets: all[hanging:]}, nil
				})
			}, func(t *testing.T, y *yard) {
				hung = make(chan struct{})
				bad := newEvents(200)
				for _, ev := range bad {
					ev.Type, ev.Source = "hang", "/bad"
				}
				y.Handle(y.part, records(0, bad...), y.settle)
				time.Sleep(10 * time.Second)
				y.Handle(y.part, records(200, newEvents(1000)...), y.settle)
				time.Sleep(10 * time.Second)
				if n := served.Load(); n != 1000 {
					t.Errorf("%d of 1000 deliveries to the function that works were made in 10s", n)
				}
				close(hung)
				time.Sleep(time.Minute)
			})
		})
	}
}

// chains is dispatcher.Chains in memory.
type chains struct {
	mu sync.Mutex
	of map[string]int64
}

func (c *chains) Count(_ context.Context, correlation string, n int) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[correlation] += int64(n)
	return c.of[correlation], nil
}

func TestAChainBeyondItsBudgetEndsInADeadLetter(t *testing.T) {
	h := func(w http.ResponseWriter, _ *http.Request) {
		for k, v := range map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "x", "Ce-Source": "/f", "Ce-Type": "t"} {
			w.Header().Set(k, v)
		}
	}
	inYard(t, plainTarget(resource.Delivery{}), map[string]http.HandlerFunc{"fn": h}, func(b *bed) {
		b.cfg.MaxChain, b.cfg.MaxHops = 5, 1000
		b.parts.Chains = &chains{of: map[string]int64{}}
	}, func(t *testing.T, y *yard) {
		for hops := range 20 {
			ev := newEvent(fmt.Sprint("e", hops))
			ev.SetExtension(event.ExtHops, fmt.Sprint(hops))
			ev.SetExtension(event.ExtCorrelationID, "root")
			y.Handle(y.part, records(int64(hops), ev), y.settle)
			y.waitSettledVirtual(hops + 1)
		}
		dead := y.log.Dead()
		if len(dead) != 20-8-5 || !strings.Contains(dead[0].Reason, `chain budget: the chain of correlationid "root" has 6 events`) {
			t.Errorf("%d dead letters: %+v", len(dead), dead)
		}
	})
}

func TestAChainEndsByItsAge(t *testing.T) {
	const limit = 24 * time.Hour
	for name, c := range map[string]struct {
		hops, began string
		age         time.Duration // of the record itself
		dead        bool
	}{
		"a chain within the limit":                    {"3", "-23h", 0, false},
		"a chain beyond it":                           {"3", "-25h", 0, true},
		"what a sender dates ahead counts from then":  {"3", "9999h", 25 * time.Hour, true},
		"without a beginning it is the event's own":   {"3", "", 25 * time.Hour, true},
		"the first event of a chain, however old":     {"", "", 100 * 24 * time.Hour, false},
		"a stranger's first event, whatever it says":  {"", "-999h", 0, false},
		"a beginning that is no time is not believed": {"1", "x", time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := &order{}
			inYard(t, plainTarget(resource.Delivery{}), map[string]http.HandlerFunc{"fn": o.ServeHTTP}, func(b *bed) { b.cfg.MaxChainAge = limit }, func(t *testing.T, y *yard) {
				ev := newEvent("a")
				ev.SetExtension(event.ExtHops, c.hops)
				ev.SetExtension(event.ExtPath, "count add")
				if ahead, err := time.ParseDuration(c.began); err == nil {
					ev.SetExtension(event.ExtChainStart, time.Now().Add(ahead).Format(time.RFC3339))
				} else {
					ev.SetExtension(event.ExtChainStart, c.began)
				}
				recs := records(0, ev)
				recs[0].Timestamp = time.Now().Add(-c.age)
				y.Handle(y.part, recs, y.settle)
				y.waitSettledVirtual(1)
				dead := y.log.Dead()
				if (len(dead) == 1) != c.dead || (o.count("a") == 0) != c.dead {
					t.Fatalf("called %d times, dead letters %+v", o.count("a"), dead)
				}
				if c.dead && (!strings.Contains(dead[0].Reason, "25h0m0s ago, and the limit is 24h0m0s") || !strings.Contains(dead[0].Reason, "count > add")) {
					t.Errorf("reason %q", dead[0].Reason)
				}
			})
		})
	}
}

func TestRepliesKnowWhenTheirChainBegan(t *testing.T) {
	h := func(w http.ResponseWriter, _ *http.Request) {
		for k, v := range map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "x", "Ce-Source": "/f", "Ce-Type": "t", "Ce-Chainstart": "2099-01-01T00:00:00Z"} {
			w.Header().Set(k, v)
		}
	}
	inYard(t, plainTarget(resource.Delivery{}), map[string]http.HandlerFunc{"fn": h}, nil, func(t *testing.T, y *yard) {
		began := time.Now().Add(-time.Hour)
		first, later, replayed := newEvent("first"), newEvent("later"), newEvent("replayed")
		later.SetExtension(event.ExtChainStart, began.UTC().Format(time.RFC3339))
		replayed.SetExtension(event.ExtChainStart, began.UTC().Format(time.RFC3339))
		y.send(first, later)
		y.parking.Park("fn", 3, &event.Parked{Event: replayed, Link: "link", Function: "fn", Position: "3:7", Accepted: time.Now(), Replay: "again", Reason: event.ParkReplay}, "", "", func(error) {})
		time.Sleep(time.Minute)
		replies := y.log.Events()
		if len(replies) != 3 {
			t.Errorf("%d replies, want 3", len(replies))
		}
		for _, out := range replies {
			cause, _ := out.Event.Extension(event.ExtCausationID)
			got, _ := out.Event.Extension(event.ExtChainStart)
			want := map[string]time.Time{"first": began.Add(time.Hour), "later": began, "replayed": began.Add(time.Hour)}[cause]
			if at, err := time.Parse(time.RFC3339, got); err != nil || !at.Equal(want) {
				t.Errorf("the reply to %s began at %q, want %s", cause, got, want)
			}
		}
	})
}
