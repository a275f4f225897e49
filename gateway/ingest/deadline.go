package ingest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// ticksPerTimeout is how finely deadlines are kept.
const ticksPerTimeout = 20

// deadlines hands out contexts that end a timeout later. All requests of one
// tick share a context, so a request costs neither a timer nor an allocation;
// in return one may wait up to a tick longer than the timeout.
type deadlines struct {
	timeout time.Duration
	current atomic.Pointer[slot]
	mu      sync.Mutex
}

// slot is the context of the requests that begin before until.
type slot struct {
	until  time.Time
	ctx    context.Context
	cancel context.CancelFunc
}

// at returns the context of a request that begins now.
func (d *deadlines) at(now time.Time) context.Context {
	if s := d.current.Load(); s != nil && now.Before(s.until) {
		return s.ctx
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.current.Load(); s != nil && now.Before(s.until) {
		return s.ctx
	}
	s := &slot{until: now.Add(d.timeout / ticksPerTimeout)}
	// Its own timer ends it: other requests may still be using it.
	s.ctx, s.cancel = context.WithDeadline(context.Background(), s.until.Add(d.timeout))
	d.current.Store(s)
	return s.ctx
}
