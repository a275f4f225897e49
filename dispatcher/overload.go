package dispatcher

import (
	"sync/atomic"
	"time"
)

// overload says whether work waits in every lane. Then it is not one
// function that does not keep up but this process: to park what finds no room
// would cost it a write and a read of the log for each delivery, and nobody
// would gain by that. So the partition waits for room instead, as long as the
// lane moves.
type overload struct {
	next atomic.Int64 // when it is looked at again, in nanoseconds since 1970
	is   atomic.Bool
}

// overloadLook is how often the lanes are looked at, while one of them is full.
const overloadLook = 10 * time.Millisecond

// briskWithin is in how many times ParkAfter a lane must be able to work off what waits
// in it for the partition to wait for it.
const briskWithin = 4

func (d *Dispatcher) overloaded() bool {
	now := d.parts.Now().UnixNano()
	if now < d.overload.next.Load() {
		return d.overload.is.Load()
	}
	d.overload.next.Store(now + int64(overloadLook))
	is := true
	for _, l := range d.snapshot() {
		if l.idles() {
			is = false
			break
		}
	}
	d.overload.is.Store(is)
	return is
}

// idles reports whether nothing waits in the lane but what a worker is on its way to.
func (l *lane) idles() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queued <= l.starting && l.halted == 0 && l.gate.closedUntil.IsZero()
}

// overloadPatience is how many times ParkAfter an event may be old for its partition
// to wait: nobody is held up by that for longer, not even a function that has no
// lane now, since its last event was long ago.
const overloadPatience = 10

// waitForRoom waits until the lane may have room for a delivery of the live
// stream that found none at since; false when it is better parked.
func (d *Dispatcher) waitForRoom(s *session, l *lane, dl *delivery, space <-chan struct{}, since time.Time) bool {
	now := d.parts.Now()
	if now.Sub(dl.p.rec.Timestamp) > overloadPatience*d.cfg.ParkAfter || !l.brisk.Load() || !d.overloaded() {
		return false
	}
	if now.Sub(since) > d.cfg.ParkAfter {
		l.brisk.Store(false)
		return false
	}
	t := time.NewTimer(overloadLook)
	defer t.Stop()
	select {
	case <-space:
	case <-t.C:
	case <-s.ctx.Done():
	}
	return true
}

// measure says whether the lane moves: it is called every half ParkAfter.
func (l *lane) measure() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.brisk.Store(l.waiting[0] == 0 || l.taken*2*briskWithin >= l.waiting[0])
	l.taken = 0
}
