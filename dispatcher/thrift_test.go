package dispatcher_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher/dispatchertest"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// crew is functions f0, f1, … that get more events than they can take.
type crew struct {
	*bed
	mu     sync.Mutex
	served []int
	flight []int
}

// serves is function i, which takes as long as work does.
func (c *crew) serves(i int, work func()) http.HandlerFunc {
	return func(http.ResponseWriter, *http.Request) {
		c.mu.Lock()
		c.flight[i]++
		c.mu.Unlock()
		work()
		c.mu.Lock()
		c.flight[i]--
		c.served[i]++
		c.mu.Unlock()
	}
}

// perSecond is what each function served per second during d.
func (c *crew) perSecond(d time.Duration) []float64 {
	c.mu.Lock()
	before := append([]int(nil), c.served...)
	c.mu.Unlock()
	time.Sleep(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	rates := make([]float64, len(before))
	for i, n := range c.served {
		rates[i] = float64(n-before[i]) / d.Seconds()
	}
	return rates
}

func (c *crew) inFlight() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]int(nil), c.flight...)
}

func sum[T int | float64](all []T) (s T) {
	for _, v := range all {
		s += v
	}
	return s
}

// inCrew runs f in a bubble beside n functions that never run out of events.
// work is made in the bubble and says what a call of function i does.
func inCrew(t *testing.T, n, enough int, work func(i int) func(), f func(*testing.T, *crew)) {
	inCrewOf(t, n, enough, func(int) int { return 0 }, work, f)
}

// inCrewOf is inCrew with functions that take so many calls at a time; 0 is the default.
func inCrewOf(t *testing.T, n, enough int, concurrency func(i int) int, work func(i int) func(), f func(*testing.T, *crew)) {
	synctest.Test(t, func(t *testing.T) {
		c := &crew{served: make([]int, n), flight: make([]int, n)}
		p := &pipes{hosts: map[string]http.HandlerFunc{}}
		var targets []resource.Target
		for i := range n {
			name := fmt.Sprint("f", i)
			p.hosts[name+":80"] = c.serves(i, work(i))
			targets = append(targets, dispatchertest.Target(name, name, "http://"+name+"/", resource.Delivery{}))
			targets[i].Function.Spec.Concurrency = concurrency(i)
		}
		c.bed = newBed(t, targets, func(b *bed) {
			b.parts.Dial, b.cfg.EnoughCalls = p.dial, enough
			b.parts.Log, b.parts.Deduper = nowhere{}, nowhere{}
		})
		var fed sync.WaitGroup
		fed.Go(func() {
			for offset := int64(0); c.part.Err() == nil; offset++ {
				c.Handle(c.part, []event.Record{{Position: event.Position{Partition: 3, Offset: offset}, Event: newEvent("e"), Timestamp: time.Now()}}, func(int64) {})
			}
		})
		f(t, c)
		c.stop()
		fed.Wait()
		time.Sleep(2 * c.cfg.IdleConnTimeout)
	})
}

// machine has two cores, each call keeps one of them busy for so long.
func machine(busy time.Duration) func() {
	cores := make(chan struct{}, 2)
	return func() {
		cores <- struct{}{}
		time.Sleep(busy)
		<-cores
	}
}

func TestASaturatedMachineGetsFewCallsAtATime(t *testing.T) {
	var call func()
	shared := func(i int) func() {
		if i == 0 {
			call = machine(250 * time.Microsecond)
		}
		return call
	}
	inCrew(t, 5, 40, shared, func(t *testing.T, c *crew) {
		before := sum(c.perSecond(200 * time.Millisecond))
		if n := sum(c.inFlight()); n < 300 {
			t.Errorf("%d calls in flight at first, want nearly 5 * 64", n)
		}
		time.Sleep(3 * time.Second)
		after := sum(c.perSecond(3 * time.Second))
		if n := sum(c.inFlight()); n > 80 {
			t.Errorf("%d calls in flight, want about 40: more only wait for a core", n)
		}
		if after < 0.98*before {
			t.Errorf("%.0f deliveries per second with fewer calls, %.0f before", after, before)
		}
	})
}

func TestASlowFunctionKeepsItsCalls(t *testing.T) {
	for _, latency := range []time.Duration{10 * time.Millisecond, 30 * time.Millisecond, 200 * time.Millisecond} {
		t.Run(latency.String(), func(t *testing.T) {
			inCrew(t, 2, 1, func(int) func() { return func() { time.Sleep(latency) } }, func(t *testing.T, c *crew) {
				best := 64 / latency.Seconds()
				for i, got := range c.perSecond(12 * time.Second) {
					if got < 0.96*best {
						t.Errorf("function %d: %.0f deliveries per second, want nearly %.0f", i, got, best)
					}
				}
			})
		})
	}
}

func TestAFunctionWithALimitOfItsOwnIsNotCalledBelowIt(t *testing.T) {
	limited := func(int) func() {
		places := make(chan struct{}, 20) // its latency grows with the calls beyond
		return func() {
			places <- struct{}{}
			time.Sleep(10 * time.Millisecond)
			<-places
		}
	}
	inCrew(t, 2, 1, limited, func(t *testing.T, c *crew) {
		time.Sleep(time.Second)
		for i, got := range c.perSecond(12 * time.Second) {
			if got < 0.95*2000 {
				t.Errorf("function %d: %.0f deliveries per second, want nearly 2000", i, got)
			}
		}
	})
}

func TestASlowFunctionBesideASaturatedMachineKeepsItsCalls(t *testing.T) {
	var call func()
	work := func(i int) func() {
		switch i {
		case 0:
			return func() { time.Sleep(20 * time.Millisecond) }
		case 1:
			call = machine(300 * time.Microsecond)
		}
		return call
	}
	few := func(i int) int {
		if i == 0 {
			return 32
		}
		return 0
	}
	inCrewOf(t, 7, 40, few, work, func(t *testing.T, c *crew) {
		time.Sleep(4 * time.Second)
		rates := c.perSecond(3 * time.Second) // all get the same events; the slow one takes 32 calls at a time, and needs 22
		if total := sum(rates); total < 7*1050 {
			t.Errorf("%.0f deliveries per second, want nearly 1111 of each", rates)
		}
		if n := sum(c.inFlight()[1:]); n > 6*16 {
			t.Errorf("%d calls of the fast ones in flight, want few", n)
		}
	})
}

func TestAFunctionThatBecomesSlowGetsItsCallsBack(t *testing.T) {
	for _, latency := range []time.Duration{8 * time.Millisecond, 50 * time.Millisecond} {
		t.Run(latency.String(), func(t *testing.T) {
			var mu sync.Mutex
			var call, fast func()
			shared := func(int) func() {
				if fast == nil {
					fast = machine(250 * time.Microsecond)
					call = fast
				}
				return func() {
					mu.Lock()
					f := call
					mu.Unlock()
					f()
				}
			}
			inCrew(t, 5, 40, shared, func(t *testing.T, c *crew) {
				time.Sleep(4 * time.Second)
				if n := sum(c.inFlight()); n > 80 {
					t.Errorf("%d calls in flight, want few", n)
				}
				mu.Lock()
				call = func() { time.Sleep(latency) }
				mu.Unlock()
				time.Sleep(3 * time.Second)
				best := 5 * 64 / latency.Seconds()
				if got := sum(c.perSecond(3 * time.Second)); got < 0.9*best {
					t.Errorf("%.0f deliveries per second, want nearly %.0f", got, best)
				}
			})
		})
	}
}
