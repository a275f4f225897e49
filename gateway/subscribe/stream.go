package subscribe

import (
	"context"
	"sync"
)

// stream is one follower of the log with its subscribers.
type stream struct {
	follow func(ctx context.Context, started func(), handle func([]*message)) error

	mu   sync.Mutex
	subs map[*subscriber]struct{}
	// current is nil while nobody is subscribed.
	current *follower
	// followers counts the goroutines that follow.
	followers sync.WaitGroup
}

// follower is one run of follow.
type follower struct {
	cancel  context.CancelFunc
	started chan struct{}
}

// add adds a subscriber, the first of which starts the follower.
func (st *stream) add(s *subscriber) *follower {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.subs == nil {
		st.subs = map[*subscriber]struct{}{}
	}
	st.subs[s] = struct{}{}
	if st.current == nil {
		st.start()
	}
	return st.current
}

// start is called with the lock held.
func (st *stream) start() {
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{cancel: cancel, started: make(chan struct{})}
	st.current = f
	st.followers.Go(func() {
		defer cancel()
		var once sync.Once
		err := st.follow(ctx, func() { once.Do(func() { close(f.started) }) }, func(all []*message) { st.broadcast(f, all) })
		if !isStop(err) {
			st.broke(f)
		}
	})
}

// remove takes a subscriber out; the last one stops the follower.
func (st *stream) remove(s *subscriber) {
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.subs, s)
	if len(st.subs) == 0 && st.current != nil {
		st.current.cancel()
		st.current = nil
	}
}

// broadcast offers messages to everybody who wants them. A follower that has
// been stopped may still have some in hand: they are nobody's.
func (st *stream) broadcast(f *follower, all []*message) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.current != f {
		return
	}
	for _, m := range all {
		for s := range st.subs {
			if s.sel.wants(m) {
				s.offer(m)
			}
		}
	}
}

// broke ends everybody's stream: what they missed is in the log, and resuming
// finds it. The next subscriber starts a new follower.
func (st *stream) broke(f *follower) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.current != f {
		return
	}
	st.current = nil
	for s := range st.subs {
		s.end(reasonBroken)
	}
}

func (st *stream) endAll(reason string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for s := range st.subs {
		s.end(reason)
	}
}
