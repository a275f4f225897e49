// Package board is the front of a Runtime whose functions run elsewhere: it is asked
// where versions are, and given which there should be, without waiting for who sees to that.
package board

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/resource"
)

// ID names one version of a function.
type ID struct{ Name, Version string }

// Of is the ID of fn.
func Of(fn *resource.Function) ID { return ID{fn.Metadata.Name, fn.Spec.Version} }

// String is name@version, or the name of what has none.
func (i ID) String() string {
	if i.Version == "" {
		return i.Name
	}
	return resource.VersionName(i.Name, i.Version)
}

// Place is where a version is, or why it is nowhere. It is not changed any more once
// it was published.
type Place struct {
	URL    string
	Err    error
	Status functions.Status
	// Asked is set when somebody wants the URL; whoever sees that takes it back.
	Asked *atomic.Bool
}

// NotReady is the error of a version that has no URL now. It wraps functions.ErrNotReady.
func NotReady(which ID, reason string) error {
	return fmt.Errorf("function %s: %w: %s", which, functions.ErrNotReady, reason)
}

// Plan is which versions there should be: those of InUse get events, those of
// Others may be asked for.
type Plan struct{ InUse, Others []*resource.Function }

// Board is the part of functions.Runtime that others call. All methods are safe for
// concurrent use.
type Board struct {
	// places is replaced as a whole, so that URL takes no lock.
	places atomic.Pointer[map[ID]*Place]
	passes atomic.Int64
	wake   chan struct{}

	mu   sync.Mutex
	next *Plan
}

// New makes a Board of nothing.
func New() *Board {
	b := &Board{wake: make(chan struct{}, 1)}
	b.places.Store(&map[ID]*Place{})
	return b
}

// URL implements functions.Runtime. A version that gets no events is brought up
// when it is asked for.
func (b *Board) URL(fn *resource.Function) (string, error) {
	which := Of(fn)
	p, ok := (*b.places.Load())[which]
	if !ok {
		return "", NotReady(which, "not started")
	}
	if !p.Asked.Load() {
		p.Asked.Store(true)
		if p.Err != nil {
			b.Wake()
		}
	}
	return p.URL, p.Err
}

// Status says how a version is; false for one that there is not.
func (b *Board) Status(fn *resource.Function) (functions.Status, bool) {
	p, ok := (*b.places.Load())[Of(fn)]
	if !ok {
		return functions.Status{}, false
	}
	return p.Status, true
}

// Reconcile implements functions.Runtime.
func (b *Board) Reconcile(inUse, others []*resource.Function) {
	b.mu.Lock()
	b.next = &Plan{inUse, others}
	b.mu.Unlock()
	b.Wake()
}

// Take returns what Reconcile was given last, once; nil is nothing new.
func (b *Board) Take() *Plan {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.next
	b.next = nil
	return p
}

// Wake says that something is to be done: one notice stands for any number.
func (b *Board) Wake() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Woken has a notice when something is to be done.
func (b *Board) Woken() <-chan struct{} { return b.wake }

// Publish says where versions are from now on. The map is not changed any more.
func (b *Board) Publish(places map[ID]*Place) {
	b.places.Store(&places)
}

// Passed says that Run has been round once more, and done all that was due.
func (b *Board) Passed() { b.passes.Add(1) }

// Passes is how often Run has been round.
func (b *Board) Passes() int64 { return b.passes.Load() }
