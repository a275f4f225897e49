package dispatcher

import "time"

// pace is what a lane did since it was last asked. Its lane's mutex guards it.
type pace struct {
	since time.Time
	calls int
	spent time.Duration
	// ranDry: there was a moment when nothing waited.
	ranDry bool
}

// note counts a call that took so long; 0 is none that was made.
func (p *pace) note(took time.Duration) {
	if took > 0 {
		p.calls++
		p.spent += took
	}
}

func (p *pace) mean() time.Duration { return p.spent / time.Duration(max(1, p.calls)) }

func (p *pace) perSecond(now time.Time) float64 { return float64(p.calls) / now.Sub(p.since).Seconds() }

// inFlight is the mean number of calls in flight, by Little's law.
func (p *pace) inFlight(now time.Time) float64 { return p.perSecond(now) * p.mean().Seconds() }

// measured returns the lane's pace since it was last asked, and begins anew.
func (l *lane) measured(now time.Time) pace {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pace
	l.pace = pace{since: now}
	return p
}

// bound is how many calls may be in flight. l.mu is held.
func (l *lane) bound() int {
	n := l.gate.bound(l.concurrency)
	if l.enough > 0 && l.enough < n {
		return l.enough
	}
	return n
}

// bounds returns the bound of calls in flight, and what of it thrift has set; 0 is nothing.
func (l *lane) bounds() (bound, enough int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bound(), l.enough
}

// suffices bounds the calls in flight; 0 takes the bound away.
func (l *lane) suffices(n int) {
	l.mu.Lock()
	before := l.bound()
	l.enough = n
	more := l.bound() > before
	l.mu.Unlock()
	if more {
		l.wake()
	}
}
