package app

import (
	"context"
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
func (t *targets) Target(link, function, version string) resource.Target {
	var out resource.Target
	if s := t.at.Load(); s != nil {
		out = resource.Target{Link: s.links[link], Function: s.set.Function(function, version)}
	}
	if out.Link == nil {
		out.Link = &resource.Link{Metadata: resource.Metadata{Name: link}, Spec: resource.LinkSpec{Function: function}}
	}
	if out.Function == nil {
		out.Function = &resource.Function{Metadata: resource.Metadata{Name: function}, Spec: resource.FunctionSpec{Version: version}}
	}
	return out
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
