package kube

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/board"
	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/resource"
)

// keeper makes what is in the cluster what should be there. It belongs to the
// goroutine of Run, which alone writes versions; others read them under Runtime.mu.
type keeper struct {
	r       *Runtime
	ctx     context.Context
	running *sync.WaitGroup
	// planned is set once it is known which functions there are: nothing is removed before.
	planned bool
	// unknown are objects that belong to no version, since when.
	unknown map[place]time.Time
}

// pass does all that is due.
func (k *keeper) pass() {
	k.adopt()
	k.watch()
	k.hear()
	if !k.r.c.ReadOnly {
		k.applyAll()
		k.dismiss()
	}
	k.explain()
	k.tellReader()
	notify(k.r.dirty)
}

// set changes what others read.
func (k *keeper) set(change func()) {
	k.r.mu.Lock()
	defer k.r.mu.Unlock()
	change()
}

// sorted are the versions in the order of their names.
func (k *keeper) sorted() []*version {
	return slices.SortedFunc(maps.Values(k.r.versions), func(a, b *version) int {
		return cmp.Or(cmp.Compare(a.id.Name, b.id.Name), cmp.Compare(a.id.Version, b.id.Version))
	})
}

// adopt takes over what Reconcile was given last.
func (k *keeper) adopt() {
	p := k.r.Take()
	if p == nil {
		return
	}
	k.planned = true
	k.r.mu.Lock()
	defer k.r.mu.Unlock()
	before := k.r.versions
	k.r.versions = make(map[board.ID]*version, len(p.InUse)+len(p.Others))
	now := k.r.c.Now()
	take := func(fn *resource.Function, used bool) {
		which := board.Of(fn)
		v := before[which]
		if v == nil {
			v = &version{id: which, idle: now}
		}
		if v.used && !used {
			v.idle = now
		}
		v.fn, v.used = fn, used
		k.r.versions[which] = v
		k.draw(v)
	}
	for _, fn := range p.Others {
		take(fn, false)
	}
	for _, fn := range p.InUse {
		take(fn, true)
	}
	at := make(map[string]bool, len(k.r.versions))
	for _, v := range k.r.versions {
		at[v.at.name] = true
	}
	k.r.seals.Keep(func(name string) bool { return at[name] })
}

// draw says what v should be in the cluster; Runtime.mu is held. A version that
// is to be another one than before is due at once.
func (k *keeper) draw(v *version) {
	at, err := k.r.place(v.fn)
	var o *objects
	if err == nil {
		o, err = k.r.draw(v.fn, at)
	}
	if err != nil {
		v.faulty = err
		return
	}
	changed := v.faulty != nil || v.at != at || o != nil && (v.objects == nil || v.objects.spec != o.spec)
	v.at, v.objects, v.faulty = at, o, nil
	if changed {
		v.refused, v.failures, v.due = nil, 0, time.Time{}
	}
}

// watch sees to it that every namespace with something of ours is looked at.
func (k *keeper) watch() {
	home, err := k.r.c.Cluster.Namespace()
	if err != nil {
		return
	}
	wanted := map[scope]bool{{namespace: home}: true}
	for _, v := range k.r.versions {
		if v.at != (place{}) {
			wanted[v.scope()] = true
		}
	}
	for s, l := range k.r.seen {
		// What is ours in a namespace that no function names any more is still to be removed.
		if s.refs && !wanted[s] {
			l.cancel()
			k.set(func() { delete(k.r.seen, s) })
		}
	}
	for s := range wanted {
		if k.r.seen[s] == nil {
			k.open(s)
		}
	}
}

func (k *keeper) open(s scope) {
	selector := labelOwner + "=" + k.r.c.Owner
	if s.refs {
		selector = ""
	}
	ctx, cancel := context.WithCancel(k.ctx)
	l := &live{namespace: s.namespace, refs: s.refs, cancel: cancel, objects: map[string]*cluster.Object{}, failed: k.unseen}
	l.changed = func() { notify(k.r.dirty); k.r.Wake() }
	k.set(func() { k.r.seen[s] = l })
	k.running.Go(func() { k.r.c.Cluster.Watch(ctx, k.r.kind(), s.namespace, selector, l) })
}

// unseen tells of a watch that fails; it is called by watches.
func (k *keeper) unseen(namespace string, err error) {
	log := k.r.c.Log.Debug // nobody asked for a cluster
	k.r.mu.Lock()
	if len(k.r.versions) > 0 {
		log = k.r.c.Log.Warn
	}
	k.r.mu.Unlock()
	log("functions in the cluster cannot be seen", "platform", k.r.c.Platform, "namespace", namespace, "error", err)
}

// hear notes which versions were asked for, in the cluster too: other processes
// would remove one that gets no events.
func (k *keeper) hear() {
	now := k.r.c.Now()
	for _, v := range k.sorted() {
		if !v.asked.Swap(false) {
			continue
		}
		k.set(func() { v.lastAsked = now })
		if v.used || v.ref() || k.r.c.ReadOnly || v.objects == nil || now.Sub(v.noted) < k.r.c.Linger/3 || k.object(v) == nil {
			continue
		}
		k.note(v)
	}
}

func (k *keeper) note(v *version) {
	now := k.r.c.Now()
	_, err := k.r.c.Cluster.Annotate(k.ctx, v.objects.kind, v.at.namespace, v.at.name, map[string]string{noteAsked: now.UTC().Format(time.RFC3339Nano)})
	if err != nil && !cluster.NotFound(err) {
		k.r.c.Log.Debug("a version that was asked for could not be noted", "function", v.id.String(), "error", err)
		return
	}
	v.noted = now
}

// object is the version's, as it is seen.
func (k *keeper) object(v *version) *cluster.Object {
	seen := k.r.seen[v.scope()]
	if seen == nil {
		return nil
	}
	o, _, _ := seen.get(v.at.name)
	return o
}

// wanted reports whether v should be there: it gets events, or was asked for.
func (k *keeper) wanted(v *version, now time.Time) bool {
	return v.used || !v.lastAsked.IsZero() && now.Sub(v.lastAsked) < k.r.c.Linger
}

// applyAll brings up to date what is due. It ends at the first sign that nobody answers.
func (k *keeper) applyAll() {
	for _, v := range k.sorted() {
		now := k.r.c.Now()
		if k.ctx.Err() != nil || !k.wanted(v, now) || now.Before(v.due) {
			continue
		}
		if v.faulty != nil {
			k.set(func() { k.draw(v) })
			if v.faulty != nil {
				k.fail(v, v.faulty)
				continue
			}
		}
		if v.ref() || !k.known(v) || !k.due(v, now) {
			continue
		}
		if err := k.apply(v); err != nil {
			k.fail(v, err)
			if unreachable(err) {
				return
			}
			continue
		}
		k.set(func() {
			v.applied, v.appliedAt, v.refused, v.failures = v.objects.spec, k.r.c.Now(), nil, 0
		})
	}
}

// known reports whether it is seen what is there, or that it cannot be seen. Where
// that is as it should be, another process has done it, or an earlier one of ours.
func (k *keeper) known(v *version) bool {
	seen := k.r.seen[v.scope()]
	if seen == nil {
		return true
	}
	o, listed, err := seen.get(v.at.name)
	if o != nil && v.applied != v.objects.spec && o.GetDeletionTimestamp() == nil && o.GetLabels()[labelOwner] == k.r.c.Owner && o.GetAnnotations()[noteSpec] == v.objects.spec {
		k.set(func() { v.applied, v.appliedAt = v.objects.spec, k.r.c.Now() })
	}
	return listed || err != nil
}

// settled is how long after an apply its object may not be seen yet.
const settled = 5 * time.Second

func (k *keeper) due(v *version, now time.Time) bool {
	since := now.Sub(v.appliedAt)
	if v.applied != v.objects.spec || since >= k.r.c.Resync {
		return true
	}
	seen := k.r.seen[v.scope()]
	if seen == nil || since < settled {
		return false
	}
	all, listed := seen.all()
	return listed && all[v.at.name] == nil // somebody removed it
}

// fail plans another try, and tells of what is new.
func (k *keeper) fail(v *version, err error) {
	if k.ctx.Err() != nil {
		return
	}
	if v.refused == nil || v.refused.Error() != err.Error() {
		k.r.c.Log.Warn("function is not in the cluster as it should be", "function", v.id.String(), "cause", err)
	}
	k.set(func() { v.failed(err, k.r.c.Now()) })
}

// unreachable tells a server that does not answer from one that refuses.
func unreachable(err error) bool {
	var u *url.Error
	return errors.As(err, &u) || errors.Is(err, context.DeadlineExceeded)
}

// explain asks why the pods of versions do not run.
func (k *keeper) explain() {
	const every = 5 * time.Second
	for _, v := range k.sorted() {
		now := k.r.c.Now()
		if k.ctx.Err() != nil || v.ref() || v.objects == nil || v.objects.kind != cluster.Deployments() || now.Sub(v.looked) < every {
			continue
		}
		o := k.object(v)
		if o == nil {
			continue
		}
		v.looked = now
		reason := ""
		if s := deploymentState(o); s.State != functions.StateReady && s.State != functions.StateIdle {
			reason = k.podReason(v)
		}
		k.set(func() { v.podReason = reason })
	}
}

func (k *keeper) podReason(v *version) string {
	pods, err := k.r.c.Cluster.List(k.ctx, cluster.Pods(), v.at.namespace, labelInstance+"="+v.at.name, 20)
	if err != nil {
		return ""
	}
	for i := range pods {
		if reason := podReason(&pods[i]); reason != "" {
			return reason
		}
	}
	return ""
}
