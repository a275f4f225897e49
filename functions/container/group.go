package container

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/functions"
)

// group is the containers of one version of a function, and the calls that wait
// for one. Calls are given to containers by whoever makes them; how many containers
// there are is decided by the goroutine of run.
type group struct {
	r        *Runtime
	key, url string
	// kick wakes run.
	kick chan struct{}
	// failing is why there is no container and calls are refused; nil: they are taken.
	failing atomic.Pointer[string]
	// asked is set when somebody wants the function although it is failing.
	asked atomic.Bool

	mu       sync.Mutex
	want     *revision
	removed  bool
	replicas []*replica
	// waiting are calls without a container, oldest first; at most Config.Queue.
	waiting []chan *replica
	// calls are those in flight; high is the most of them, and of those that
	// waited, since it was looked at last.
	calls, high int
	lastUse     time.Time
	// peak is how many containers were needed lately, at peakAt.
	peak   int
	peakAt time.Time
	// failures are those in a row, of which last is the last one, at failedAt.
	failures int
	last     string
	failedAt time.Time
	retryAt  time.Time
	running  sync.WaitGroup
}

func newGroup(r *Runtime, key string, v *revision) *group {
	return &group{r: r, key: key, url: r.front.base + key, kick: make(chan struct{}, 1), want: v, lastUse: r.c.Now()}
}

func (g *group) wake() {
	select {
	case g.kick <- struct{}{}:
	default:
	}
}

// change makes v what shall run.
func (g *group) change(v *revision) {
	g.mu.Lock()
	if v.digest != g.want.digest || (v.err == nil) != (g.want.err == nil) {
		g.failures, g.retryAt = 0, time.Time{} // it may be better
		g.failing.Store(nil)
	}
	g.want = v
	g.mu.Unlock()
	g.wake()
}

// remove ends the group once its calls in flight have ended.
func (g *group) remove() {
	g.mu.Lock()
	g.removed = true
	g.mu.Unlock()
	g.wake()
}

// refuses is why calls are refused at the moment; "" when they are taken. Who
// asks lets the function be tried again.
func (g *group) refuses() string {
	why := g.failing.Load()
	if why == nil {
		return ""
	}
	g.asked.Store(true)
	g.wake()
	return *why
}

// run starts and stops containers until ctx ends, or the group is removed and
// its last call has ended; then it waits for all of them.
func (g *group) run(ctx context.Context) {
	defer g.running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next, over := g.step(ctx)
		if over {
			return
		}
		timer.Stop()
		var due <-chan time.Time
		if !next.IsZero() {
			timer.Reset(max(next.Sub(g.r.c.Now()), time.Millisecond))
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case <-g.kick:
		case <-due:
		}
	}
}

// step starts and drains containers until there are as many as there should be,
// and says when to look again at the latest.
func (g *group) step(ctx context.Context) (next time.Time, over bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.r.c.Now()
	if g.removed {
		for _, p := range slices.Clone(g.replicas) {
			p.drain()
		}
		g.release(errGone)
		return time.Time{}, len(g.replicas) == 0
	}
	fresh, old := g.present()
	want, next := g.needed(now, len(fresh)+len(old))
	if g.want.err != nil {
		g.refuse(g.want.err.Error())
	} else {
		if missing := want - len(fresh); missing > 0 && now.Before(g.retryAt) {
			next = sooner(next, g.retryAt)
		} else if missing > 0 {
			g.asked.Store(false)
			g.start(ctx, missing)
			fresh, _ = g.present()
		}
		g.replace(old, max(0, want-ready(fresh)))
	}
	if len(old) == 0 {
		g.replace(fresh, want)
	} else if want == 0 {
		g.replace(append(old, fresh...), 0)
	}
	return next, false
}

// present are the containers that take calls, or will: those of the wanted
// revision, and those of others.
func (g *group) present() (fresh, old []*replica) {
	for _, p := range g.replicas {
		switch {
		case p.state == stateDraining:
		case p.v.digest == g.want.digest:
			fresh = append(fresh, p)
		default:
			old = append(old, p)
		}
	}
	return fresh, old
}

// needed is how many containers there should be, and when that may change by
// time alone. there are so many now.
func (g *group) needed(now time.Time, there int) (want int, next time.Time) {
	load := g.calls + len(g.waiting)
	spec := &g.want.spec
	need := (max(load, g.high) + spec.Target - 1) / spec.Target
	g.high = load
	if g.asked.Load() {
		need = max(need, 1)
	}
	need = min(max(need, g.want.least()), max(spec.MaxReplicas, g.want.least()))
	settle := min(g.r.c.Settle, spec.IdleAfter.D())
	if need >= g.peak || !now.Before(g.peakAt.Add(settle)) {
		g.peak, g.peakAt = need, now
	}
	want = g.peak
	if want > need || load > 0 {
		next = g.peakAt.Add(settle)
	}
	if idle := g.lastUse.Add(spec.IdleAfter.D()); need == 0 && there > 0 && now.Before(idle) {
		want, next = max(want, 1), sooner(next, idle)
	} else if need == 0 {
		g.peak, want = 0, 0
	}
	if want > 0 && next.IsZero() {
		next = now.Add(settle) // fewer calls wake nobody
	}
	return want, next
}

// sooner is the earlier of two times, of which zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// start begins n containers of the wanted revision; g.mu is held.
func (g *group) start(ctx context.Context, n int) {
	for range n {
		p := newReplica(g, g.want)
		g.replicas = append(g.replicas, p)
		g.running.Go(func() { p.run(ctx) })
	}
}

// replace drains all but so many: those first that take no calls yet, then
// those with the fewest.
func (g *group) replace(among []*replica, keep int) {
	if len(among) <= keep {
		return
	}
	slices.SortStableFunc(among, func(a, b *replica) int {
		if (a.state == stateReady) != (b.state == stateReady) {
			if a.state == stateReady {
				return -1
			}
			return 1
		}
		return b.calls - a.calls
	})
	for _, p := range among[keep:] {
		p.drain()
	}
}

func ready(among []*replica) (n int) {
	for _, p := range among {
		if p.state == stateReady {
			n++
		}
	}
	return n
}

// refuse notes why there is nothing to call, unless there is; g.mu is held.
func (g *group) refuse(why string) {
	g.last = why
	if g.least() != nil {
		return
	}
	g.failing.Store(&why)
	g.release(errors.New(why))
}

// failed notes that p did not get ready, or ended, and plans the next start.
func (g *group) failed(p *replica, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.state == stateDraining {
		return // nobody wanted it any more
	}
	why := err.Error()
	if failed := g.r.c.Observe.Failed; failed != nil {
		failed(p.v.name, causeOf(err))
	}
	wasReady := !p.readyAt.IsZero()
	p.state = stateDraining
	if p.calls == 0 {
		p.leave()
	}
	now := g.r.c.Now()
	g.failedAt = now
	if wasReady && now.Sub(p.readyAt) >= g.r.c.StableAfter {
		g.failures = 0
	}
	if p.v.digest == g.want.digest {
		g.failures++
		g.retryAt = now.Add(g.r.c.restartDelay(g.failures))
	}
	g.last = why
	if !wasReady && !slices.ContainsFunc(g.replicas, func(o *replica) bool { return o.state == stateStarting }) {
		g.refuse(why)
	}
	g.r.c.Log.Warn("a container does not run", "function", g.key, "cause", why, "restart_in", max(0, g.retryAt.Sub(now)))
	g.wake()
}

// started notes that p takes calls.
func (g *group) started(p *replica) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.state == stateDraining {
		return
	}
	p.state = stateReady
	if p.readyAt.IsZero() {
		p.readyAt = g.r.c.Now()
		g.lastUse = p.readyAt // one that was asked for is not ended before it was called
	}
	if p.cleared != nil {
		close(p.cleared)
		p.cleared = nil
	}
	g.failing.Store(nil)
	g.serve()
	g.wake()
}

// doubts keeps further calls from p until it answers again, when cleared is closed.
func (g *group) doubts(p *replica) (cleared <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.state == stateReady {
		p.state, p.cleared = stateDoubtful, make(chan struct{})
		p.doubt <- struct{}{} // there is room: it was taken before p got ready again
	}
	return p.cleared
}

// forget drops a container that is gone.
func (g *group) forget(p *replica) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.replicas = slices.DeleteFunc(g.replicas, func(o *replica) bool { return o == p })
	g.wake()
}

// phase is what a container that starts is doing; g.mu is held.
func (g *group) phase() string {
	for _, p := range g.replicas {
		if p.state == stateStarting {
			return p.phase
		}
	}
	return g.last
}

func (g *group) status() functions.Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := functions.Status{State: functions.StateIdle, URL: g.url}
	starts := false
	for _, p := range g.replicas {
		if p.state == stateDraining {
			continue
		}
		s.Replicas++
		starts = starts || p.state == stateStarting
		if p.state == stateReady {
			s.Ready++
		}
	}
	why := g.failing.Load()
	switch {
	case s.Ready > 0:
		s.State = functions.StateReady
		if g.failures > 0 && g.r.c.Now().Sub(g.failedAt) < g.r.c.RestartMax+g.r.c.StableAfter {
			s.Reason = "the last container that did not run: " + g.last
		}
	case why != nil:
		s.State, s.Reason = functions.StateFailing, *why
	case starts:
		s.State, s.Reason = functions.StateStarting, g.phase()
	default:
		s.Reason = "starts when it is called"
		if g.failures > 0 {
			s.Reason += "; the last container ended: " + g.last
		}
	}
	return s
}
