package podlog

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/functions/settings"
)

// Version is a version of a function whose pods are read.
type Version struct {
	Function, Version string
	// Namespace and Name are those of its objects, of its Lease too.
	Namespace, Name string
	// Labels are for the Lease, and Owner is the reference to the object that it ends with.
	Labels, Owner map[string]any
	// Mask hides the values of secrets.
	Mask *settings.Mask
}

// Reader reads pods. All methods are safe for concurrent use.
type Reader struct {
	c      Config
	holder string
	wake   chan struct{}

	mu     sync.Mutex
	wanted []Version
}

// New makes a Reader; the cluster is not asked before Run.
func New(c Config) (*Reader, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("podlog: %w", err)
	}
	return &Reader{c: c, holder: c.Process + "-" + strings.ToLower(rand.Text()[:8]), wake: make(chan struct{}, 1)}, nil
}

// Set says whose pods are to be read from now on. The list is kept.
func (r *Reader) Set(versions []Version) {
	r.mu.Lock()
	r.wanted = versions
	r.mu.Unlock()
	r.notify()
}

// notify leaves one notice, which stands for any number.
func (r *Reader) notify() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// giveBack bounds how long the Leases are given back at the end.
const giveBack = 10 * time.Second

// Run reads until ctx ends. It gives its Leases back then, so that another process
// goes on at once where this one was.
func (r *Reader) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := &desk{r: r, ctx: ctx, running: &running, seen: map[string]*pods{}, shifts: map[place]*shift{}, listed: map[string]time.Time{}}
	look := time.NewTicker(r.c.Renew / 2)
	defer look.Stop()
	for {
		d.pass()
		select {
		case <-r.wake:
		case <-look.C:
		case <-ctx.Done():
			d.end(context.WithoutCancel(ctx))
			return nil
		}
	}
}

// versions are the wanted ones, sorted.
func (r *Reader) versions() []Version {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.wanted)
	slices.SortFunc(all, func(a, b Version) int { return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) })
	return all
}
