package dispatcher_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher/dispatchertest"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// moments are when a function was called.
type moments struct {
	mu sync.Mutex
	at []time.Time
}

func (m *moments) add() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = append(m.at, time.Now())
	return len(m.at)
}

// gaps are the times between the calls.
func (m *moments) gaps() []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var g []time.Duration
	for i := 1; i < len(m.at); i++ {
		g = append(g, m.at[i].Sub(m.at[i-1]))
	}
	return g
}

// virtual runs f in a bubble with a dispatcher whose host "fn:80" is h.
func virtual(t *testing.T, delivery resource.Delivery, h http.HandlerFunc, change func(*bed), f func(*testing.T, *bed)) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{hosts: map[string]http.HandlerFunc{"fn:80": h}}
		b := newBed(t, []resource.Target{dispatchertest.Target("link", "fn", "http://fn/", delivery)}, func(b *bed) {
			b.parts.Dial = p.dial
			if change != nil {
				change(b)
			}
		})
		f(t, b)
		b.stop()
		time.Sleep(2 * b.cfg.IdleConnTimeout) // until fasthttp's cleaner has ended
	})
}

func equalGaps(t *testing.T, got, want []time.Duration) {
	t.Helper()
	same := len(got) == len(want)
	for i := 0; same && i < len(got); i++ {
		same = got[i] == want[i]
	}
	if !same {
		t.Errorf("waits %v, want %v", got, want)
	}
}

func TestBackoffDoublesUpToItsMaximum(t *testing.T) {
	var m moments
	d := resource.Delivery{Attempts: 7, Backoff: resource.Backoff{Initial: resource.Duration(time.Second), Max: resource.Duration(10 * time.Second)}}
	full := func(b *bed) { b.parts.Rand = func() float64 { return 1 } }
	virtual(t, d, func(w http.ResponseWriter, _ *http.Request) { m.add(); w.WriteHeader(500) }, full, func(t *testing.T, b *bed) {
		b.send(newEvent("a"))
		b.waitSettledVirtual(1)
		equalGaps(t, m.gaps(), []time.Duration{1e9, 2e9, 4e9, 8e9, 10e9, 10e9})
	})
}

func TestBackoffIsFullJitter(t *testing.T) {
	var m moments
	d := resource.Delivery{Attempts: 100, Backoff: resource.Backoff{Initial: resource.Duration(time.Second), Max: resource.Duration(time.Second)}}
	virtual(t, d, func(w http.ResponseWriter, _ *http.Request) { m.add(); w.WriteHeader(500) }, nil, func(t *testing.T, b *bed) {
		b.send(newEvent("a"))
		b.waitSettledVirtual(1)
		var low, high int
		for _, g := range m.gaps() {
			if g < 0 || g > time.Second {
				t.Errorf("wait %s, want 0 to 1s", g)
			}
			if g < 250*time.Millisecond {
				low++
			}
			if g > 750*time.Millisecond {
				high++
			}
		}
		if low < 5 || high < 5 {
			t.Errorf("of 99 waits %d are in the lowest and %d in the highest quarter", low, high)
		}
	})
}

func TestMaxAgeEndsRetrying(t *testing.T) {
	var m moments
	d := resource.Delivery{
		Attempts: 100, MaxAge: resource.Duration(25 * time.Second),
		Backoff: resource.Backoff{Initial: resource.Duration(10 * time.Second), Max: resource.Duration(10 * time.Second)},
	}
	full := func(b *bed) { b.parts.Rand = func() float64 { return 1 } }
	virtual(t, d, func(w http.ResponseWriter, _ *http.Request) { m.add(); w.WriteHeader(500) }, full, func(t *testing.T, b *bed) {
		b.send(newEvent("a"))
		b.waitSettledVirtual(1)
		equalGaps(t, m.gaps(), []time.Duration{10e9, 10e9, 5e9}) // the last one at the age itself
		dl := b.log.Dead()
		if len(dl) != 1 || dl[0].Reason != "older than maxAge 25s after 4 attempts, the last: status 500" {
			t.Errorf("dead letters %+v", dl)
		}
	})
}

func TestAnOldEventIsTriedOnce(t *testing.T) {
	var m moments
	virtual(t, resource.Delivery{}, func(w http.ResponseWriter, _ *http.Request) { m.add(); w.WriteHeader(500) }, nil, func(t *testing.T, b *bed) {
		recs := records(0, newEvent("a"))
		recs[0].Timestamp = time.Now().Add(-48 * time.Hour)
		b.Handle(b.part, recs, b.settle)
		b.waitSettledVirtual(1)
		if len(m.at) != 1 {
			t.Errorf("%d calls, want 1", len(m.at))
		}
	})
}

func TestRetryAfter(t *testing.T) {
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // when bubbles begin
	for _, c := range []struct {
		name   string
		status int
		value  string
		want   time.Duration
	}{
		{"seconds on 429", 429, "7", 7 * time.Second},
		{"seconds on 503", 503, "7", 7 * time.Second},
		{"a date", 503, start.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second},
		{"a date that is past", 503, start.Add(-time.Hour).Format(http.TimeFormat), time.Millisecond},
		{"bounded by the configuration", 429, "86400", time.Hour},
		{"beyond every number", 429, "9223372036854775807", time.Hour},
		{"not on other statuses", 500, "7", 0},
		{"nonsense", 503, "soon", time.Millisecond},
		{"negative", 503, "-5", time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m moments
			noJitter := func(b *bed) { b.parts.Rand = func() float64 { return 0 } }
			virtual(t, resource.Delivery{}, func(w http.ResponseWriter, _ *http.Request) {
				if m.add() == 1 {
					w.Header().Set("Retry-After", c.value)
					w.WriteHeader(c.status)
				}
			}, noJitter, func(t *testing.T, b *bed) {
				b.send(newEvent("a"))
				b.waitSettledVirtual(1)
				equalGaps(t, m.gaps(), []time.Duration{c.want})
			})
		})
	}
}

func TestMaxAgeEndsWaitingForAFunctionThatTakesNothing(t *testing.T) {
	var m moments
	virtual(t, resource.Delivery{Attempts: 1, MaxAge: resource.Duration(time.Minute)}, func(w http.ResponseWriter, _ *http.Request) {
		m.add()
		w.Header().Set("Retry-After", "600")
		w.WriteHeader(429)
	}, nil, func(t *testing.T, b *bed) {
		b.send(newEvent("a"))
		b.waitSettledVirtual(1)
		equalGaps(t, m.gaps(), []time.Duration{10 * time.Minute}) // nothing is called meanwhile, and then once more
		dl := b.log.Dead()
		if len(dl) != 1 || dl[0].Reason != "older than maxAge 1m0s, and the function did not take it, the last time: status 429" {
			t.Errorf("dead letters %+v", dl)
		}
	})
}

func TestTimeoutEndsACall(t *testing.T) {
	d := resource.Delivery{Attempts: 1, Timeout: resource.Duration(3 * time.Second)}
	virtual(t, d, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Minute) }, nil, func(t *testing.T, b *bed) {
		b.send(newEvent("a"))
		b.waitSettledVirtual(1)
		dl := b.log.Dead()
		if len(dl) != 1 || dl[0].Attempts[0].Class != "timeout" || dl[0].Attempts[0].DurationMS != 3000 {
			t.Errorf("dead letters %+v, want a timeout after 3000 ms", dl)
		}
	})
}

func TestAFunctionThatIsNotReadySpendsNoAttempt(t *testing.T) {
	var m moments
	starting := time.Time{}
	virtual(t, resource.Delivery{Attempts: 1}, func(http.ResponseWriter, *http.Request) { m.add() }, func(b *bed) {
		starting = time.Now()
		b.parts.Endpoints = endpoints(func(fn *resource.Function) (string, error) {
			if time.Since(starting) < time.Hour {
				return "", dispatchertest.ErrAway
			}
			return fn.Spec.URL, nil
		})
	}, func(t *testing.T, b *bed) {
		b.send(newEvent("a"))
		b.waitSettledVirtual(1)
		runs := b.log.Runs()
		if len(runs) != 1 || runs[0].Outcome != event.Delivered || runs[0].Attempt != 1 {
			t.Errorf("runs %+v, want one delivered by the first attempt", runs)
		}
		if since := m.at[0].Sub(starting); since > time.Hour+time.Second {
			t.Errorf("called %s after the start, want soon after 1h", since)
		}
	})
}

func TestAFunctionThatIsNotReadyWithinMaxAgeMakesADeadLetter(t *testing.T) {
	virtual(t, resource.Delivery{Attempts: 3, MaxAge: resource.Duration(time.Minute)}, nil, func(b *bed) {
		b.parts.Endpoints = endpoints(func(*resource.Function) (string, error) { return "", dispatchertest.ErrAway })
	}, func(t *testing.T, b *bed) {
		b.send(newEvent("a"))
		b.waitSettledVirtual(1)
		dl := b.log.Dead()
		if len(dl) != 1 || len(dl[0].Attempts) != 1 || dl[0].Attempts[0].Class != "not_ready" {
			t.Errorf("dead letters %+v", dl)
		}
	})
}

// endpoints is an Endpoints made of a function.
type endpoints func(*resource.Function) (string, error)

func (f endpoints) URL(fn *resource.Function) (string, error) { return f(fn) }

func TestARetryHoldsNoWorkerAndNoOtherEvent(t *testing.T) {
	d := resource.Delivery{Concurrency: 1, Backoff: resource.Backoff{Initial: resource.Duration(time.Hour), Max: resource.Duration(time.Hour)}}
	full := func(b *bed) { b.parts.Rand = func() float64 { return 1 } }
	begin := time.Time{}
	virtual(t, d, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Ce-Id") == "e0" && r.Header.Get("Signalbox-Attempt") == "1" {
			w.WriteHeader(500)
		}
	}, full, func(t *testing.T, b *bed) {
		begin = time.Now()
		b.send(newEvents(50)...)
		b.waitSettledVirtual(49)
		if since := time.Since(begin); since != 0 {
			t.Errorf("the others waited %s", since)
		}
		b.waitSettledVirtual(50)
		if since := time.Since(begin); since != time.Hour {
			t.Errorf("the retry came after %s, want 1h", since)
		}
	})
}

// waitSettledVirtual waits in a bubble, where time passes only while all wait.
func (b *bed) waitSettledVirtual(n int) {
	b.t.Helper()
	b.waitSettledWithin(n, 100*time.Hour)
}
