package replay

import (
	"context"
	"sync"
)

// session is one time of owning a partition.
type session struct {
	player    *Player
	partition int32
	// ctx is the owner's: it ends when the partition is lost. feed ends also when
	// it is handed over: then nothing new is sent.
	ctx  context.Context
	feed context.Context
	end  context.CancelFunc
	// ready is closed once it is known which links have a cursor.
	ready   chan struct{}
	feeders sync.WaitGroup
	// before is the last time of owning the partition, nil once that is over.
	before *session
}

func (s *session) loaded() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// Own begins a time of owning a partition, before any Skip for it; it is over
// when ctx ends. It does not block: Skip waits until is known what is held back.
func (p *Player) Own(ctx context.Context, partition int32) {
	s := &session{player: p, partition: partition, ctx: ctx, ready: make(chan struct{})}
	s.feed, s.end = context.WithCancel(ctx)
	p.mu.Lock()
	s.before = p.sessions[partition]
	if s.before != nil {
		s.before.end()
	}
	p.sessions[partition] = s
	p.refresh()
	p.mu.Unlock()
	context.AfterFunc(ctx, func() { p.disown(s) })
	p.stir()
}

// disown forgets a session.
func (p *Player) disown(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.end()
	if p.sessions[s.partition] != s {
		return
	}
	delete(p.sessions, s.partition)
	for _, l := range p.lines {
		if pl := l.place(s.partition); pl != nil && pl.session == s {
			l.setPlace(s.partition, nil)
		}
	}
	p.refresh()
}

// Release ends the sending of history to a partition at a clean hand-over: what
// is on its way is waited for and committed, as long as ctx allows.
func (p *Player) Release(ctx context.Context, partition int32) {
	p.mu.Lock()
	s := p.sessions[partition]
	if s == nil {
		p.mu.Unlock()
		return
	}
	s.end() // below mu: no feeder is started from here on
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.feeders.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
