package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/board"
	"github.com/signalbox-dev/signalbox/functions/kube/podlog"
	"github.com/signalbox-dev/signalbox/functions/names"
	"github.com/signalbox-dev/signalbox/resource"
)

// Runtime runs functions in a cluster, as one kind of objects. It is a
// functions.Runtime. All methods are safe for concurrent use.
type Runtime struct {
	*board.Board
	c Config
	// dirty tells that places are old: one notice stands for any number.
	dirty chan struct{}

	// reader reads pods; nil: nobody does.
	reader *podlog.Reader

	// seals belong to Run.
	seals names.Seals

	mu sync.Mutex
	// versions are those that there are; Run alone changes the map.
	versions map[board.ID]*version
	// seen are the namespaces that are watched; Run alone changes the map.
	seen map[scope]*live
}

// scope is what one watch is of: what is ours in a namespace, or all of it.
type scope struct {
	namespace string
	refs      bool
}

// New makes a Runtime; the cluster is not asked before Run.
func New(c Config) (*Runtime, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	r := &Runtime{Board: board.New(), c: c, dirty: make(chan struct{}, 1), versions: map[board.ID]*version{}, seen: map[scope]*live{}}
	var err error
	if c.Output != nil && !c.ReadOnly {
		r.reader, err = podlog.New(r.reading())
	}
	return r, err
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
		r.Passed()
		select {
		case <-r.Woken():
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
	next := make(map[board.ID]*board.Place, len(r.versions))
	for which, v := range r.versions {
		next[which] = r.endpoint(v)
	}
	r.Publish(next)
}

// endpoint says where a version is; r.mu is held.
func (r *Runtime) endpoint(v *version) *board.Place {
	s := r.state(v)
	e := &board.Place{Status: s.Status, Asked: &v.asked}
	if s.serving {
		e.URL = s.URL
		return e
	}
	reason := s.Reason
	if reason == "" {
		reason = s.State
	}
	e.Status.URL = ""
	e.Err = board.NotReady(v.id, reason)
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
