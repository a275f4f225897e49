package scripts

import "github.com/signalbox-dev/signalbox/resource"

// Status says how the workers of a version of a function are; ok is always true.
func (h *Host) Status(fn *resource.Function) (status resource.FunctionStatus, ok bool) {
	if _, err := h.URL(fn); err != nil {
		return resource.FunctionStatus{State: resource.StateFailing, Reason: err.Error()}, true
	}
	h.mu.RLock()
	p, next := h.pools[name(fn)], h.successors[name(fn)]
	h.mu.RUnlock()
	if next != nil || p != nil && p.source != sourceOf(fn) {
		return next.statusBefore(), true
	}
	if p == nil {
		return resource.FunctionStatus{State: resource.StateIdle, Reason: "it is not run here yet"}, true
	}
	return p.status(), true
}

func (p *pool) status() resource.FunctionStatus {
	p.mu.Lock()
	idle, cannot := len(p.idle), p.cannotRun()
	p.mu.Unlock()
	n := idle + len(p.places) // those at work hold a place
	s := resource.FunctionStatus{State: resource.StateReady, URL: p.host.url + p.name(), Replicas: n, Ready: n}
	switch {
	case n > 0 && p.worked.Load(): // the first one holds a place while it starts
	case cannot != nil:
		s.Replicas, s.Ready = 0, 0
		s.State, s.Reason = resource.StateFailing, cannot.Error()
	case n > 0 || p.kept.Load() && !p.worked.Load():
		s.Replicas, s.Ready = n, 0
		s.State, s.Reason = resource.StateStarting, "the first worker starts"
	default:
		s.State, s.Reason = resource.StateIdle, "a worker starts with the first event"
	}
	return s
}

// statusBefore is that of a pool which is to take the place of another one; nil is
// one that is not made yet.
func (p *pool) statusBefore() resource.FunctionStatus {
	s := resource.FunctionStatus{State: resource.StateStarting, Reason: "the changed function starts; the one before goes on until then"}
	if p == nil {
		return s
	}
	p.mu.Lock()
	cannot := p.cannotRun()
	p.mu.Unlock()
	err := p.cannotFetch()
	if err == nil {
		err = cannot
	}
	if err != nil {
		s.State, s.Reason = resource.StateFailing, err.Error()+"; the function as it was before goes on"
	}
	return s
}
