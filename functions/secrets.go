package functions

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/signalbox-dev/signalbox/functions/settings"
	"github.com/signalbox-dev/signalbox/resource"
)

// lookEvery is the pause between two looks at the secrets in use. A look may take
// up to a fiftieth of the time: where there are very many, the pause is longer.
const lookEvery = time.Second

// sum stands for what a secret was, or that it was not there.
type sum [sha256.Size]byte

// secretWatch knows what the secrets in use were when their functions got them.
// It belongs to the goroutine of watch, which takes over what is sent to uses.
type secretWatch struct {
	lookup settings.Lookup
	uses   chan map[string]sum
	// changed holds a note that one is another one now.
	changed chan struct{}
}

func newSecretWatch(lookup settings.Lookup) *secretWatch {
	return &secretWatch{lookup: lookup, uses: make(chan map[string]sum), changed: make(chan struct{}, 1)}
}

// use takes down what the secrets of a set's functions are. It is called before
// the functions get them: one that changes in between is seen as a change.
func (w *secretWatch) use(ctx context.Context, set *resource.Set) {
	if w.lookup == nil {
		return
	}
	sums := map[string]sum{}
	note := func(fn *resource.Function) {
		for _, name := range settings.SecretNames(fn) {
			if _, known := sums[name]; !known {
				sums[name] = w.look(name)
			}
		}
	}
	for _, fn := range set.Functions {
		note(fn)
		if route := set.Route(fn.Metadata.Name); route != nil {
			for _, version := range route.Versions() {
				note(version)
			}
		}
	}
	select {
	case w.uses <- sums:
	case <-ctx.Done():
	}
}

func (w *secretWatch) look(name string) sum {
	value, err := w.lookup(name)
	if err != nil {
		return sum{}
	}
	return sha256.Sum256(value)
}

// watch looks until ctx ends. Without secrets in use it does nothing at all.
func (w *secretWatch) watch(ctx context.Context) {
	var sums map[string]sum
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case sums = <-w.uses:
			if due = nil; len(sums) > 0 {
				due = time.After(lookEvery)
			}
		case <-due:
			began := time.Now()
			if w.differ(sums) {
				select {
				case w.changed <- struct{}{}:
				default: // it is known already
				}
			}
			due = time.After(max(lookEvery, 50*time.Since(began)))
		}
	}
}

func (w *secretWatch) differ(sums map[string]sum) bool {
	for name, was := range sums {
		if w.look(name) != was {
			return true
		}
	}
	return false
}
