package dispatcher

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// session is one time of owning a partition, from its first batch until its
// ctx ends and its last delivery in flight is over.
type session struct {
	d         *Dispatcher
	partition int32
	// owner is the ctx that Handle is called with; ctx also ends when the dispatcher drains.
	owner context.Context
	ctx   context.Context
	stop  context.CancelFunc
	// grace outlives ctx by DrainTimeout: it is for writing the outcomes of
	// what was in flight.
	grace context.Context
	cut   context.CancelFunc
	ended atomic.Bool
	// released: it ended by a hand-over, so that what waits is parked.
	released atomic.Bool
	cutOff   atomic.Bool  // a delivery in flight was abandoned
	holds    atomic.Int64 // deliveries and batches in flight, and 1 until ended
	once     sync.Once
	idle     chan struct{}
	budget   *time.Timer // set by end
	book     book
	parks    parks
	leases   leases
	began    time.Time

	// chosenBy is the revision that was told last to Observer.Choosing, at
	// toldAt; noRevision before that. Both belong to Handle.
	chosenBy uint64
	toldAt   time.Time

	pmu    sync.Mutex
	paused []*delivery // from the parked topics, their links are paused
}

// Own begins the ownership of a partition, which lasts until ctx ends.
func (d *Dispatcher) Own(ctx context.Context, partition int32) { d.session(ctx, partition) }

// session finds the partition's session; nil when the dispatcher drains.
func (d *Dispatcher) session(ctx context.Context, partition int32) *session {
	d.mu.RLock()
	s, draining := d.current[partition], d.draining
	d.mu.RUnlock()
	if draining {
		return nil
	}
	if s != nil && s.owner == ctx {
		return s
	}
	return d.newSession(ctx, partition)
}

// owned are the sessions of the partitions owned now.
func (d *Dispatcher) owned() []*session {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Collect(maps.Values(d.current))
}

func (d *Dispatcher) newSession(ctx context.Context, partition int32) *session {
	s := &session{d: d, partition: partition, owner: ctx, idle: make(chan struct{}), began: d.parts.Now(), chosenBy: noRevision}
	s.parks.s = s
	s.ctx, s.stop = context.WithCancel(ctx)
	s.grace, s.cut = context.WithCancel(d.life)
	s.holds.Store(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := d.current[partition]; now != nil && now.owner == ctx {
		s.cut()
		s.stop()
		return now // another stream of the partition was first
	}
	if d.draining || ctx.Err() != nil { // somebody else may own it by now
		s.cut()
		s.stop()
		return nil
	}
	d.current[partition] = s
	d.sessions[s] = struct{}{}
	context.AfterFunc(s.ctx, s.end)
	context.AfterFunc(ctx, s.disowned)
	return s
}

// disowned forgets the session when its owner's time is over. Until then one
// that was released stays known: what comes after that finds it at its end, and
// does not begin another one.
func (s *session) disowned() {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.d.current[s.partition] == s {
		delete(s.d.current, s.partition)
	}
}

// acquire holds the session for one delivery or batch; false when it has ended.
func (s *session) acquire() bool {
	s.holds.Add(1)
	if s.ended.Load() {
		s.release()
		return false
	}
	return true
}

// release undoes acquire. The last one out makes the session idle.
func (s *session) release() {
	if s.holds.Add(-1) == 0 {
		s.once.Do(s.retire)
	}
}

// end stops the session: everything that waits is abandoned, everything in
// flight gets DrainTimeout to finish.
func (s *session) end() {
	if s.ended.Swap(true) {
		return
	}
	s.finish()
}

// Release ends the ownership of a partition cleanly: nothing is started any
// more, what waits of the live stream is parked, what is in flight may finish
// until ctx ends. When it returns nothing of the partition is settled any more.
func (d *Dispatcher) Release(ctx context.Context, partition int32) {
	d.mu.RLock()
	s := d.current[partition]
	d.mu.RUnlock()
	if s == nil {
		return
	}
	s.released.Store(d.parts.Parking != nil)
	s.end()
	select {
	case <-s.grace.Done(): // it is idle, or its time is over
	case <-ctx.Done():
		s.cut()
	}
}

// finish empties the lanes of what the session has waiting.
func (s *session) finish() {
	s.stop()
	s.budget = time.AfterFunc(s.d.cfg.DrainTimeout, s.cut)
	for _, l := range s.d.snapshot() {
		for _, dl := range l.remove(func(dl *delivery) bool { return dl.p.session == s }) {
			s.d.forsake(dl)
		}
	}
	for _, dl := range s.takePaused() {
		s.d.abandon(dl)
	}
	for _, dl := range s.leases.takeAll() {
		s.d.forsake(dl)
	}
	s.release()
}

// parksAtEnd reports whether a waiting delivery is parked when its session has
// ended: one that comes from the parked topic stands there already.
func (s *session) parksAtEnd(dl *delivery) bool { return s.released.Load() && dl.live() }

func (s *session) retire() {
	s.budget.Stop()
	s.cut()
	s.d.mu.Lock()
	delete(s.d.sessions, s)
	s.d.mu.Unlock()
	close(s.idle)
}

// cling holds a session that has ended, for what still belongs to it; false
// when it is idle already.
func (s *session) cling() bool {
	for {
		n := s.holds.Load()
		if n == 0 {
			return false
		}
		if s.holds.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// forsake gives up a delivery that is in no lane, because its session has
// ended: it is parked if the session was released, and else abandoned.
func (d *Dispatcher) forsake(dl *delivery) {
	s := dl.p.session
	if !s.parksAtEnd(dl) || !s.cling() {
		d.abandon(dl)
		return
	}
	defer s.release()
	d.putAway(dl, event.ParkStop, dl.due)
}

// noRevision is no revision that there can be.
const noRevision = ^uint64(0)

// retellChoosing is how long what was told of a revision holds.
const retellChoosing = 12 * time.Hour

// chose tells by which revision the events of the partition are chosen for
// from rec on, when that is news.
func (s *session) chose(rec *event.Record, revision uint64, now time.Time) {
	var began time.Time
	if s.toldAt.IsZero() {
		began = s.began
	}
	s.chosenBy, s.toldAt = revision, now
	if f := s.d.parts.Observer.Choosing; f != nil {
		f(rec, revision, began)
	}
}

// pause keeps a parked delivery of a paused link.
func (s *session) pause(dl *delivery) {
	s.pmu.Lock()
	defer s.pmu.Unlock()
	s.paused = append(s.paused, dl)
}

func (s *session) takePaused() []*delivery {
	s.pmu.Lock()
	defer s.pmu.Unlock()
	taken := s.paused
	s.paused = nil
	return taken
}
