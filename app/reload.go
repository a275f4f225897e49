package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// reloader keeps the policies and the functions at the resources of the ledger.
type reloader struct {
	app *App
	// set is the last one that was read; only use has it.
	set resource.Set

	mu sync.Mutex
	// revision is the last one loaded.
	revision uint64
	// once says that something was loaded; changed is closed and replaced after each load.
	once    bool
	changed chan struct{}
	// complained is when catchUp did last.
	complained time.Time
}

func newReloader(a *App) *reloader { return &reloader{app: a, changed: make(chan struct{})} }

// run loads now and after each change, until ctx ends.
func (r *reloader) run(ctx context.Context) error {
	return r.app.ledger.Watch(ctx, func(uint64) { r.load(ctx) })
}

// reloadRetry is the time between attempts to read the resources.
const reloadRetry = 250 * time.Millisecond

// load reads the resources, again and again until the ledger answers: Watch
// tells of each revision once.
func (r *reloader) load(ctx context.Context) {
	tick := time.NewTicker(reloadRetry)
	defer tick.Stop()
	for first := true; ; first = false {
		revision, objects, err := r.app.ledger.Snapshot(ctx)
		if err == nil {
			r.use(ctx, revision, objects)
			return
		}
		if first && ctx.Err() == nil {
			r.app.log.Warn("resources not read, those in force stay so until they can be", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// use swaps in one whole set.
func (r *reloader) use(ctx context.Context, revision uint64, objects []resource.Object) {
	set, faults := r.set.Next(revision, objects)
	r.set = set
	for _, f := range faults {
		r.app.log.Error("resource is left out", "fault", f.String())
	}
	if r.app.server != nil { // whatever else is wrong with the set: a key that is revoked is out
		r.app.server.LoadKeys(set.Keys)
	}
	r.app.schemas.use(&set)
	r.app.types.use(&set)
	if r.app.player != nil {
		r.app.player.Update(set) // before anything is chosen by it
	}
	// What is parked goes by the new set first: a key that has had an event of the
	// new version from there must not get a live one of the old version afterwards.
	// The dispatcher takes care of the other way round.
	r.app.targets.use(set)
	if faults := r.app.engine.Load(set); len(faults) > 0 {
		r.app.log.Error("resources not in force, those before stay so", "revision", revision, "faults", faults.Error())
		return
	}
	if r.app.dispatcher != nil {
		r.app.dispatcher.Reroute()
	}
	if r.app.opts.has(RoleDispatcher) { // who delivers runs the local functions
		if err := r.app.registry.Reconcile(ctx, set); err != nil && ctx.Err() == nil {
			r.app.log.Error("functions not brought up to date", "error", err)
		}
	}
	r.app.webhooks.use(&set)
	if r.app.schedules != nil {
		r.app.schedules.Update(&set)
	}
	r.app.countResources(set)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revision, r.once = revision, true
	close(r.changed)
	r.changed = make(chan struct{})
}

// state returns what is loaded, and a channel that is closed by the next load.
func (r *reloader) state() (revision uint64, once bool, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.revision, r.once, r.changed
}

// await waits until revision is in force in this process, at most a second:
// who has written a resource finds it working.
func (r *reloader) await(ctx context.Context, revision uint64) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = r.reach(ctx, revision) // it comes into force all the same, later
}

// reach waits until revision is in force in this process; it fails when ctx ends.
func (r *reloader) reach(ctx context.Context, revision uint64) error {
	for {
		now, _, changed := r.state()
		if now >= revision {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("revision %d is in force, not yet %d: %w", now, revision, ctx.Err())
		}
	}
}

// handOverWait bounds how long a partition that was taken over waits for the
// resources; complaintPause is the time between two complaints about it.
const (
	handOverWait   = 2 * time.Second
	complaintPause = 10 * time.Second
)

// catchUp waits until what the ledger holds at this moment is in force here:
// whoever had a partition before chose by no newer revision, so that no key of
// it goes back to an older version of a function. A ledger that is away, or a
// revision that cannot be loaded, does not hold up deliveries for longer than
// handOverWait.
func (r *reloader) catchUp(ctx context.Context, partition int32) {
	bound, cancel := context.WithTimeout(ctx, handOverWait)
	defer cancel()
	revision, err := r.app.ledger.Revision(bound)
	if err == nil {
		err = r.reach(bound, revision)
	}
	if err == nil || ctx.Err() != nil || !r.complain() {
		return
	}
	now, _, _ := r.state()
	r.app.log.Warn("a partition is taken over without knowing the newest resources: events may be chosen for by an older revision for a moment",
		"partition", partition, "revision", now, "error", err)
}

// complain reports whether it is time to: many partitions may be taken over at once.
func (r *reloader) complain() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.complained) < complaintPause {
		return false
	}
	r.complained = now
	return true
}

// first waits for the first load.
func (r *reloader) first(ctx context.Context) error {
	for {
		_, once, changed := r.state()
		if once {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errNotLoaded = errors.New("resources are not loaded yet")

// loaded is the readiness check.
func (r *reloader) loaded(context.Context) error {
	if _, once, _ := r.state(); !once {
		return errNotLoaded
	}
	return nil
}
