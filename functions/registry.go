package functions

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/functions/child"
	"github.com/signalbox-dev/signalbox/resource"
)

// Registry answers where a function is, and runs the programs of those with a
// command. All methods are safe for concurrent use.
type Registry struct {
	c    Config
	sets chan resource.Set
	// wishes are versions that somebody asked for and that do not run; they are
	// dropped when there are too many: who asks does so again.
	wishes  chan id
	stopped chan struct{}
	keeper  *child.Keeper
	secrets *secretWatch
	// mounts is below MountsDir, and this Registry's alone; it may not be there.
	mounts string
	// runtimes run what is no program, by FunctionSpec.Runtime; never changed.
	runtimes map[string]Runtime

	// endpoints are those of command functions; a map is never changed once it
	// is here, so that URL takes no lock.
	endpoints atomic.Pointer[map[id]endpoint]

	mu sync.Mutex
	// changed is closed, and replaced, when endpoints change.
	changed chan struct{}
	// supervisors of the versions that run; written by Run only.
	supervisors map[id]*supervisor
	// ports that a running program was given.
	ports map[int]bool
}

// endpoint is where a program listens, or why it does not.
type endpoint struct {
	url string
	err error
	// program is what listens there.
	program program
	// failing: it was started before, and did not stay.
	failing bool
	of      *supervisor
}

// New makes a Registry; nothing starts before Run.
func New(c Config) (*Registry, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("functions: %w", err)
	}
	mounts, err := filepath.Abs(filepath.Join(c.MountsDir, rand.Text()))
	if err != nil {
		return nil, fmt.Errorf("functions: %w", err)
	}
	r := &Registry{
		c:           c,
		mounts:      mounts,
		sets:        make(chan resource.Set),
		wishes:      make(chan id, 16),
		stopped:     make(chan struct{}),
		keeper:      child.NewKeeper(c.Log),
		secrets:     newSecretWatch(c.Secrets),
		changed:     make(chan struct{}),
		supervisors: map[id]*supervisor{},
		ports:       map[int]bool{},
	}
	r.keeper.RemoveAtEnd(mounts)
	r.endpoints.Store(&map[id]endpoint{})
	return r, r.openRuntimes()
}

// URL returns where fn gets its events. For a function with a command that is
// the running program of its version; while there is none the error wraps
// ErrNotReady and says why. A version that gets no events by traffic or link
// (a policy or a redrive may name it) is started when it is asked for. It does
// not block.
func (r *Registry) URL(fn *resource.Function) (string, error) {
	if fn.Spec.URL != "" {
		return fn.Spec.URL, nil
	}
	if len(fn.Spec.Command) == 0 {
		return r.runtimeURL(fn)
	}
	which := idOf(fn)
	e, ok := (*r.endpoints.Load())[which]
	if ok {
		if !e.of.asked.Load() {
			e.of.asked.Store(true)
		}
		return e.url, e.err
	}
	select {
	case r.wishes <- which:
	default:
	}
	return "", fmt.Errorf("function %s: %w: not started", which, ErrNotReady)
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

// WaitReady waits until a version of a function, which has a command, accepts
// connections, and returns its URL. When ctx ends before, the error says what
// the function was waiting for.
func (r *Registry) WaitReady(ctx context.Context, name, version string) (string, error) {
	which := id{name, version}
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		e, ok := (*r.endpoints.Load())[which]
		if ok && e.err == nil {
			return e.url, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if ok {
				return "", fmt.Errorf("%w: %w", ctx.Err(), e.err)
			}
			return "", fmt.Errorf("function %s: %w: not started", which, ctx.Err())
		}
	}
}

// Run starts and stops programs as Reconcile says until ctx ends, then stops
// all of them, waits until they are gone and returns nil. It is called once.
func (r *Registry) Run(ctx context.Context) error {
	var keeping sync.WaitGroup
	keeping.Go(r.keeper.Run)
	endRuntimes := r.runRuntimes()
	programs, stop := context.WithCancel(context.Background())
	f := fleet{r: r, ctx: programs}
	keeping.Go(func() { r.secrets.watch(programs) })
	look := time.NewTicker(max(r.c.Linger/4, time.Millisecond))
	defer look.Stop()
	for ctx.Err() == nil {
		select {
		case set := <-r.sets:
			r.take(&f, set)
		case <-r.secrets.changed:
			r.c.Log.Info("secrets of functions have changed")
			r.take(&f, f.set)
		case which := <-r.wishes:
			f.wish(which)
		case <-look.C:
			f.dismiss()
		case <-ctx.Done():
		}
	}
	close(r.stopped)
	for which := range r.supervisors {
		r.remove(which)
	}
	stop()
	endRuntimes()
	f.running.Wait()
	r.keeper.Close()
	keeping.Wait()
	r.removeMounts(r.mounts)
	return nil
}

// take brings a set into force, or the same one again with other secrets.
func (r *Registry) take(f *fleet, set resource.Set) {
	r.secrets.use(f.ctx, &set)
	f.use(set)
	r.reconcileRuntimes(&set)
}

// remove forgets a version; its supervisor can publish nothing more.
func (r *Registry) remove(which id) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.supervisors, which)
	next := maps.Clone(*r.endpoints.Load())
	delete(next, which)
	r.store(next)
}

// publish shows where the program of s is, unless s was replaced.
func (r *Registry) publish(s *supervisor, e endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.supervisors[s.id] != s {
		return
	}
	e.of = s
	next := maps.Clone(*r.endpoints.Load())
	next[s.id] = e
	r.store(next)
}

// store puts the endpoints in force; r.mu is held.
func (r *Registry) store(next map[id]endpoint) {
	r.endpoints.Store(&next)
	close(r.changed)
	r.changed = make(chan struct{})
}
