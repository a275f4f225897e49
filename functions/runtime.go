package functions

import (
	"context"
	"fmt"
	"sync"

	"github.com/signalbox-dev/signalbox/resource"
)

// Runtime runs the functions of one kind, which FunctionSpec.Runtime names. Its
// methods are safe for concurrent use.
type Runtime interface {
	// URL is where fn gets its events. It does not block; while there is nowhere,
	// the error wraps ErrNotReady and says why, and the call is tried again without
	// an attempt being spent.
	URL(fn *resource.Function) (string, error)
	// Reconcile makes what runs that of these functions, each a version: those of
	// inUse get events, those of others may be asked for. All that is in neither is
	// gone. It does not block, and is called again when a secret has changed.
	Reconcile(inUse, others []*resource.Function)
	// Run runs them until ctx ends, then stops what ends with this process and waits for it.
	Run(ctx context.Context) error
}

// The states of what runs a function.
const (
	StateStarting = resource.StateStarting
	StateReady    = resource.StateReady
	StateIdle     = resource.StateIdle
	StateFailing  = resource.StateFailing
)

// Status says how what runs a version of a function is.
type Status = resource.FunctionStatus

// statusReporter is a Runtime that knows more than whether there is a URL. ok is
// false for what it does not run.
type statusReporter interface {
	Status(fn *resource.Function) (status Status, ok bool)
}

// Status says how what runs fn is, as this process sees it; ok is false for what it
// does not run. To ask starts nothing, and keeps nothing running.
func (r *Registry) Status(fn *resource.Function) (status Status, ok bool) {
	if len(fn.Spec.Command) > 0 {
		return r.programStatus(fn), true
	}
	rt, ok := r.runtimes[fn.Spec.Runtime()]
	if !ok {
		return Status{}, false
	}
	if reporter, ok := rt.(statusReporter); ok {
		return reporter.Status(fn)
	}
	return Status{}, false
}

func (r *Registry) programStatus(fn *resource.Function) Status {
	e, ok := (*r.endpoints.Load())[idOf(fn)]
	switch {
	case !ok && r.supervises(idOf(fn)):
		return Status{State: StateStarting, Reason: "the program starts"}
	case ok && e.err == nil && !e.program.isOf(fn):
		return Status{State: StateStarting, Reason: "the changed program starts; the one before goes on until then"}
	case !ok:
		return Status{State: StateIdle, Reason: "starts when it is asked for"}
	case e.err == nil:
		return Status{State: StateReady, URL: e.url, Replicas: 1, Ready: 1}
	case e.failing:
		return Status{State: StateFailing, Reason: e.err.Error()}
	}
	return Status{State: StateStarting, Reason: e.err.Error()}
}

// supervises reports whether a program of that version is seen to.
func (r *Registry) supervises(which id) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.supervisors[which]
	return ok
}

// runRuntimes starts all; end stops them and waits.
func (r *Registry) runRuntimes() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for kind, rt := range r.runtimes {
		running.Go(func() {
			if err := rt.Run(ctx); err != nil {
				r.c.Log.Warn("functions did not end as they should", "runtime", kind, "error", err)
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// reconcileRuntimes hands each runtime its functions of the set.
func (r *Registry) reconcileRuntimes(set *resource.Set) {
	if len(r.runtimes) == 0 {
		return
	}
	inUse, others := map[string][]*resource.Function{}, map[string][]*resource.Function{}
	used := map[id]bool{}
	for _, fn := range set.VersionsInUse() {
		inUse[fn.Spec.Runtime()] = append(inUse[fn.Spec.Runtime()], fn)
		used[idOf(fn)] = true
	}
	for _, fn := range set.Functions {
		for _, version := range set.Route(fn.Metadata.Name).Versions() {
			if !used[idOf(version)] {
				others[version.Spec.Runtime()] = append(others[version.Spec.Runtime()], version)
			}
		}
	}
	for kind, rt := range r.runtimes {
		rt.Reconcile(inUse[kind], others[kind])
	}
}

func (r *Registry) runtimeURL(fn *resource.Function) (string, error) {
	kind := fn.Spec.Runtime()
	rt, ok := r.runtimes[kind]
	if !ok {
		return "", fmt.Errorf("function %s: %w: this process runs no functions of kind %s", idOf(fn), ErrNotReady, kind)
	}
	return rt.URL(fn)
}
