package replay

import (
	"context"
	"time"
)

// pacer holds a rate over all partitions and processes: permits come from
// Rates; without them each partition keeps to an even part of the rate. A nil
// pacer has no bound. It is used by one goroutine.
type pacer struct {
	rates Rates
	name  string
	// rate is per second, over all; partitions share it when nobody counts.
	rate       float64
	partitions int
	now        func() time.Time

	permits int
	next    time.Time // when this partition may send the next one by itself
}

// take is 0 when the next delivery may be sent, and else how long to wait
// before asking again.
func (p *pacer) take(ctx context.Context) time.Duration {
	if p == nil || p.rate == 0 {
		return 0
	}
	if p.permits > 0 {
		p.permits--
		return 0
	}
	if p.rates != nil {
		// A twentieth of a second's worth at once: few questions, and no burst.
		want := min(max(1, int(p.rate/20/float64(p.partitions))), 100)
		granted, wait, err := p.rates.Take(ctx, p.name, p.rate, want)
		switch {
		case err == nil && granted > 0:
			p.permits = granted - 1
			return 0
		case err == nil:
			return max(wait, time.Millisecond)
		}
	}
	return p.alone()
}

// alone keeps to this partition's part of the rate.
func (p *pacer) alone() time.Duration {
	now := p.now()
	if wait := p.next.Sub(now); wait > 0 {
		return wait
	}
	every := time.Duration(float64(p.partitions) / p.rate * float64(time.Second))
	p.next = now.Add(every)
	return 0
}
