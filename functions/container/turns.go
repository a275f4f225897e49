package container

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

var (
	errGone = errors.New("the function was deleted meanwhile")
	errBusy = errors.New("as many calls wait for a container as may")
	errLeft = errors.New("the caller gave up")
)

// take gives the caller a container to call, at once or as soon as there is one,
// for hold at most. done with it, the caller gives it back. left is closed when
// the caller's own caller is gone.
func (g *group) take(hold time.Duration, left <-chan struct{}) (*replica, error) {
	g.mu.Lock()
	if p := g.least(); p != nil {
		g.give(p)
		g.mu.Unlock()
		return p, nil
	}
	if why := g.refuses(); why != "" {
		g.mu.Unlock()
		return nil, errors.New(why)
	}
	switch {
	case g.removed:
		g.mu.Unlock()
		return nil, errGone
	case len(g.waiting) >= g.r.c.Queue:
		g.mu.Unlock()
		return nil, errBusy
	}
	turn := make(chan *replica, 1)
	g.waiting = append(g.waiting, turn)
	g.high = max(g.high, g.calls+len(g.waiting))
	g.lastUse = g.r.c.Now()
	g.mu.Unlock()
	g.wake()
	return g.await(turn, hold, left)
}

// await waits for a turn; a nil container in it is a refusal.
func (g *group) await(turn chan *replica, hold time.Duration, left <-chan struct{}) (*replica, error) {
	limit := time.NewTimer(hold)
	defer limit.Stop()
	err := errLeft
	select {
	case p := <-turn:
		return p, g.refusal(p)
	case <-limit.C:
		err = fmt.Errorf("no container was ready within %s", hold.Round(time.Millisecond))
	case <-left:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, turn); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		if phase := g.phase(); phase != "" {
			err = fmt.Errorf("%w: %s", err, phase)
		}
		return nil, err
	}
	p := <-turn // given in the same moment
	if p == nil {
		return nil, errors.New(g.last)
	}
	return p, nil
}

// refusal is why a turn has no container.
func (g *group) refusal(p *replica) error {
	if p != nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.removed {
		return errGone
	}
	return errors.New(g.last)
}

// give counts a call of p; g.mu is held.
func (g *group) give(p *replica) {
	p.calls++
	g.calls++
	g.lastUse = g.r.c.Now()
	if load := g.calls + len(g.waiting); load > g.high {
		g.high = load
		if len(g.replicas) < g.want.spec.MaxReplicas && load > len(g.replicas)*g.want.spec.Target {
			g.wake()
		}
	}
}

// back ends a call of p.
func (g *group) back(p *replica) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.calls--
	g.calls--
	g.lastUse = g.r.c.Now()
	if p.state == stateDraining && p.calls == 0 {
		p.leave()
	}
}

// least is the ready container with the fewest calls in flight.
func (g *group) least() (best *replica) {
	for _, p := range g.replicas {
		if p.state == stateReady && (best == nil || p.calls < best.calls) {
			best = p
		}
	}
	return best
}

// serve hands the calls that wait to containers that are ready; g.mu is held.
func (g *group) serve() {
	for len(g.waiting) > 0 {
		p := g.least()
		if p == nil {
			return
		}
		turn := g.waiting[0]
		g.waiting = g.waiting[1:]
		g.give(p)
		turn <- p
	}
}

// release refuses the calls that wait; g.mu is held.
func (g *group) release(why error) {
	g.last = why.Error()
	for _, turn := range g.waiting {
		turn <- nil
	}
	g.waiting = nil
}
