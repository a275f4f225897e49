package container

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/container/engine"
	"github.com/signalbox-dev/signalbox/resource"
)

// Runtime runs functions of platform docker; it implements functions.Runtime.
// Make it with New, then Run it once.
type Runtime struct {
	c     Config
	owner owner
	front *front
	// life is that of all containers.
	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup

	// groups are by key; a map is never changed once it is here.
	groups atomic.Pointer[map[string]*group]

	mu      sync.Mutex
	stopped bool
	// live are the names of containers that somebody looks after.
	live map[string]bool
	// litter says that there may be containers that nobody looks after.
	litter chan struct{}
}

// New opens the port; no engine is asked before there is a function to run.
func New(c Config) (*Runtime, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	dir, err := filepath.Abs(c.Dir) // engines mount from it
	if err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	r := &Runtime{c: c, owner: owner{dir: dir}, live: map[string]bool{}, litter: make(chan struct{}, 1)}
	r.groups.Store(&map[string]*group{})
	r.life, r.end = context.WithCancel(context.Background())
	r.front = newFront(r, ln)
	return r, nil
}

// URL implements functions.Runtime: the address of a server of this process,
// which holds calls until a container is ready.
func (r *Runtime) URL(fn *resource.Function) (string, error) {
	g := (*r.groups.Load())[key(fn)]
	if g == nil {
		return "", fmt.Errorf("function %s: %w: not known yet", key(fn), functions.ErrNotReady)
	}
	if why := g.refuses(); why != "" {
		return "", fmt.Errorf("function %s: %w: %s", g.key, functions.ErrNotReady, why)
	}
	return g.url, nil
}

// Reconcile implements functions.Runtime.
func (r *Runtime) Reconcile(inUse, others []*resource.Function) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	before := *r.groups.Load()
	next := make(map[string]*group, len(inUse)+len(others))
	use := func(fns []*resource.Function, used bool) {
		for _, fn := range fns {
			k := key(fn)
			g := before[k]
			if g == nil {
				g = next[k]
			}
			v := newRevision(fn, used, r.c.Secrets)
			if g != nil {
				g.change(v)
			} else {
				g = newGroup(r, k, v)
				r.work.Go(func() { g.run(r.life) })
			}
			next[k] = g
		}
	}
	use(others, false)
	use(inUse, true)
	r.groups.Store(&next)
	for k, g := range before {
		if next[k] == nil {
			g.remove()
		}
	}
}

// Status says how a version of a function is.
func (r *Runtime) Status(fn *resource.Function) (functions.Status, bool) {
	g := (*r.groups.Load())[key(fn)]
	if g == nil {
		return functions.Status{}, false
	}
	return g.status(), true
}

// Run answers calls until ctx ends, then stops all containers and removes them.
// What an earlier process of the same directory left behind is removed at the start.
func (r *Runtime) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- r.front.serve() }()
	if r.owner.used() {
		if _, err := r.owner.take(); err != nil {
			r.c.Log.Warn("what other processes left in the container engine stays", "error", err)
		} else {
			r.soil()
		}
	}
	r.clean(ctx)
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.end()
	err := errors.Join(r.front.stop(), <-served)
	r.work.Wait()
	if len(r.litter) > 0 {
		last, cancel := context.WithTimeout(context.Background(), r.c.StopGrace)
		defer cancel()
		if left := r.sweep(last); left != nil {
			r.owner.close(false)
			return errors.Join(err, fmt.Errorf("containers stay until the next start: %w", left))
		}
	}
	r.owner.close(true)
	return err
}

// soil notes that there may be containers that nobody looks after.
func (r *Runtime) soil() {
	select {
	case r.litter <- struct{}{}:
	default:
	}
}

// clean removes what nobody looks after, until ctx ends.
func (r *Runtime) clean(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.litter:
		}
		err := r.sweep(ctx)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			r.soil()
			return
		}
		r.c.Log.Warn("containers that nobody looks after are not removed yet", "error", err, "again_in", r.c.RestartMax)
		again := time.NewTimer(r.c.RestartMax)
		select {
		case <-ctx.Done():
		case <-again.C:
		}
		again.Stop()
		r.soil()
	}
}

// sweep removes the containers, and the files, that belong to this process's
// owner or to one that is dead, and that nobody looks after.
func (r *Runtime) sweep(ctx context.Context) error {
	mine, err := r.owner.take()
	if err != nil {
		return err
	}
	for _, id := range r.owner.ids() {
		list, err := r.c.Engine.List(ctx, map[string]string{engine.LabelOwner: id})
		if err != nil {
			return err
		}
		for _, c := range list {
			if r.isLive(c.Name) {
				continue
			}
			if err := r.c.Engine.Remove(ctx, c.ID); err != nil {
				return err
			}
			r.c.Log.Info("removed a container that was left behind", "function", c.Labels[engine.LabelFunction], "container", c.ID[:min(12, len(c.ID))])
		}
		if id != mine {
			err = os.RemoveAll(r.owner.files(id))
		} else {
			err = r.sweepFiles(id)
		}
		if err != nil {
			return err
		}
	}
	r.owner.buried()
	return nil
}

func (r *Runtime) sweepFiles(id string) error {
	entries, err := os.ReadDir(r.owner.files(id))
	if err != nil {
		return nil // there are none
	}
	for _, e := range entries {
		if !r.isLive(e.Name()) {
			if err := os.RemoveAll(filepath.Join(r.owner.files(id), e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// isLive reports whether somebody looks after the container; engines put a slash
// before names.
func (r *Runtime) isLive(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live[name] || len(name) > 0 && r.live[name[1:]]
}

func (r *Runtime) setLive(name string, live bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if live {
		r.live[name] = true
		return
	}
	delete(r.live, name)
}
