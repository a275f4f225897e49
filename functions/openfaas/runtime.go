package openfaas

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/names"
	"github.com/signalbox-dev/signalbox/resource"
)

// Runtime runs functions in OpenFaaS. It is a functions.Runtime. All methods are
// safe for concurrent use.
type Runtime struct {
	c       Config
	gateway gateway
	// places say where versions are, or why they are nowhere; a map is never
	// changed once it is here, so that URL takes no lock.
	places atomic.Pointer[map[string]*endpoint]
	// wake holds one notice that something is to be done.
	wake chan struct{}

	mu sync.Mutex
	// next are the functions that Run has not taken yet.
	next *plan
}

// plan is what Reconcile was given.
type plan struct{ inUse, others []*resource.Function }

// endpoint is where a version is.
type endpoint struct {
	url    string
	err    error
	status functions.Status
	asked  *atomic.Bool
}

// New makes a Runtime; OpenFaaS is not asked before Run.
func New(c Config) (*Runtime, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("openfaas: %w", err)
	}
	r := &Runtime{c: c, wake: make(chan struct{}, 1)}
	r.gateway = gateway{c: &r.c, http: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	r.places.Store(&map[string]*endpoint{})
	return r, nil
}

// URL implements functions.Runtime. A version that gets no events is deployed
// when it is asked for.
func (r *Runtime) URL(fn *resource.Function) (string, error) {
	e, ok := (*r.places.Load())[nameOf(fn)]
	if !ok {
		return "", fmt.Errorf("function %s: %w: not deployed", nameOf(fn), functions.ErrNotReady)
	}
	if !e.asked.Load() {
		e.asked.Store(true)
		if e.err != nil {
			r.notify()
		}
	}
	return e.url, e.err
}

// Status says how a version is; false for one that there is not.
func (r *Runtime) Status(fn *resource.Function) (functions.Status, bool) {
	e, ok := (*r.places.Load())[nameOf(fn)]
	if !ok {
		return functions.Status{}, false
	}
	return e.status, true
}

// Reconcile implements functions.Runtime.
func (r *Runtime) Reconcile(inUse, others []*resource.Function) {
	r.mu.Lock()
	r.next = &plan{inUse, others}
	r.mu.Unlock()
	r.notify()
}

func (r *Runtime) notify() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run deploys and removes functions until ctx ends. What runs in OpenFaaS goes on.
func (r *Runtime) Run(ctx context.Context) error {
	k := keeper{r: r, ctx: ctx, versions: map[string]*version{}, unknown: map[place]time.Time{}, seen: map[string]bool{}}
	look := time.NewTicker(r.c.Poll)
	defer look.Stop()
	for {
		k.pass()
		select {
		case <-r.wake:
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// functionURL is where the gateway takes calls of a function.
func (r *Runtime) functionURL(at place) string {
	name := at.name
	if at.namespace != "" {
		name += "." + at.namespace
	}
	return strings.TrimSuffix(r.c.Gateway, "/") + "/function/" + url.PathEscape(name)
}

// place is a function's in OpenFaaS.
type place struct{ namespace, name string }

// version is one version of a function; it belongs to Run.
type version struct {
	name string
	fn   *resource.Function
	at   place
	used bool
	// asked is set when somebody wants its URL; lastAsked is when that was seen.
	asked     atomic.Bool
	lastAsked time.Time
	// idle is since when it gets no events.
	idle   time.Time
	design *design
	// applied is the spec that was deployed, or found, at appliedAt.
	applied   string
	appliedAt time.Time
	// refused is why it could not be deployed, the last of so many failures; it is
	// tried again when due.
	refused  error
	failures int
	due      time.Time
}

// endpoint says where v is, by what OpenFaaS says of it: nil is nothing.
func (r *Runtime) endpoint(v *version, there *function, unseen error) *endpoint {
	e := &endpoint{asked: &v.asked, status: functions.Status{State: functions.StateStarting}}
	s := &e.status
	serving := false
	switch {
	case there == nil && v.refused != nil:
		s.State, s.Reason = functions.StateFailing, v.refused.Error()
	case there == nil && unseen != nil:
		s.State, s.Reason = functions.StateFailing, unseen.Error()
	case there == nil && !v.used:
		s.State, s.Reason = functions.StateIdle, "deployed when it is asked for"
	case there == nil:
		s.Reason = "not deployed"
	case there.Labels[names.LabelOwner] != r.c.Owner:
		s.State, s.Reason = functions.StateFailing, errForeign.Error()
	default:
		s.Replicas, s.Ready = there.Replicas, there.Available
		serving = there.Available > 0 || there.Replicas == 0
		switch {
		case v.refused != nil:
			s.State, s.Reason = functions.StateFailing, v.refused.Error()
		case there.Replicas == 0:
			s.State, s.Reason = functions.StateIdle, "OpenFaaS starts it at the next call"
		case serving:
			s.State = functions.StateReady
		default:
			s.Reason = fmt.Sprintf("0 of %d replicas are ready", there.Replicas)
		}
	}
	if serving {
		e.url = r.functionURL(v.at)
		s.URL = e.url
		return e
	}
	e.err = fmt.Errorf("function %s: %w: %s", v.name, functions.ErrNotReady, s.Reason)
	return e
}
