package dispatcher

import (
	"context"
	"time"
)

// backoff is the random time before attempt n+1, after n failed ones: full
// jitter over min(limit, initial * 2^(n-1)).
func backoff(initial, limit time.Duration, n int, random float64) time.Duration {
	ceiling := limit
	if shift := n - 1; shift < 32 && initial <= limit>>shift {
		ceiling = initial << shift
	}
	return time.Duration(random * float64(ceiling))
}

// pause waits before attempt n+1 at one of the dispatcher's own duties; false
// when ctx ended first. Half of the time is fixed, so that a service that is
// away is not asked in a tight loop.
func (d *Dispatcher) pause(ctx context.Context, n int) bool {
	full := backoff(d.cfg.RetryInitial, d.cfg.RetryMax, n, 1)
	t := time.NewTimer(full/2 + time.Duration(d.parts.Rand()*float64(full/2)))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
