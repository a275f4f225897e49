package dispatcher_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
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

// yard is a bed with parked topics and dead letters that can be decided about.
type yard struct {
	*bed
	parking *dispatchertest.Parking
	targets *dispatchertest.Targets
	letters *letters
	served  sync.WaitGroup
}

// letters are dispatcher.Letters: the dead letters of the log, and decisions.
type letters struct {
	log *dispatchertest.Log
	mu  sync.Mutex
	of  map[string]event.Resolution
}

func (l *letters) State(_ context.Context, id string) (event.Resolution, dispatcher.LetterState, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := l.of[id]; ok {
		return r, dispatcher.LetterResolved, nil
	}
	for _, d := range l.log.Dead() {
		if d.ID == id {
			return event.Resolution{}, dispatcher.LetterOpen, nil
		}
	}
	return event.Resolution{}, dispatcher.LetterNone, nil
}

func (l *letters) decide(r event.Resolution) event.Resolution {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of[r.Letter] = r
	return r
}

// inYard runs f in a bubble; the hosts are "<function>:80".
func inYard(t *testing.T, targets []resource.Target, hosts map[string]http.HandlerFunc, change func(*bed), f func(*testing.T, *yard)) {
	synctest.Test(t, func(t *testing.T) {
		y := &yard{parking: &dispatchertest.Parking{}, targets: &dispatchertest.Targets{}}
		p := &pipes{hosts: map[string]http.HandlerFunc{}}
		for name, h := range hosts {
			p.hosts[name+":80"] = h
		}
		for _, target := range targets {
			y.targets.Set(target)
		}
		y.bed = newBed(t, targets, func(b *bed) {
			b.parts.Dial = p.dial
			b.parts.Parking, b.parts.Targets = y.parking, y.targets
			y.letters = &letters{log: b.log, of: map[string]event.Resolution{}}
			b.parts.Letters = y.letters
			if change != nil {
				change(b)
			}
		})
		y.own()
		f(t, y)
		y.stop()
		y.served.Wait()
		time.Sleep(2 * y.cfg.IdleConnTimeout)
	})
}

// own begins to own the partition, parked topics included.
func (y *yard) own() {
	part := y.part
	y.parking.Own(3)
	y.Own(part, 3)
	y.served.Go(func() { y.parking.Deliver(part, 3, y.Dispatcher) })
}

// handOver releases the partition and owns it again.
func (y *yard) handOver() {
	y.Release(context.Background(), 3)
	y.crash()
}

// crash loses the partition and owns it again.
func (y *yard) crash() {
	y.lose()
	y.ownAgain()
}

func (y *yard) ownAgain() {
	y.part, y.lose = context.WithCancel(context.Background())
	y.own()
}

// order is what functions were called for, in order, answered by a status for each.
type order struct {
	mu    sync.Mutex
	ids   []string
	calls map[string]int
	// status of a call for id, the n-th.
	status func(id string, n int) int
}

func (o *order) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Ce-Id")
	o.mu.Lock()
	if o.calls == nil {
		o.calls = map[string]int{}
	}
	o.calls[id]++
	status := 200
	if o.status != nil {
		status = o.status(id, o.calls[id])
	}
	if status == 200 {
		o.ids = append(o.ids, id)
	}
	o.mu.Unlock()
	w.WriteHeader(status)
}

// done are the ids answered with 200, in order.
func (o *order) done() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.ids, " ")
}

// tried is how many events it was called for.
func (o *order) tried() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.calls)
}

func (o *order) count(id string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls[id]
}

func plainTarget(d resource.Delivery) []resource.Target {
	return []resource.Target{dispatchertest.Target("link", "fn", "http://fn/", d)}
}

func orderedTarget(d resource.Delivery) []resource.Target {
	t := plainTarget(d)
	t[0].Link.Spec.Order = resource.OrderKey
	return t
}

// keyed are records of the events "<key><n>", from offset first on.
func keyed(first int64, ids ...string) []event.Record {
	evs := make([]*event.Event, len(ids))
	for i, id := range ids {
		evs[i] = newEvent(id)
		evs[i].Subject = id[:1]
	}
	recs := records(first, evs...)
	for i := range recs {
		recs[i].Message = evs[i].Message()
	}
	return recs
}

func (y *yard) sendKeyed(first int64, ids ...string) {
	y.Handle(y.part, keyed(first, ids...), y.settle)
}

var slowRetry = resource.Delivery{Backoff: resource.Backoff{Initial: resource.Duration(time.Minute), Max: resource.Duration(time.Minute)}}

func TestARetryFarAwayIsParkedAndTheEventSettled(t *testing.T) {
	o := &order{status: func(id string, n int) int {
		if n == 1 {
			return 500
		}
		return 200
	}}
	full := func(b *bed) { b.parts.Rand = func() float64 { return 1 } }
	inYard(t, plainTarget(slowRetry), map[string]http.HandlerFunc{"fn": o.ServeHTTP}, full, func(t *testing.T, y *yard) {
		y.send(newEvent("a"))
		y.waitSettledVirtual(1)
		synctest.Wait()
		open := y.parking.Open("fn", 3)
		if len(open) != 1 || open[0].Reason != event.ParkRetry || open[0].Attempt != 1 || len(open[0].Attempts) != 1 || !open[0].NotBefore.Equal(time.Now().Add(time.Minute)) {
			t.Fatalf("parked %+v", open)
		}
		y.handOver() // what is parked outlives its owner
		time.Sleep(59 * time.Second)
		if o.done() != "" {
			t.Error("called before its time")
		}
		time.Sleep(2 * time.Second)
		if o.done() != "a" || len(y.parking.Open("fn", 3)) != 0 {
			t.Errorf("done %q, parked %+v", o.done(), y.parking.Open("fn", 3))
		}
		runs := y.log.Runs()
		if last := runs[len(runs)-1]; last.Attempt != 2 || last.Outcome != event.Delivered {
			t.Errorf("run %+v, want delivered by attempt 2", last)
		}
	})
}

func TestAFunctionThatIsAwayHoldsUpNobodyAndSpendsNoAttempt(t *testing.T) {
	for _, status := range []int{429, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			var away atomic.Bool
			away.Store(true)
			o := &order{status: func(string, int) int {
				if away.Load() {
					return status
				}
				return 200
			}}
			other := &order{}
			targets := append(plainTarget(resource.Delivery{Attempts: 1}), dispatchertest.Target("other", "well", "http://well/", resource.Delivery{}))
			hosts := map[string]http.HandlerFunc{"fn": o.ServeHTTP, "well": other.ServeHTTP}
			inYard(t, targets, hosts, func(b *bed) { b.cfg.QueueSize = 16 }, func(t *testing.T, y *yard) {
				y.send(newEvents(500)...)
				y.waitSettledVirtual(500)
				time.Sleep(time.Second) // what found no room there was parked, and comes at once
				if got := len(strings.Fields(other.done())); got != 500 {
					t.Errorf("the other function has %d events, want 500", got)
				}
				time.Sleep(time.Hour)
				if tried := o.tried(); tried > 300 {
					t.Errorf("%d events were tried while the function was away", tried)
				}
				away.Store(false)
				time.Sleep(2 * time.Minute)
				if got := len(strings.Fields(o.done())); got != 500 || len(y.log.Dead()) != 0 {
					t.Errorf("%d delivered and %d dead letters, want 500 and none", got, len(y.log.Dead()))
				}
			})
		})
	}
}

func TestWhatWaitsTooLongInItsLaneIsParked(t *testing.T) {
	d := resource.Delivery{Concurrency: 1, Timeout: resource.Duration(time.Hour)}
	slow := func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Minute) }
	inYard(t, plainTarget(d), map[string]http.HandlerFunc{"fn": slow}, nil, func(t *testing.T, y *yard) {
		y.send(newEvents(4)...)
		y.waitSettledVirtual(3) // all but the one that is being called
		for _, r := range y.log.Runs() {
			if r.Outcome != event.Waiting || r.Reason != "parked: slow" || r.Attempt != 0 {
				t.Errorf("run %+v, want waiting because it was slow", r)
			}
		}
		time.Sleep(time.Second)
		if n := y.settledCount(); n != 3 {
			t.Errorf("%d settled, want 3", n)
		}
		time.Sleep(time.Hour)
		if n := len(y.parking.Open("fn", 3)); n != 0 || y.settledCount() != 4 {
			t.Errorf("%d still parked, %d settled", n, y.settledCount())
		}
	})
}

func TestParkingThatFailsIsRepeatedAndLosesNothing(t *testing.T) {
	var failing atomic.Bool
	failing.Store(true)
	o := &order{status: func(id string, n int) int {
		if n == 1 {
			return 500
		}
		return 200
	}}
	full := func(b *bed) { b.parts.Rand = func() float64 { return 1 } }
	inYard(t, orderedTarget(slowRetry), map[string]http.HandlerFunc{"fn": o.ServeHTTP}, full, func(t *testing.T, y *yard) {
		y.parking.Fail = failing.Load
		y.sendKeyed(0, "a1", "a2", "a3", "b1")
		time.Sleep(time.Hour)
		if y.settledCount() != 0 {
			t.Errorf("%d settled while nothing can be parked", y.settledCount())
		}
		failing.Store(false)
		y.waitSettledVirtual(4)
		time.Sleep(time.Hour)
		if got := inOrder(o.done(), "a"); got != "a1 a2 a3" || o.count("b1") != 2 {
			t.Errorf("done %q", o.done())
		}
	})
}

// inOrder are the ids that begin with key.
func inOrder(done, key string) string {
	var of []string
	for _, id := range strings.Fields(done) {
		if strings.HasPrefix(id, key) {
			of = append(of, id)
		}
	}
	return strings.Join(of, " ")
}

func TestOrderByKeyHoldsThroughFailures(t *testing.T) {
	for name, d := range map[string]resource.Delivery{
		"retries in the lane": {Backoff: resource.Backoff{Initial: resource.Duration(time.Millisecond), Max: resource.Duration(10 * time.Millisecond)}},
		"retries parked":      slowRetry,
	} {
		t.Run(name, func(t *testing.T) {
			o := &order{status: func(id string, n int) int {
				if (id == "a1" || id == "a4") && n < 4 {
					return []int{500, 503, 404}[n-1]
				}
				return 200
			}}
			inYard(t, orderedTarget(d), map[string]http.HandlerFunc{"fn": o.ServeHTTP}, nil, func(t *testing.T, y *yard) {
				y.sendKeyed(0, "a1", "a2", "b1", "a3", "b2")
				synctest.Wait()
				if got := inOrder(o.done(), "b"); got != "b1 b2" {
					t.Errorf("b: %q, want b1 b2 at once: another key must not wait", got)
				}
				y.sendKeyed(5, "a4", "a5", "b3")
				time.Sleep(2 * time.Second)
				y.handOver()
				y.sendKeyed(8, "a6")
				time.Sleep(24 * time.Hour)
				if got := inOrder(o.done(), "a"); got != "a1 a2 a3 a4 a5 a6" {
					t.Errorf("a: %q", got)
				}
				if y.settledCount() != 9 || len(y.parking.Open("fn", 3)) != 0 {
					t.Errorf("%d settled, want 9; parked %+v", y.settledCount(), y.parking.Open("fn", 3))
				}
			})
		})
	}
}

func TestOneOfAKeyIsInFlightAtATime(t *testing.T) {
	var inFlight, most atomic.Int64
	h := func(http.ResponseWriter, *http.Request) {
		if n := inFlight.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(time.Second)
		inFlight.Add(-1)
	}
	inYard(t, orderedTarget(resource.Delivery{}), map[string]http.HandlerFunc{"fn": h}, nil, func(t *testing.T, y *yard) {
		y.sendKeyed(0, "a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4")
		y.waitSettledVirtual(8)
		if most.Load() != 2 {
			t.Errorf("%d calls in flight, want one for each of 2 keys", most.Load())
		}
	})
}

func poison(id string) *order {
	return &order{status: func(got string, _ int) int {
		if got == id {
			return 400
		}
		return 200
	}}
}

func TestADeadLetterHoldsItsKeyUntilItIsDecidedAbout(t *testing.T) {
	for _, action := range []event.Action{event.Drop, event.Redrive} {
		for _, restart := range []string{"never", "while held", "while held, the decision meanwhile"} {
			t.Run(fmt.Sprint(action, ", handed over ", restart), func(t *testing.T) {
				o := poison("a2")
				inYard(t, orderedTarget(resource.Delivery{}), map[string]http.HandlerFunc{"fn": o.ServeHTTP}, nil, func(t *testing.T, y *yard) {
					y.sendKeyed(0, "a1", "a2", "a3", "b1")
					y.waitSettledVirtual(4) // what is held is parked
					y.sendKeyed(4, "a4", "b2")
					time.Sleep(time.Hour)
					if inOrder(o.done(), "a") != "a1" || inOrder(o.done(), "b") != "b1 b2" || o.count("a2") != 1 {
						t.Fatalf("done %q with a2 called %d times, want a1 b1 b2 and once", o.done(), o.count("a2"))
					}
					dead := y.log.Dead()
					if len(dead) != 1 || !dead[0].Held || string(dead[0].Key) != "a" {
						t.Fatalf("dead letters %+v", dead)
					}
					if restart == "while held" {
						y.handOver()
						time.Sleep(time.Minute)
					}
					o.mu.Lock()
					o.status = nil // it is mended
					o.mu.Unlock()
					r := y.letters.decide(event.Resolution{Letter: dead[0].ID, Action: action, Time: time.Now()})
					if strings.HasSuffix(restart, "meanwhile") {
						y.handOver()
					} else {
						y.Resolve(r)
					}
					time.Sleep(time.Minute)
					want := "a1 a3 a4"
					if action == event.Redrive {
						want = "a1 a2 a3 a4"
					}
					if got := inOrder(o.done(), "a"); got != want {
						t.Errorf("a: %q, want %q", got, want)
					}
					if y.settledCount() != 6 || len(y.parking.Open("fn", 3)) != 0 || len(y.log.Dead()) != 1 {
						t.Errorf("%d settled, parked %+v, dead letters %+v", y.settledCount(), y.parking.Open("fn", 3), y.log.Dead())
					}
				})
			})
		}
	}
}

func TestOutcomesOfRedrivesAreTold(t *testing.T) {
	var told wordLog
	o := &order{status: func(id string, n int) int {
		if id == "well1" && n == 2 {
			return 200
		}
		return 400
	}}
	redriven := func(b *bed) {
		b.parts.Observer.Redriven = func(r *event.Run) { told.add("%s %s", r.EventID, r.Outcome) }
	}
	inYard(t, orderedTarget(resource.Delivery{}), map[string]http.HandlerFunc{"fn": o.ServeHTTP}, redriven, func(t *testing.T, y *yard) {
		y.sendKeyed(0, "well1", "ill1", "dropped1")
		time.Sleep(time.Second)
		for _, d := range y.log.Dead() {
			action := event.Redrive
			if d.Event.ID == "dropped1" {
				action = event.Drop
			}
			y.Resolve(y.letters.decide(event.Resolution{Letter: d.ID, Action: action, Time: time.Now()}))
		}
		time.Sleep(time.Second)
		if got := told.String(); got != "well1 delivered ill1 dead" && got != "ill1 dead well1 delivered" {
			t.Errorf("told %q", got)
		}
	})
}

func TestARedrivenDeliveryThatFailsAgainIsANewDeadLetterAndHoldsOn(t *testing.T) {
	o := poison("a1")
	inYard(t, orderedTarget(resource.Delivery{}), map[string]http.HandlerFunc{"fn": o.ServeHTTP}, nil, func(t *testing.T, y *yard) {
		y.sendKeyed(0, "a1", "a2")
		y.waitSettledVirtual(2)
		synctest.Wait()
		first := y.log.Dead()[0]
		y.Resolve(y.letters.decide(event.Resolution{Letter: first.ID, Action: event.Redrive, Time: time.Now()}))
		time.Sleep(time.Minute)
		dead := y.log.Dead()
		if len(dead) != 2 || dead[1].ID != first.ID+"-r1" || dead[1].Redrive != 1 || o.done() != "" || o.count("a1") != 2 {
			t.Fatalf("dead letters %+v, done %q", dead, o.done())
		}
		y.handOver()
		time.Sleep(time.Minute)
		if o.count("a1") != 2 {
			t.Errorf("a1 was called %d times, want 2: what has ended must not come back", o.count("a1"))
		}
		y.Resolve(y.letters.decide(event.Resolution{Letter: dead[1].ID, Action: event.Drop, Time: time.Now()}))
		time.Sleep(time.Minute)
		if o.done() != "a2" {
			t.Errorf("done %q, want a2", o.done())
		}
	})
}

func TestARedriveMayBringAnotherEvent(t *testing.T) {
	o := poison("a1")
	inYard(t, orderedTarget(resource.Delivery{}), map[string]http.HandlerFunc{"fn": o.ServeHTTP}, nil, func(t *testing.T, y *yard) {
		y.sendKeyed(0, "a1", "a2")
		y.waitSettledVirtual(2)
		synctest.Wait()
		y.Resolve(event.Resolution{Letter: y.log.Dead()[0].ID, Action: event.Redrive, Time: time.Now(), Event: newEvent("mended")})
		time.Sleep(time.Minute)
		if o.done() != "mended a2" {
			t.Errorf("done %q, want mended a2", o.done())
		}
	})
}

func TestAfterDeadContinueGoesOnWithTheKey(t *testing.T) {
	o := poison("a1")
	inYard(t, orderedTarget(resource.Delivery{AfterDead: resource.AfterDeadContinue}), map[string]http.HandlerFunc{"fn": o.ServeHTTP}, nil, func(t *testing.T, y *yard) {
		y.sendKeyed(0, "a1", "a2")
		y.waitSettledVirtual(2)
		if o.done() != "a2" || len(y.log.Dead()) != 1 || y.log.Dead()[0].Held {
			t.Errorf("done %q, dead letters %+v", o.done(), y.log.Dead())
		}
	})
}

func TestAParkedDeliveryOfAPausedLinkWaitsForIt(t *testing.T) {
	o := &order{}
	inYard(t, plainTarget(resource.Delivery{}), map[string]http.HandlerFunc{"fn": o.ServeHTTP}, nil, func(t *testing.T, y *yard) {
		running := y.targets.Target(&event.Parked{Link: "link"})
		paused := *running.Link
		paused.Spec.Paused = true
		y.targets.Set(resource.Target{Link: &paused, Function: running.Function})
		ev := newEvent("a")
		y.parking.Park("fn", 3, &event.Parked{Event: ev, Link: "link", Function: "fn", Position: "3:7", Accepted: time.Now(), Reason: event.ParkFull}, "", "", func(error) {})
		time.Sleep(time.Hour)
		if o.count("a") != 0 {
			t.Error("a paused link was called")
		}
		synctest.Wait()
		y.targets.Set(running)
		time.Sleep(2 * time.Second)
		if o.done() != "a" {
			t.Errorf("done %q, want a", o.done())
		}
	})
}

func TestAReplayIsMarked(t *testing.T) {
	var got atomic.Value
	h := func(_ http.ResponseWriter, r *http.Request) {
		got.Store(r.Header.Get("Signalbox-Replay") + " " + r.Header.Get("Idempotency-Key"))
	}
	inYard(t, plainTarget(resource.Delivery{}), map[string]http.HandlerFunc{"fn": h}, nil, func(t *testing.T, y *yard) {
		y.parking.Park("fn", 3, &event.Parked{Event: newEvent("a"), Link: "link", Function: "fn", Position: "3:7", Accepted: time.Now(), Replay: "again", Reason: event.ParkReplay}, "", "", func(error) {})
		time.Sleep(time.Second)
		if got.Load() != "true 3:7/link/again" {
			t.Errorf("got %q", got.Load())
		}
	})
}

func TestAParkedRecordThatCannotBeReadIsADeadLetter(t *testing.T) {
	inYard(t, plainTarget(resource.Delivery{}), nil, nil, func(t *testing.T, y *yard) {
		settled := 0
		y.HandleParked(y.part, "fn", []event.Record{{Position: event.Position{Partition: 3, Offset: 9}, Message: event.Message{Value: []byte("x")}}}, func(int64) { settled++ })
		dead := y.log.Dead()
		if settled != 1 || len(dead) != 1 || !strings.Contains(dead[0].Reason, event.ParkedHeader) || string(dead[0].Raw.Value) != "x" {
			t.Errorf("settled %d, dead letters %+v", settled, dead)
		}
	})
}

func TestReleaseParksWhatWaitsAndReturnsAtOnce(t *testing.T) {
	d := resource.Delivery{Concurrency: 1, Backoff: resource.Backoff{Initial: resource.Duration(time.Second), Max: resource.Duration(time.Second)}}
	o := &order{status: func(id string, n int) int {
		if id == "e0" && n < 3 {
			return 500
		}
		return 200
	}}
	full := func(b *bed) { b.parts.Rand = func() float64 { return 1 } }
	inYard(t, plainTarget(d), map[string]http.HandlerFunc{"fn": o.ServeHTTP}, full, func(t *testing.T, y *yard) {
		y.send(newEvent("e0")) // waits for its next attempt, in the lane
		synctest.Wait()
		start := time.Now()
		y.Release(context.Background(), 3)
		if took := time.Since(start); took != 0 {
			t.Errorf("released after %s", took)
		}
		synctest.Wait()
		open := y.parking.Open("fn", 3)
		if y.settledCount() != 1 || len(open) != 1 || open[0].Reason != event.ParkStop || open[0].Attempt != 1 {
			t.Errorf("%d settled, parked %+v", y.settledCount(), open)
		}
		y.lose()
		y.part, y.lose = context.WithCancel(context.Background())
		y.own()
		time.Sleep(time.Minute)
		if o.done() != "e0" {
			t.Errorf("done %q", o.done())
		}
	})
}
