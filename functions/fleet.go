package functions

import (
	"context"
	"sync"

	"github.com/signalbox-dev/signalbox/resource"
)

// fleet is the programs that run, as the Registry's Run sees them. It belongs
// to that goroutine.
type fleet struct {
	r *Registry
	// ctx is that of the programs.
	ctx     context.Context
	running sync.WaitGroup
	// set is the one in force.
	set resource.Set
}

// use compares a set with what runs. A version that gets no events any more
// goes on until dismiss finds that nobody needs it; the programs of a function
// that is gone are stopped at once.
func (f *fleet) use(set resource.Set) {
	f.set = set
	wanted := map[id]bool{}
	for _, fn := range set.VersionsInUse() {
		if len(fn.Spec.Command) > 0 {
			wanted[idOf(fn)] = true
			f.start(fn).wanted = true
		}
	}
	names := map[string]bool{}
	for _, fn := range set.Functions {
		names[fn.Metadata.Name] = true
	}
	now := f.r.c.Now()
	for which, s := range f.r.supervisors {
		switch {
		case !names[which.name]:
			f.stop(s)
		case !wanted[which]:
			if s.wanted {
				s.wanted, s.idle = false, now
			}
			f.refresh(s)
		}
	}
}

// refresh lets a version that gets no events, and that somebody may ask for,
// have the settings of now.
func (f *fleet) refresh(s *supervisor) {
	fn := f.set.Function(s.id.name, s.id.version)
	if fn != nil && idOf(fn) == s.id && len(fn.Spec.Command) > 0 {
		s.offer(f.r.newProgram(fn))
	}
}

// start sees to it that the program of fn runs.
func (f *fleet) start(fn *resource.Function) *supervisor {
	p := f.r.newProgram(fn)
	if s, ok := f.r.supervisors[p.id]; ok {
		s.offer(p)
		return s
	}
	s := newSupervisor(f.r, p)
	s.idle = f.r.c.Now()
	f.r.mu.Lock()
	f.r.supervisors[p.id] = s
	f.r.mu.Unlock()
	own, cancel := context.WithCancel(f.ctx)
	s.cancel = cancel
	f.running.Go(func() { s.run(own) })
	return s
}

// stop ends a program; from before that on there is no URL of it.
func (f *fleet) stop(s *supervisor) {
	f.r.remove(s.id)
	s.cancel()
}

// wish starts a version that gets no events by the set, but was asked for.
func (f *fleet) wish(which id) {
	if _, runs := f.r.supervisors[which]; runs {
		return
	}
	fn := f.set.Function(which.name, which.version)
	if fn != nil && fn.Spec.Version == which.version && len(fn.Spec.Command) > 0 {
		f.start(fn)
	}
}

// dismiss stops the versions that get no events, that nobody has asked for a
// while, and in whose place others answer.
func (f *fleet) dismiss() {
	now := f.r.c.Now()
	for _, s := range f.r.supervisors {
		switch {
		case s.wanted:
		case s.asked.Swap(false) || !f.replaced(s.id.name):
			s.idle = now
		case now.Sub(s.idle) >= f.r.c.Linger:
			f.r.c.Log.Info("function version is not in use and stops", "function", s.id.String())
			f.stop(s)
		}
	}
}

// replaced reports whether every program of a function that gets events accepts connections.
func (f *fleet) replaced(name string) bool {
	endpoints := *f.r.endpoints.Load()
	for which, s := range f.r.supervisors {
		if e, known := endpoints[which]; which.name == name && s.wanted && (!known || e.err != nil) {
			return false
		}
	}
	return true
}
