package functions

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/signalbox-dev/signalbox/functions/child"
	"github.com/signalbox-dev/signalbox/resource"
)

// Registry answers where a function is, and runs the programs of those with a
// command. All methods are safe for concurrent use.
type Registry struct {
	c       Config
	sets    chan resource.Set
	stopped chan struct{}
	keeper  *child.Keeper

	// endpoints are those of command functions; a map is never changed once it
	// is here, so that URL takes no lock.
	endpoints atomic.Pointer[map[string]endpoint]

	mu sync.Mutex
	// changed is closed, and replaced, when endpoints change.
	changed chan struct{}
	// supervisors by function name; written by Run only.
	supervisors map[string]*supervisor
	// ports that a running program was given.
	ports map[int]bool
}

// endpoint is where a program listens, or why it does not.
type endpoint struct {
	url string
	err error
}

// New makes a Registry; nothing starts before Run.
func New(c Config) (*Registry, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("functions: %w", err)
	}
	r := &Registry{
		c:           c,
		sets:        make(chan resource.Set),
		stopped:     make(chan struct{}),
		keeper:      child.NewKeeper(c.Log),
		changed:     make(chan struct{}),
		supervisors: map[string]*supervisor{},
		ports:       map[int]bool{},
	}
	r.endpoints.Store(&map[string]endpoint{})
	return r, nil
}

// URL returns where fn gets its events. For a function with a command that is
// its running program; while there is none the error wraps ErrNotReady and
// says why. It does not block.
func (r *Registry) URL(fn *resource.Function) (string, error) {
	if fn.Spec.URL != "" {
		return fn.Spec.URL, nil
	}
	e, ok := (*r.endpoints.Load())[fn.Metadata.Name]
	if !ok {
		return "", fmt.Errorf("function %s: %w: not started", fn.Metadata.Name, ErrNotReady)
	}
	return e.url, e.err
}

// Reconcile makes the running programs those of the set's functions. It
// returns once Run has taken the set over, which is at once; programs become
// ready later. It fails when ctx ends before, and with ErrStopped after Run.
func (r *Registry) Reconcile(ctx context.Context, set resource.Set) error {
	select {
	case r.sets <- set:
		return nil
	case <-r.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// WaitReady waits until the function name, which has a command, accepts
// connections, and returns its URL. When ctx ends before, the error says what
// the function was waiting for.
func (r *Registry) WaitReady(ctx context.Context, name string) (string, error) {
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		e, ok := (*r.endpoints.Load())[name]
		if ok && e.err == nil {
			return e.url, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if ok {
				return "", fmt.Errorf("%w: %w", ctx.Err(), e.err)
			}
			return "", fmt.Errorf("function %s: %w: not started", name, ctx.Err())
		}
	}
}

// Run starts and stops programs as Reconcile says until ctx ends, then stops
// all of them, waits until they are gone and returns nil. It is called once.
func (r *Registry) Run(ctx context.Context) error {
	var running sync.WaitGroup
	var keeping sync.WaitGroup
	keeping.Go(r.keeper.Run)
	programs, stop := context.WithCancel(context.Background())
	for ctx.Err() == nil {
		select {
		case set := <-r.sets:
			r.apply(programs, &running, set)
		case <-ctx.Done():
		}
	}
	close(r.stopped)
	for name := range r.supervisors {
		r.remove(name)
	}
	stop()
	running.Wait()
	r.keeper.Close()
	keeping.Wait()
	return nil
}

// apply compares the set with what runs.
func (r *Registry) apply(ctx context.Context, running *sync.WaitGroup, set resource.Set) {
	wanted := map[string]bool{}
	for _, fn := range set.Functions {
		if len(fn.Spec.Command) == 0 {
			continue
		}
		wanted[fn.Metadata.Name] = true
		p := newProgram(fn)
		if s, ok := r.supervisors[p.name]; ok {
			s.offer(p)
			continue
		}
		s := newSupervisor(r, p)
		r.mu.Lock()
		r.supervisors[p.name] = s
		r.mu.Unlock()
		own, cancel := context.WithCancel(ctx)
		s.cancel = cancel
		running.Go(func() { s.run(own) })
	}
	for name, s := range r.supervisors {
		if !wanted[name] {
			s.cancel()
			r.remove(name)
		}
	}
}

// remove forgets a function; its supervisor can publish nothing more.
func (r *Registry) remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.supervisors, name)
	next := maps.Clone(*r.endpoints.Load())
	delete(next, name)
	r.store(next)
}

// publish shows where the program of s is, unless s was replaced.
func (r *Registry) publish(s *supervisor, e endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.supervisors[s.name] != s {
		return
	}
	next := maps.Clone(*r.endpoints.Load())
	next[s.name] = e
	r.store(next)
}

// store puts the endpoints in force; r.mu is held.
func (r *Registry) store(next map[string]endpoint) {
	r.endpoints.Store(&next)
	close(r.changed)
	r.changed = make(chan struct{})
}
