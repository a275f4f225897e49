package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/otel/metrics"
)

// tank is a log that only has a backlog; it drains at a rate.
type tank struct {
	mu             sync.Mutex
	events, parked float64
	rate           float64
	at             time.Time
	looks          int
	size           float64
	guessed        bool
	err            error
}

func (l *tank) settle() {
	now := time.Now()
	l.events = max(0, l.events-l.rate*now.Sub(l.at).Seconds())
	l.at = now
}

// change moves the log to now before it does something to it.
func (l *tank) change(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle()
	do()
}

func (l *tank) Lag(context.Context) (lag map[int32]int64, err error) {
	l.change(func() {
		l.looks++
		half := int64(l.events) / 2
		lag, err = map[int32]int64{0: half, 1: int64(l.events) - half}, l.err
	})
	return lag, err
}

func (l *tank) ParkedLag(context.Context) (lag map[string]int64, err error) {
	l.change(func() { lag, err = map[string]int64{"f": int64(l.parked)}, l.err })
	return lag, err
}

func (l *tank) EventBytes(context.Context) (mean float64, known bool) {
	l.change(func() { mean, known = l.size, !l.guessed })
	return mean, known
}

// withBacklog runs a test in virtual time against a backlog that looks.
func withBacklog(t *testing.T, limit int64, test func(t *testing.T, log *tank, b *backlog)) {
	withLimits(t, backlogLimits{records: limit}, test)
}

func withLimits(t *testing.T, limit backlogLimits, test func(t *testing.T, log *tank, b *backlog)) {
	synctest.Test(t, func(t *testing.T) {
		log := &tank{at: time.Now()}
		b := newBacklog(log, limit, func() bool { return true }, metrics.New(), slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.run(ctx) }()
		synctest.Wait()
		test(t, log, b)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// pass lets time go by, and what is due happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// send appends events, as a gateway that is let.
func send(t *testing.T, log *tank, b *backlog, events int) {
	t.Helper()
	if err := b.admit(); err != nil {
		t.Fatalf("refused: %v", err)
	}
	log.change(func() { log.events += float64(events) })
	b.accepted(events)
}

// refusedFor is the Retry-After of a refusal, 0 when there is none.
func refusedFor(t *testing.T, b *backlog) time.Duration {
	t.Helper()
	err := b.admit()
	if err == nil {
		return 0
	}
	var retry *gateway.RetryError
	if !errors.Is(err, gateway.ErrBacklog) || !errors.As(err, &retry) {
		t.Fatalf("refused with %v", err)
	}
	return retry.After
}

func near(got, want time.Duration) bool { return got > want*95/100 && got < want*105/100 }

func TestOverTheLimitEventsAreRefusedForAsLongAsTheBacklogNeeds(t *testing.T) {
	withBacklog(t, 10_000, func(t *testing.T, log *tank, b *backlog) {
		log.change(func() { log.rate = 100 })
		for range 20 { // 20 s of 500/s
			send(t, log, b, 500)
			pass(time.Second)
		}
		for refusedFor(t, b) == 0 {
			send(t, log, b, 500)
			pass(time.Second)
		}
		// 10,000 to 9,000 at 100/s.
		if got, over := refusedFor(t, b), b.records.Load()-9000; !near(got, time.Duration(over)*10*time.Millisecond) {
			t.Errorf("come again after %s with %d too many at 100/s", got, over)
		}
		pass(5 * time.Second)
		if got, over := refusedFor(t, b), b.records.Load()-9000; !near(got, time.Duration(over)*10*time.Millisecond) {
			t.Errorf("5s later: come again after %s with %d too many at 100/s", got, over)
		}
		pass(refusedFor(t, b) + time.Second)
		if got := refusedFor(t, b); got != 0 {
			t.Errorf("still refused for %s when the time was over, at %d", got, b.records.Load())
		}
	})
}

func TestParkedDeliveriesCountAsBacklog(t *testing.T) {
	withBacklog(t, 1000, func(t *testing.T, log *tank, b *backlog) {
		log.change(func() { log.events, log.parked = 500, 499 })
		pass(time.Second)
		if refusedFor(t, b) != 0 {
			t.Error("refused below the limit")
		}
		log.change(func() { log.parked = 500 })
		pass(time.Second)
		if refusedFor(t, b) == 0 {
			t.Error("accepted at the limit")
		}
		log.change(func() { log.parked = 401 })
		pass(time.Second)
		if refusedFor(t, b) == 0 {
			t.Error("accepted before a tenth is free: it would close at once again")
		}
		log.change(func() { log.parked = 400 })
		pass(time.Second)
		if refusedFor(t, b) != 0 {
			t.Error("refused with a tenth free")
		}
	})
}

func TestABurstMeetsTheLimitBeforeASecondIsOver(t *testing.T) {
	withBacklog(t, 1000, func(t *testing.T, log *tank, b *backlog) {
		pass(10 * time.Millisecond)
		send(t, log, b, 1000)
		pass(backlogHurry)
		if refusedFor(t, b) == 0 {
			t.Error("accepted over the limit")
		}
	})
}

func TestTrafficThatIsDoneAtOnceIsNotHeldAgainstTheLimit(t *testing.T) {
	withBacklog(t, 200, func(t *testing.T, log *tank, b *backlog) {
		log.change(func() { log.rate = 1e9 })
		for range 200 { // 2 s of 20,000/s
			send(t, log, b, 200)
			pass(10 * time.Millisecond)
		}
		if log.looks > 100 {
			t.Errorf("the log was asked %d times in 2s", log.looks)
		}
	})
}

func TestNoLimitRefusesNothing(t *testing.T) {
	withBacklog(t, 0, func(t *testing.T, log *tank, b *backlog) {
		log.change(func() { log.events = 1e12 })
		for range 3 {
			pass(time.Second)
			send(t, log, b, 1_000_000)
		}
	})
}

func TestTheLimitInBytesGoesByTheSizeOfEvents(t *testing.T) {
	for name, c := range map[string]struct {
		limits backlogLimits
		size   float64
		most   int64 // that is accepted
	}{
		"bytes alone":                     {backlogLimits{bytes: 1_000_000}, 500, 1999},
		"larger events, fewer of them":    {backlogLimits{bytes: 1_000_000}, 5000, 199},
		"records are the lower limit":     {backlogLimits{records: 1000, bytes: 1_000_000}, 500, 999},
		"while no size is known: records": {backlogLimits{records: 3000, bytes: 1_000_000}, 0, 2999},
	} {
		t.Run(name, func(t *testing.T) {
			withLimits(t, c.limits, func(t *testing.T, log *tank, b *backlog) {
				log.change(func() { log.size, log.events = c.size, float64(c.most) })
				pass(time.Second)
				if refusedFor(t, b) != 0 {
					t.Error("refused below the limit")
				}
				log.change(func() { log.parked = 1 })
				pass(time.Second)
				if refusedFor(t, b) == 0 {
					t.Error("accepted at the limit")
				}
			})
		})
	}
	withLimits(t, backlogLimits{bytes: 1_000_000}, func(t *testing.T, log *tank, b *backlog) {
		log.change(func() { log.size, log.events = 100, 5000 })
		pass(time.Second)
		if refusedFor(t, b) != 0 {
			t.Error("refused below the limit")
		}
		log.change(func() { log.size = 300 })
		pass(weighEvery + time.Second)
		if refusedFor(t, b) == 0 {
			t.Error("accepted when events became larger")
		}
	})
}

func TestRetryAfterHasBounds(t *testing.T) {
	for name, c := range map[string]struct {
		over, rate float64
		want       time.Duration
	}{
		"nothing drains":   {1e6, 0, stillRetryAfter},
		"it takes days":    {1e9, 10, maxRetryAfter},
		"a moment is left": {1, 1e5, minRetryAfter},
	} {
		t.Run(name, func(t *testing.T) {
			withBacklog(t, 1000, func(t *testing.T, log *tank, b *backlog) {
				log.change(func() { log.rate, log.events = c.rate, 1000+c.over+10*c.rate })
				pass(10 * time.Second)
				if got := refusedFor(t, b); got != c.want {
					t.Errorf("come again after %s, want %s", got, c.want)
				}
			})
		})
	}
	withBacklog(t, 1000, func(t *testing.T, log *tank, b *backlog) {
		if got := b.retry(fmt.Errorf("full: %w", gateway.ErrBacklog)); !errors.As(got, new(*gateway.RetryError)) {
			t.Errorf("%v does not say when", got)
		} else if after := got.(*gateway.RetryError).After; after != unknownRetryAfter {
			t.Errorf("at the start: after %s, want %s", after, unknownRetryAfter)
		}
	})
}

func TestAFullEmbeddedLogSaysWhenToComeAgain(t *testing.T) {
	withBacklog(t, 0, func(t *testing.T, log *tank, b *backlog) {
		log.change(func() { log.events, log.rate = 92_000, 100 })
		pass(20 * time.Second)
		full := fmt.Errorf("full: %w", gateway.ErrBacklog)
		var retry *gateway.RetryError
		if !errors.As(b.retry(full), &retry) || !errors.Is(retry, gateway.ErrBacklog) {
			t.Fatalf("%v", b.retry(full))
		}
		// A ninth of 90,000 at 100/s.
		if !near(retry.After, 100*time.Second) {
			t.Errorf("after %s, want about 100s", retry.After)
		}
		if err := b.retry(gateway.ErrTooLarge); errors.As(err, new(*gateway.RetryError)) {
			t.Error("what is too large stays so")
		}
		b.full = func() bool { return false }
		if err := b.retry(full); errors.As(err, new(*gateway.RetryError)) {
			t.Error("a full buffer is a matter of moments")
		}
	})
}

func TestWhileTheLogCannotSayThingsStayAsTheyAre(t *testing.T) {
	withBacklog(t, 1000, func(t *testing.T, log *tank, b *backlog) {
		log.change(func() { log.events = 2000 })
		pass(time.Second)
		log.change(func() { log.events, log.err = 0, errors.New("away") })
		pass(time.Minute)
		if refusedFor(t, b) == 0 {
			t.Error("opened without knowing")
		}
		log.change(func() { log.err = nil })
		pass(time.Second)
		if refusedFor(t, b) != 0 {
			t.Error("refused with no backlog")
		}
	})
}
