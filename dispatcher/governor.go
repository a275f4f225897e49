package dispatcher

import "time"

// good tells the gate of an answer that shows the function to be there.
func (l *lane) good() {
	if !l.troubled.Load() {
		return
	}
	l.mu.Lock()
	before := l.gate.bound(l.concurrency)
	l.gate.good(l.concurrency)
	more := l.gate.bound(l.concurrency) > before
	l.troubled.Store(l.gate.limit != 0)
	l.mu.Unlock()
	if more {
		l.wake()
	}
}

// refused tells the gate of a call that the function did not take.
func (l *lane) refused(start time.Time, wait time.Duration) {
	now := l.d.parts.Now()
	l.gateChange(func() { l.gate.refused(start, now, wait, &l.d.closing, l.concurrency) })
}

// faulty tells the gate of a call that failed.
func (l *lane) faulty(delivery string, start time.Time) {
	now := l.d.parts.Now()
	l.gateChange(func() { l.gate.failed(delivery, start, now, &l.d.closing) })
}

// gateChange changes the gate. When it is closed for long then, what waits of
// the live stream is parked.
func (l *lane) gateChange(change func()) {
	l.troubled.Store(true)
	l.mu.Lock()
	change()
	long := l.closedFor() > l.d.cfg.ParkAfter
	l.arm()
	l.mu.Unlock()
	if long {
		l.clear(func(*delivery) bool { return true })
	}
}

// clear parks the waiting deliveries of the live stream that match.
func (l *lane) clear(match func(*delivery) bool) {
	if l.d.parts.Parking == nil {
		return
	}
	for _, dl := range l.remove(func(dl *delivery) bool { return dl.live() && match(dl) }) {
		l.d.parkWaiting(dl)
	}
}

// clearSlow parks what has waited in the lane for longer than ParkAfter.
func (l *lane) clearSlow() {
	before := l.d.parts.Now().Add(-l.d.cfg.ParkAfter)
	l.clear(func(dl *delivery) bool {
		return dl.since.Before(before) && !dl.due.After(before.Add(2*l.d.cfg.ParkAfter))
	})
}

// shutFor is how much longer the gate is closed.
func (l *lane) shutFor() time.Duration {
	if !l.troubled.Load() {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closedFor()
}
