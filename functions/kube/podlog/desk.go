package podlog

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/functions/settings"
)

// desk decides which pods this process reads. It belongs to the goroutine of Run.
type desk struct {
	r       *Reader
	ctx     context.Context
	running *sync.WaitGroup
	// seen are the pods by namespace, listed is when the Leases there were.
	seen   map[string]*pods
	listed map[string]time.Time
	shifts map[place]*shift
	// here are the pods as of this pass, by namespace and version.
	here map[string]map[string][]string
	// away is until when nothing is asked: the API server did not answer, or refused.
	away time.Time
	// reading is how many pods are read, refused what was logged last.
	reading int
	refused string
	full    bool
}

type place struct{ namespace, name string }

// shift is the reading of one version.
type shift struct {
	v     Version
	lease lease
	// until is when the Lease lapses, unless it is renewed, in ns since 1970.
	until atomic.Int64
	// mask is the newest: pods may know secrets that were not known when they were found.
	mask      atomic.Pointer[settings.Mask]
	marks     map[string]mark
	followers map[string]*follower
}

// marksNow are how far all pods were read.
func (s *shift) marksNow() map[string]mark {
	for pod, f := range s.followers {
		s.marks[pod] = f.read()
	}
	return s.marks
}

// pass does all that is due.
func (d *desk) pass() {
	d.adopt()
	d.here = make(map[string]map[string][]string, len(d.seen))
	for namespace, p := range d.seen {
		d.here[namespace] = p.byVersion()
	}
	free := map[string]bool{}
	for _, at := range slices.SortedFunc(maps.Keys(d.shifts), func(a, b place) int { return cmpPlaces(a, b) }) {
		s := d.shifts[at]
		here := d.here[at.namespace][at.name]
		d.reap(s)
		switch {
		case s.lease.held:
			d.renew(s, len(here) == 0)
		case len(here) > 0 && d.reading < d.r.c.MaxPods:
			free[at.namespace] = true
			d.take(s)
		}
		if s.lease.held {
			d.follow(s, here)
		}
	}
	for namespace := range free {
		d.list(namespace)
	}
}

func cmpPlaces(a, b place) int {
	switch {
	case a == b:
		return 0
	case a.namespace < b.namespace || a.namespace == b.namespace && a.name < b.name:
		return -1
	}
	return 1
}

// adopt takes over which versions there are.
func (d *desk) adopt() {
	there, in := map[place]bool{}, map[string]bool{}
	for _, v := range d.r.versions() {
		at := place{v.Namespace, v.Name}
		there[at], in[v.Namespace] = true, true
		if d.shifts[at] == nil {
			d.shifts[at] = &shift{marks: map[string]mark{}, followers: map[string]*follower{}}
		}
		d.shifts[at].v = v
		d.shifts[at].mask.Store(v.Mask)
	}
	for at, s := range d.shifts {
		if !there[at] {
			d.leave(s)
			delete(d.shifts, at)
		}
	}
	for namespace := range in {
		if d.seen[namespace] == nil {
			d.open(namespace)
		}
	}
	for namespace, p := range d.seen {
		if !in[namespace] {
			p.cancel()
			delete(d.seen, namespace)
		}
	}
}

func (d *desk) open(namespace string) {
	ctx, cancel := context.WithCancel(d.ctx)
	p := &pods{r: d.r, cancel: cancel, of: map[string]string{}}
	d.seen[namespace] = p
	d.running.Go(func() { d.r.c.Cluster.Watch(ctx, cluster.Pods(), namespace, d.r.c.Selector, p) })
}

// take takes the Lease of a version that nobody holds.
func (d *desk) take(s *shift) {
	l, now := &s.lease, d.r.c.Now()
	var err error
	switch {
	case now.Before(d.away):
		return
	case l.version == "":
		var got *cluster.Object
		if got, err = d.r.c.Cluster.Create(d.ctx, cluster.Leases(), d.wanted(&s.v)); err == nil {
			l.observe(got, now)
		}
		if apierrors.IsAlreadyExists(err) {
			delete(d.listed, s.v.Namespace) // see whose it is
			return
		}
	case l.free(d.r.holder, now, d.r.c.Lapse):
		if l.holder != d.r.holder {
			s.marks = readMarks(l.read)
		}
		err = d.write(s, d.r.holder)
	default:
		return
	}
	switch {
	case err == nil:
		l.held = true
		s.until.Store(now.Add(d.r.c.Lapse).UnixNano())
	case cluster.Conflict(err), cluster.NotFound(err):
		*l = lease{} // somebody else was quicker
	default:
		d.complain(err)
	}
}

// renew keeps a Lease, unless there is nothing to read any more.
func (d *desk) renew(s *shift, over bool) {
	l, now := &s.lease, d.r.c.Now()
	if over && len(s.followers) == 0 {
		if err := d.write(s, nil); err == nil || !d.unsure(err) {
			l.held = false
			return
		}
	}
	lapsed := now.UnixNano() >= s.until.Load()
	if now.Sub(l.since) < d.r.c.Renew || now.Before(d.away) && !lapsed {
		return
	}
	d.prune(s, now)
	switch err := d.write(s, d.r.holder); {
	case err == nil:
		s.until.Store(now.Add(d.r.c.Lapse).UnixNano())
	case lapsed || !d.unsure(err):
		d.leave(s)
		*l = lease{}
	default:
		d.complain(err)
	}
}

// unsure tells a request of which nobody knows from one that says that the Lease
// is another's, or gone.
func (*desk) unsure(err error) bool { return !cluster.Conflict(err) && !cluster.NotFound(err) }

// prune forgets pods that are gone.
func (d *desk) prune(s *shift, now time.Time) {
	here := d.here[s.v.Namespace][s.v.Name]
	maps.DeleteFunc(s.marks, func(pod string, m mark) bool {
		// One that was printing a moment ago may not be seen here yet.
		return s.followers[pod] == nil && !slices.Contains(here, pod) && now.Sub(m.at) > d.r.c.History
	})
}

// follow reads the pods that nobody reads yet.
func (d *desk) follow(s *shift, here []string) {
	for _, pod := range here {
		if s.followers[pod] != nil {
			continue
		}
		if d.reading >= d.r.c.MaxPods {
			if !d.full {
				d.r.c.Log.Warn("the output of further pods is not read", "reads", d.reading)
			}
			d.full = true
			return
		}
		ctx, cancel := context.WithCancel(d.ctx)
		f := &follower{r: d.r, v: s.v, newest: &s.mask, pod: pod, cancel: cancel, done: make(chan struct{}), mark: s.marks[pod]}
		f.valid = func() bool { return d.r.c.Now().UnixNano() < s.until.Load() }
		s.followers[pod] = f
		d.reading++
		d.running.Go(func() { f.run(ctx) })
	}
}

// reap drops the followers that have ended.
func (d *desk) reap(s *shift) {
	for pod, f := range s.followers {
		select {
		case <-f.done:
			d.drop(s, pod)
		default:
		}
	}
}

// drop ends a follower, and keeps how far it came.
func (d *desk) drop(s *shift, pod string) {
	f := s.followers[pod]
	f.cancel()
	<-f.done
	s.marks[pod] = f.read()
	delete(s.followers, pod)
	d.reading--
	d.full = false
}

// leave ends all followers of a version.
func (d *desk) leave(s *shift) {
	for _, f := range s.followers {
		f.cancel()
	}
	for pod := range s.followers {
		d.drop(s, pod)
	}
}

// list looks whose the Leases of a namespace are.
func (d *desk) list(namespace string) {
	now := d.r.c.Now()
	if now.Sub(d.listed[namespace]) < d.r.c.Renew || now.Before(d.away) {
		return
	}
	all, err := d.r.c.Cluster.List(d.ctx, cluster.Leases(), namespace, d.r.c.Selector, 0)
	if err != nil {
		d.complain(err)
		return
	}
	d.listed[namespace] = now
	for i := range all {
		if s := d.shifts[place{namespace, all[i].GetName()}]; s != nil && !s.lease.held {
			if s.lease.observe(&all[i], now); s.lease.free(d.r.holder, now, d.r.c.Lapse) {
				d.r.notify()
			}
		}
	}
}

// complain logs what is new, and asks nothing for a while.
func (d *desk) complain(err error) {
	d.away = d.r.c.Now().Add(d.r.c.Renew)
	if d.ctx.Err() == nil && err.Error() != d.refused {
		d.refused = err.Error()
		d.r.c.Log.Warn("what the pods of functions print cannot be read", "error", err)
	}
}

// end gives everything back.
func (d *desk) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, giveBack)
	defer cancel()
	for _, s := range d.shifts {
		d.leave(s)
	}
	d.ctx = ctx
	for _, s := range d.shifts {
		if s.lease.held {
			if err := d.write(s, nil); err != nil {
				d.r.c.Log.Debug("a Lease cannot be given back: it lapses", "lease", s.v.Namespace+"/"+s.v.Name, "error", err)
			}
		}
	}
}
