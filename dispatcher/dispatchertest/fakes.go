// Package dispatchertest has in-memory parts for tests of the dispatcher and
// of what is built on it. All of them are safe for concurrent use.
package dispatchertest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// ErrAway is what a part returns that was told to fail.
var ErrAway = errors.New("away")

// Log keeps what is appended. The zero value is ready; Changed tells when
// something was.
type Log struct {
	mu      sync.Mutex
	events  []dispatcher.Outgoing
	dead    []event.DeadLetter
	runs    []event.Run
	changed chan struct{}
	// FailEvents and FailDead decide, when set, whether an append fails.
	FailEvents func() bool
	FailDead   func() bool
}

// AppendEvents implements dispatcher.Log.
func (l *Log) AppendEvents(_ context.Context, events []dispatcher.Outgoing) error {
	if l.FailEvents != nil && l.FailEvents() {
		return ErrAway
	}
	l.change(func() { l.events = append(l.events, events...) })
	return nil
}

// DeadLetter implements dispatcher.Log.
func (l *Log) DeadLetter(_ context.Context, dl *event.DeadLetter) error {
	if l.FailDead != nil && l.FailDead() {
		return ErrAway
	}
	l.change(func() { l.dead = append(l.dead, *dl) })
	return nil
}

// Run implements dispatcher.Log.
func (l *Log) Run(run *event.Run) {
	r := *run
	r.Replies = slices.Clone(run.Replies)
	l.change(func() { l.runs = append(l.runs, r) })
}

func (l *Log) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Changed returns a channel that is closed at the next append.
func (l *Log) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// Events returns a copy of the events appended.
func (l *Log) Events() []dispatcher.Outgoing {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// Dead returns a copy of the dead letters.
func (l *Log) Dead() []event.DeadLetter {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.dead)
}

// Runs returns a copy of the run records.
func (l *Log) Runs() []event.Run {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.runs)
}

// Claims is a Deduper in memory. The zero value is ready.
type Claims struct {
	mu   sync.Mutex
	seen map[[2]string]event.Position
	// Fail decides, when set, whether a claim fails.
	Fail func() bool
}

// Claim implements dispatcher.Deduper.
func (c *Claims) Claim(_ context.Context, recs []event.Record, verdicts []event.Verdict) error {
	if c.Fail != nil && c.Fail() {
		return ErrAway
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[[2]string]event.Position{}
	}
	for i := range recs {
		k := [2]string{recs[i].Event.Source, recs[i].Event.ID}
		first, seen := c.seen[k]
		switch {
		case !seen:
			c.seen[k] = recs[i].Position
			verdicts[i] = event.FirstSight
		case first == recs[i].Position:
			verdicts[i] = event.Redelivery
		default:
			verdicts[i] = event.Duplicate
		}
	}
	return nil
}

// Choose is a Chooser made of a function.
type Choose func(ev *event.Event) (dispatcher.Choice, error)

// Choose implements dispatcher.Chooser.
func (f Choose) Choose(_ context.Context, rec *event.Record, _ []resource.Target) (dispatcher.Choice, error) {
	return f(rec.Event)
}

// Always chooses the targets for every event, at revision 7.
func Always(targets ...resource.Target) Choose {
	return func(*event.Event) (dispatcher.Choice, error) {
		return dispatcher.Choice{Targets: targets, Revision: 7}, nil
	}
}

// URLs are Endpoints that take each function's URL from its spec.
type URLs struct{}

// URL implements dispatcher.Endpoints.
func (URLs) URL(fn *resource.Function) (string, error) {
	if fn.Spec.URL == "" {
		return "", errors.New("not started yet")
	}
	return fn.Spec.URL, nil
}

// Target is a link of the name to a function of the name fn at url.
func Target(link, fn, url string, delivery resource.Delivery) resource.Target {
	return resource.Target{
		Link: &resource.Link{
			Metadata: resource.Metadata{Name: link, Revision: 1},
			Spec:     resource.LinkSpec{Function: fn, Types: []string{"*"}, Delivery: delivery},
		},
		Function: &resource.Function{
			Metadata: resource.Metadata{Name: fn, Revision: 1},
			Spec:     resource.FunctionSpec{URL: url},
		},
	}
}
