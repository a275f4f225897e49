package dispatcher

import (
	"time"
)

// permits are the calls that a link with a rate may start now. They are asked
// for in bulk, a tenth of a second ahead, since the rate holds over all
// dispatchers together. Its lane's mutex guards it.
type permits struct {
	rate float64 // per second; 0 is no bound
	left int
	// until is when those left lapse: what was not used is not saved up.
	until  time.Time
	asking bool
}

// any reports whether a call may start.
func (p *permits) any() bool { return p.rate == 0 || p.left > 0 }

func (p *permits) use() {
	if p.rate > 0 {
		p.left--
	}
}

// permitAhead is for how long permits are asked for at a time.
const permitAhead = 100 * time.Millisecond

// askPermits asks for permits of q when it has something to start and none are
// left. l.mu is held.
func (l *lane) askPermits(q *linkQueue) {
	p := &q.permits
	if p.rate == 0 || p.asking || q.head == nil || (p.left > 0 && l.d.parts.Now().Before(p.until)) {
		return
	}
	p.left, p.asking = 0, true
	name, rate := q.head.target.Link.Metadata.Name, p.rate
	l.d.asking.Go(func() { l.fetchPermits(q, name, rate) })
}

// fetchPermits asks until some are granted, or the dispatcher ends.
func (l *lane) fetchPermits(q *linkQueue, name string, rate float64) {
	want := max(1, int(rate*permitAhead.Seconds()))
	for {
		granted, wait, err := l.d.takeRate(name, rate, want)
		if err != nil { // nobody keeps count: this dispatcher alone holds the rate
			granted, wait = want, time.Duration(float64(want)/rate*float64(time.Second))
			if !l.d.sleep(wait) {
				return
			}
		}
		if granted > 0 {
			l.grant(q, granted)
			return
		}
		if !l.d.sleep(max(wait, time.Millisecond)) {
			return
		}
	}
}

func (d *Dispatcher) takeRate(name string, rate float64, want int) (int, time.Duration, error) {
	if d.parts.Rates == nil {
		return 0, 0, errNoRates
	}
	return d.parts.Rates.Take(d.life, name, rate, want)
}

// sleep waits; false when the dispatcher ended first.
func (d *Dispatcher) sleep(wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-d.life.Done():
		return false
	}
}

func (l *lane) grant(q *linkQueue, n int) {
	l.mu.Lock()
	q.permits.asking = false
	q.permits.left = n
	q.permits.until = l.d.parts.Now().Add(10 * permitAhead)
	l.list(q)
	l.mu.Unlock()
	l.wake()
}
