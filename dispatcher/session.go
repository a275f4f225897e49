package dispatcher

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// session is one time of owning a partition, from its first batch until its
// ctx ends and its last delivery in flight is over.
type session struct {
	d *Dispatcher
	// owner is the ctx that Handle is called with; ctx also ends when the dispatcher drains.
	owner context.Context
	ctx   context.Context
	stop  context.CancelFunc
	// grace outlives ctx by DrainTimeout: it is for writing the outcomes of
	// what was in flight.
	grace  context.Context
	cut    context.CancelFunc
	ended  atomic.Bool
	cutOff atomic.Bool  // a delivery in flight was abandoned
	holds  atomic.Int64 // deliveries and batches in flight, and 1 until ended
	once   sync.Once
	idle   chan struct{}
	budget *time.Timer // set by end
}

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

func (d *Dispatcher) newSession(ctx context.Context, partition int32) *session {
	s := &session{d: d, owner: ctx, idle: make(chan struct{})}
	s.ctx, s.stop = context.WithCancel(ctx)
	s.grace, s.cut = context.WithCancel(d.life)
	s.holds.Store(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.draining {
		s.cut()
		s.stop()
		return nil
	}
	d.current[partition] = s
	d.sessions[s] = struct{}{}
	context.AfterFunc(s.ctx, s.end)
	return s
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
	s.stop()
	s.budget = time.AfterFunc(s.d.cfg.DrainTimeout, s.cut)
	for _, l := range s.d.snapshot() {
		l.abandon(s)
	}
	s.release()
}

func (s *session) retire() {
	s.budget.Stop()
	s.cut()
	s.d.mu.Lock()
	delete(s.d.sessions, s)
	s.d.mu.Unlock()
	close(s.idle)
}
