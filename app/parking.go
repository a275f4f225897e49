package app

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/otel/tracing"
	"github.com/signalbox-dev/signalbox/resource"
)

// parkedTopics are the dispatcher's way to the parked topics.
type parkedTopics struct{ log *eventlog.Log }

// Park implements dispatcher.Parking.
func (t parkedTopics) Park(function string, partition int32, p *event.Parked, traceparent, tracestate string, done func(error)) {
	m := withTrace(p.Message(), tracing.FromHeaders(traceparent, tracestate))
	t.log.Park(function, partition, m, func(_ event.Position, err error) { done(err) })
}

// Report implements dispatcher.Parking.
func (t parkedTopics) Report(partition int32, c *event.Completion) {
	t.log.Park(event.LeaseStream(c.Delivery.Function), partition, c.Message(), func(event.Position, error) {})
}

// Behind implements dispatcher.Parking.
func (t parkedTopics) Behind(function string, partition int32) bool {
	return t.log.ParkedBehind(function, partition)
}

// targets finds links and functions by name in the set in force.
type targets struct{ at atomic.Pointer[targetSet] }

type targetSet struct {
	set   resource.Set
	links map[string]*resource.Link
}

// use takes over a set.
func (t *targets) use(set resource.Set) {
	s := &targetSet{set: set, links: make(map[string]*resource.Link, len(set.Links))}
	for _, l := range set.Links {
		s.links[l.Metadata.Name] = l
	}
	t.at.Store(s)
}

// Target implements dispatcher.Targets.
func (t *targets) Target(p *event.Parked) resource.Target {
	if p.Function == resource.CallbackFunction {
		if to, err := resource.CallbackTarget(event.Callback(p.Event)); err == nil {
			return to
		}
	}
	s := t.at.Load()
	if s == nil {
		return unknownTarget(p.Link, p.Function, p.Version)
	}
	l := s.links[p.Link]
	name, version := linkedTo(l, p)
	var fn *resource.Function
	if r := s.set.Route(name); r != nil && version == "" {
		fn = r.Pick(string(p.Key), p.Event.Source, p.Event.ID)
	} else {
		fn = s.set.Function(name, version)
	}
	if l != nil && fn != nil {
		return resource.Target{Link: l, Function: fn}
	}
	out := unknownTarget(p.Link, name, version)
	if l != nil {
		out.Link = l
	}
	if fn != nil {
		out.Function = fn
	}
	return out
}

// linkedTo is where a parked delivery goes by what its record says and by its
// link as it is now, nil if it is gone. Version "" leaves that to the traffic.
func linkedTo(l *resource.Link, p *event.Parked) (name, version string) {
	switch {
	case p.Version != "":
		return p.Function, p.Version
	case l != nil:
		return l.Spec.FunctionName()
	}
	// The links that policies make (policy:p/f@v1) and those of events for one
	// function (manual:f@v1) are no resources; their names end in what they lead to.
	ref := p.Link[strings.LastIndexAny(p.Link, ":/")+1:]
	if name, version, _ := strings.Cut(ref, "@"); name == p.Function && ref != p.Link {
		return name, version
	}
	return p.Function, ""
}

func unknownTarget(link, function, version string) resource.Target {
	return resource.Target{
		Link:     &resource.Link{Metadata: resource.Metadata{Name: link}, Spec: resource.LinkSpec{Function: function}},
		Function: &resource.Function{Metadata: resource.Metadata{Name: function}, Spec: resource.FunctionSpec{Version: version}},
	}
}

// Again implements dispatcher.Targets. A link that leads to another function
// by now does not take what was chosen before along.
func (t *targets) Again(target resource.Target, rec *event.Record, revision uint64) resource.Target {
	s := t.at.Load()
	if s == nil || s.set.Revision <= revision {
		return target
	}
	l := s.links[target.Link.Metadata.Name]
	if l == nil {
		l = target.Link
	}
	name, version := l.Spec.FunctionName()
	if name != target.Function.Metadata.Name {
		return target
	}
	fn := s.set.Function(name, version)
	if r := s.set.Route(name); r != nil && version == "" {
		fn = r.Pick(rec.Key(), rec.Event.Source, rec.Event.ID)
	}
	if fn != nil {
		target.Function = fn
	}
	return target
}

// heldLetters tell the dispatcher of dead letters in its own terms.
type heldLetters struct{ index *letterIndex }

// State implements dispatcher.Letters.
func (h heldLetters) State(ctx context.Context, id string) (event.Resolution, dispatcher.LetterState, error) {
	r, state, err := h.index.State(ctx, id)
	switch state {
	case letterOpen:
		return r, dispatcher.LetterOpen, err
	case letterResolved:
		return r, dispatcher.LetterResolved, err
	}
	return r, dispatcher.LetterNone, err
}

// counts are kept in the ledger: of the calls of links with a rate, and of the events of chains.
type counts struct{ ledger *ledger.Ledger }

// Take implements dispatcher.Rates.
func (c counts) Take(ctx context.Context, link string, rate float64, want int) (int, time.Duration, error) {
	return c.ledger.TakeRate(ctx, link, rate, want)
}

// Count implements dispatcher.Chains.
func (c counts) Count(ctx context.Context, correlation string, n int) (int64, error) {
	return c.ledger.CountChain(ctx, correlation, n)
}

// resolutions hands decisions about dead letters to the dispatcher, on a
// goroutine of its own: who reads them must not wait. It is bounded by the
// decisions that people make.
type resolutions struct {
	mu   sync.Mutex
	next []event.Resolution
	some chan struct{} // of capacity 1
}

func newResolutions() *resolutions { return &resolutions{some: make(chan struct{}, 1)} }

func (r *resolutions) add(one event.Resolution) {
	r.mu.Lock()
	r.next = append(r.next, one)
	r.mu.Unlock()
	select {
	case r.some <- struct{}{}:
	default:
	}
}

func (r *resolutions) take() []event.Resolution {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.next
	r.next = nil
	return taken
}

// resolve runs until ctx ends.
func (a *App) resolve(ctx context.Context) error {
	for {
		select {
		case <-a.resolutions.some:
			for _, one := range a.resolutions.take() {
				a.dispatcher.Resolve(one)
			}
		case <-ctx.Done():
			return nil
		}
	}
}
