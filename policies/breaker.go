package policies

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// breakers keep a panel from asking policies that cost time and give no
// decision: after BreakAfter such failures in a row a policy is not asked for
// BreakFor, with the outcome of a failure; then one evaluation tries it again.
// A failure that comes quickly is no reason: it costs no more than an answer
// does, and while a policy is not asked, events suffer that it would have
// decided about.
type breakers struct {
	// ailing is how many policies have failed last; 0 is nearly always.
	ailing atomic.Int32
	mu     sync.Mutex
	by     map[*source]*breaker
}

// breaker is the state of one policy.
type breaker struct {
	// failures that cost time, in a row.
	failures int
	// until is when the policy is asked again; zero: it is asked.
	until time.Time
	last  error
	// logged is when a failure was logged last, silent how many were not since.
	logged time.Time
	silent int
}

var errSkipped = errors.New("not asked")

func newBreakers(sources []*source) *breakers {
	b := &breakers{by: make(map[*source]*breaker, len(sources))}
	for _, s := range sources {
		b.by[s] = &breaker{}
	}
	return b
}

// skipped are the policies that are not asked at now. claim is set by who is
// about to evaluate: of those whose pause is over it gets one try each, and
// others have them skipped for another pause.
func (b *breakers) skipped(sources []*source, now time.Time, pause time.Duration, claim bool) (open []*source, closed *PolicyError) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range sources {
		k := b.by[s]
		switch {
		case k.until.IsZero():
			continue
		case !now.Before(k.until):
			if claim {
				k.until = now.Add(pause)
			}
			continue
		case s.open:
			open = append(open, s)
		case closed == nil:
			closed = k.error(s, now)
		}
	}
	return open, closed
}

// error is why a policy is not asked.
func (b *breakers) error(s *source, now time.Time) *PolicyError {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.by[s].error(s, now)
}

func (k *breaker) error(s *source, now time.Time) *PolicyError {
	wait := max(0, k.until.Sub(now))
	return &PolicyError{Stage: s.stage, Policy: s.name, Class: ClassBreaker, RetryAfter: wait, source: s,
		Err: fmt.Errorf("%w for another %s after %d failures in a row: %w", errSkipped, wait.Round(time.Millisecond), k.failures, k.cause())}
}

func (k *breaker) cause() error {
	if k.last == nil {
		return errors.New("it answers again")
	}
	return k.last
}

// succeeded is called after an evaluation in which the sources answered.
func (b *breakers) succeeded(sources []*source) {
	if b.ailing.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range sources {
		if k := b.by[s]; k.failures > 0 {
			k.failures, k.until, k.last = 0, time.Time{}, nil
			b.ailing.Add(-1)
		}
	}
}

// failed counts a failure that cost time.
func (b *breakers) failed(e *PolicyError, now time.Time, after int, pause time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.by[e.source]
	if k == nil {
		return
	}
	if k.failures++; k.failures == 1 {
		b.ailing.Add(1)
	}
	if k.last = e.Err; after > 0 && k.failures >= after {
		k.until = now.Add(pause)
	}
}

// logPause is how often a policy's failures are logged at most.
const logPause = 10 * time.Second

// log logs a failure unless one of the policy was logged lately.
func (b *breakers) log(l *slog.Logger, e *PolicyError, now time.Time, more ...any) {
	b.mu.Lock()
	k := b.by[e.source]
	if k == nil {
		k = &breaker{}
		b.by[e.source] = k
	}
	if !k.logged.IsZero() && now.Sub(k.logged) < logPause {
		k.silent++
		b.mu.Unlock()
		return
	}
	silent := k.silent
	k.logged, k.silent = now, 0
	b.mu.Unlock()
	l.Warn(e.Stage+" policy failed", append([]any{"policy", e.Policy, "class", e.Class, "error", e.Err, "not_logged", silent}, more...)...)
}
