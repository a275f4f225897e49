package openfaas

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/board"
	"github.com/signalbox-dev/signalbox/functions/names"
	"github.com/signalbox-dev/signalbox/resource"
)

// Runtime runs functions in OpenFaaS. It is a functions.Runtime. All methods are
// safe for concurrent use.
type Runtime struct {
	*board.Board
	c       Config
	gateway gateway
}

// New makes a Runtime; OpenFaaS is not asked before Run.
func New(c Config) (*Runtime, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("openfaas: %w", err)
	}
	r := &Runtime{Board: board.New(), c: c}
	r.gateway = gateway{c: &r.c, http: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	return r, nil
}

// Run deploys and removes functions until ctx ends. What runs in OpenFaaS goes on.
func (r *Runtime) Run(ctx context.Context) error {
	k := keeper{r: r, ctx: ctx, versions: map[board.ID]*version{}, unknown: map[place]time.Time{}, seen: map[string]bool{}}
	look := time.NewTicker(r.c.Poll)
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
	id   board.ID
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
func (r *Runtime) endpoint(v *version, there *function, unseen error) *board.Place {
	e := &board.Place{Asked: &v.asked, Status: functions.Status{State: functions.StateStarting}}
	s := &e.Status
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
		e.URL = r.functionURL(v.at)
		s.URL = e.URL
		return e
	}
	e.Err = board.NotReady(v.id, s.Reason)
	return e
}
