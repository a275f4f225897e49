package kube

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/kube/podlog"
	"github.com/signalbox-dev/signalbox/functions/names"
	"github.com/signalbox-dev/signalbox/resource"
)

// Runtime runs functions in a cluster, as one kind of objects. It is a
// functions.Runtime. All methods are safe for concurrent use.
type Runtime struct {
	c Config
	// places say where versions are, or why they are nowhere; a map is never
	// changed once it is here, so that URL takes no lock.
	places atomic.Pointer[map[id]*endpoint]
	// wake tells Run that something is to be done, dirty that places are old. Both
	// hold one notice, which stands for any number.
	wake, dirty chan struct{}
	// rounds counts the passes that Run has made.
	rounds atomic.Uint64

	// reader reads pods; nil: nobody does.
	reader *podlog.Reader

	// seals belong to Run.
	seals names.Seals

	mu sync.Mutex
	// next are the functions that Run has not taken yet.
	next *plan
	// versions are those that there are; Run alone changes the map.
	versions map[id]*version
	// seen are the namespaces that are watched; Run alone changes the map.
	seen map[scope]*live
}

// plan is what Reconcile was given.
type plan struct{ inUse, others []*resource.Function }

// scope is what one watch is of: what is ours in a namespace, or all of it.
type scope struct {
	namespace string
	refs      bool
}

// endpoint is where a version is.
type endpoint struct {
	url    string
	err    error
	status functions.Status
	of     *version
}

// New makes a Runtime; the cluster is not asked before Run.
func New(c Config) (*Runtime, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	r := &Runtime{
		c: c, wake: make(chan struct{}, 1), dirty: make(chan struct{}, 1),
		versions: map[id]*version{}, seen: map[scope]*live{},
	}
	r.places.Store(&map[id]*endpoint{})
	var err error
	if c.Output != nil && !c.ReadOnly {
		r.reader, err = podlog.New(r.reading())
	}
	return r, err
}

// URL implements functions.Runtime. A version that gets no events is brought up
// when it is asked for.
func (r *Runtime) URL(fn *resource.Function) (string, error) {
	which := idOf(fn)
	p, ok := (*r.places.Load())[which]
	if !ok {
		return "", &notReady{which, "not started"}
	}
	if !p.of.asked.Load() {
		p.of.asked.Store(true)
		if p.err != nil {
			notify(r.wake)
		}
	}
	return p.url, p.err
}

// Status says how a version is; false for one that there is not.
func (r *Runtime) Status(fn *resource.Function) (functions.Status, bool) {
	p, ok := (*r.places.Load())[idOf(fn)]
	if !ok {
		return functions.Status{}, false
	}
	return p.status, true
}

// Reconcile implements functions.Runtime.
func (r *Runtime) Reconcile(inUse, others []*resource.Function) {
	r.mu.Lock()
	r.next = &plan{inUse, others}
	r.mu.Unlock()
	notify(r.wake)
}

func notify(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// Run applies and removes objects until ctx ends. What runs in the cluster goes
// on: another process, or this one when it is back, looks after it.
func (r *Runtime) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	k := keeper{r: r, ctx: ctx, running: &running, unknown: map[place]time.Time{}}
	running.Go(func() { r.publishAll(ctx) })
	if r.reader != nil {
		running.Go(func() { _ = r.reader.Run(ctx) })
	}
	look := time.NewTicker(r.c.Look)
	defer look.Stop()
	for {
		k.pass()
		r.rounds.Add(1)
		select {
		case <-r.wake:
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// publishAll keeps the places as new as what is seen.
func (r *Runtime) publishAll(ctx context.Context) {
	for {
		select {
		case <-r.dirty:
			r.publish()
		case <-ctx.Done():
			return
		}
	}
}

func (r *Runtime) publish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := make(map[id]*endpoint, len(r.versions))
	for which, v := range r.versions {
		next[which] = r.endpoint(v)
	}
	r.places.Store(&next)
}

// endpoint says where a version is; r.mu is held.
func (r *Runtime) endpoint(v *version) *endpoint {
	s := r.state(v)
	e := &endpoint{of: v, status: s.Status}
	if s.serving {
		e.url = s.URL
		return e
	}
	reason := s.Reason
	if reason == "" {
		reason = s.State
	}
	e.status.URL = ""
	e.err = &notReady{v.id, reason}
	return e
}

// state is what is known of a version; r.mu is held.
func (r *Runtime) state(v *version) state {
	seen := r.seen[v.scope()]
	if seen == nil {
		return failing(v, v.trouble(nil))
	}
	o, listed, unseen := seen.get(v.at.name)
	switch {
	case o == nil && !listed && unseen == nil && v.trouble(nil) == nil:
		return state{Status: functions.Status{State: functions.StateStarting, Reason: "the cluster is not known yet"}}
	case o == nil:
		return failing(v, v.trouble(unseen))
	}
	if !v.ref() && o.GetLabels()[labelOwner] != r.c.Owner {
		return failing(v, v.trouble(nil))
	}
	var s state
	if r.c.Platform == resource.PlatformKubernetes {
		s = deploymentState(o)
		s.URL = r.serviceURL(v.at)
		if s.State != functions.StateReady && v.podReason != "" {
			s.Reason = v.podReason
		}
	} else {
		s = knativeState(o)
	}
	// What could not be applied matters more than how the earlier one is.
	if err := v.trouble(nil); err != nil {
		s.State, s.Reason = functions.StateFailing, err.Error()
	}
	return s
}

// failing is the state of a version that is not in the cluster.
func failing(v *version, err error) state {
	s := state{Status: functions.Status{State: functions.StateStarting, Reason: "not started"}}
	switch {
	case err != nil:
		s.State, s.Reason = functions.StateFailing, err.Error()
	case v.ref():
		s.State, s.Reason = functions.StateFailing, fmt.Sprintf("there is no Knative Service %s in namespace %s", v.at.name, v.at.namespace)
	case !v.used:
		s.State, s.Reason = functions.StateIdle, "starts when it is asked for"
	}
	return s
}
