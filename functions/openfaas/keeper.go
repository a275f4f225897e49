package openfaas

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/board"
	"github.com/signalbox-dev/signalbox/functions/names"
	"github.com/signalbox-dev/signalbox/resource"
)

var errForeign = errors.New("another function of that name is not ours")

// keeper makes what is in OpenFaaS what should be there. It belongs to the
// goroutine of Run.
type keeper struct {
	r        *Runtime
	ctx      context.Context
	versions map[board.ID]*version
	// planned is set once it is known which functions there are: nothing is removed before.
	planned bool
	// unknown are functions of ours that belong to no version, since when.
	unknown map[place]time.Time
	// last is what there was when OpenFaaS answered last: it goes on being used.
	last  map[place]*function
	seals names.Seals
	// seen are the namespaces that functions were in.
	seen map[string]bool
}

// pass does all that is due.
func (k *keeper) pass() {
	k.adopt()
	now := k.r.c.Now()
	for _, v := range k.versions {
		if v.asked.Swap(false) {
			v.lastAsked = now
		}
	}
	there, err := k.look()
	if err == nil && !k.r.c.ReadOnly {
		if k.deployAll(there) || k.dismiss(there) {
			there, err = k.look()
		}
	}
	if k.ctx.Err() != nil {
		return
	}
	if err == nil {
		k.last = there
	}
	places := make(map[board.ID]*board.Place, len(k.versions))
	for which, v := range k.versions {
		places[which] = k.r.endpoint(v, k.last[v.at], err)
	}
	k.r.Publish(places)
}

// adopt takes over what Reconcile was given last.
func (k *keeper) adopt() {
	p := k.r.Take()
	if p == nil {
		return
	}
	before, now := k.versions, k.r.c.Now()
	k.planned, k.versions = true, make(map[board.ID]*version, len(p.InUse)+len(p.Others))
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
		k.versions[which] = v
		k.draw(v)
	}
	for _, fn := range p.Others {
		take(fn, false)
	}
	for _, fn := range p.InUse {
		take(fn, true)
	}
}

// draw says what v should be; one that is to be another one is due at once.
func (k *keeper) draw(v *version) {
	namespace := ""
	if v.fn.Spec.Container != nil {
		namespace = v.fn.Spec.Container.Namespace
	}
	v.at = place{namespace, names.Object(k.r.c.Owner, v.fn.Metadata.Name, v.fn.Spec.Version)}
	k.seen[namespace] = true
	d, err := draw(v.fn, k.r.c.Owner, k.r.c.Secrets, &k.seals)
	if err != nil {
		v.design, v.refused = nil, err
		return
	}
	if v.design == nil || v.design.spec != d.spec {
		v.refused, v.failures, v.due = nil, 0, time.Time{}
	}
	v.design = d
}

// look asks what there is, in all namespaces that functions were in.
func (k *keeper) look() (map[place]*function, error) {
	if len(k.versions) == 0 && (k.r.c.Gateway == "" || !k.planned) {
		return nil, nil // nobody asked for OpenFaaS
	}
	there := map[place]*function{}
	namespaces := maps.Clone(k.seen)
	namespaces[""] = true
	for ns := range namespaces {
		all, err := k.r.gateway.list(k.ctx, ns)
		if err != nil {
			return nil, err
		}
		for i := range all {
			there[place{ns, all[i].Name}] = &all[i]
		}
	}
	return there, nil
}

// deployAll brings up to date what is due, and reports whether it tried.
func (k *keeper) deployAll(there map[place]*function) (tried bool) {
	sorted := slices.SortedFunc(maps.Values(k.versions), func(a, b *version) int { return cmp.Compare(a.id.String(), b.id.String()) })
	for _, v := range sorted {
		now := k.r.c.Now()
		wanted := v.used || !v.lastAsked.IsZero() && now.Sub(v.lastAsked) < k.r.c.Linger
		if k.ctx.Err() != nil || !wanted || now.Before(v.due) {
			continue
		}
		if v.design == nil {
			if k.draw(v); v.design == nil {
				v.failed(v.refused, now)
				continue
			}
		}
		fn := there[v.at]
		if !k.due(v, fn, now) {
			continue
		}
		tried = true
		if err := k.deploy(v, fn); err != nil && k.ctx.Err() == nil {
			k.r.c.Log.Warn("function is not in OpenFaaS as it should be", "function", v.id.String(), "cause", err)
			v.failed(err, now)
			continue
		}
		v.applied, v.appliedAt, v.refused, v.failures = v.design.spec, now, nil, 0
	}
	return tried
}

// due reports whether v is to be deployed: it is not there, it is another one, or
// it is time to make sure. What another process has deployed is taken over.
func (k *keeper) due(v *version, there *function, now time.Time) bool {
	if there == nil || v.refused != nil {
		return true
	}
	if v.applied == v.design.spec {
		return now.Sub(v.appliedAt) >= k.r.c.Resync
	}
	notes := there.Annotations
	revision, _ := strconv.ParseUint(notes[noteRevision], 10, 64)
	later := revision > v.fn.Metadata.Revision && notes[noteMaker] == v.design.deployment.Annotations[noteMaker]
	if there.Labels[names.LabelOwner] == k.r.c.Owner && (later || notes[noteSpec] == v.design.spec) {
		v.applied, v.appliedAt = v.design.spec, now
		return false
	}
	return true
}

func (k *keeper) deploy(v *version, there *function) error {
	if there != nil && there.Labels[names.LabelOwner] != k.r.c.Owner {
		return fmt.Errorf("%s: %w", v.at.name, errForeign)
	}
	for i := range v.design.secrets {
		if err := k.r.gateway.keep(k.ctx, &v.design.secrets[i]); err != nil {
			return err
		}
	}
	if err := k.r.gateway.deploy(k.ctx, &v.design.deployment, there != nil); err != nil {
		return err
	}
	k.r.c.Log.Info("function deployed in OpenFaaS", "function", v.id.String(), "name", v.at.name)
	return nil
}

// The pause after a failure grows between these.
const (
	retryFirst = 2 * time.Second
	retryLast  = time.Minute
)

func (v *version) failed(err error, now time.Time) {
	v.refused = err
	pause := retryLast
	if v.failures < 5 {
		pause = retryFirst << v.failures
	}
	v.failures++
	v.due = now.Add(pause)
}

// dismiss removes what is ours and was not needed for Linger, and reports whether it did.
func (k *keeper) dismiss(there map[place]*function) (removed bool) {
	if !k.planned {
		return false
	}
	at := make(map[place]*version, len(k.versions))
	for _, v := range k.versions {
		at[v.at] = v
	}
	now := k.r.c.Now()
	for here, fn := range there {
		if fn.Labels[names.LabelOwner] != k.r.c.Owner || k.ctx.Err() != nil {
			continue
		}
		since, over := k.idleSince(at[here], here, there, now)
		if !over || now.Sub(since) < k.r.c.Linger {
			continue
		}
		removed = true
		if err := k.r.gateway.remove(k.ctx, here.namespace, here.name); err != nil {
			k.r.c.Log.Warn("a function could not be removed from OpenFaaS", "function", fn.Annotations[noteName], "cause", err)
			continue
		}
		k.r.c.Log.Info("function is not in use and leaves OpenFaaS", "function", fn.Annotations[noteName], "name", here.name)
		if v := at[here]; v != nil {
			v.applied = ""
		}
	}
	for p := range k.unknown {
		if there[p] == nil || at[p] != nil {
			delete(k.unknown, p)
		}
	}
	return removed
}

// idleSince is when a function was needed last; false for one that is needed.
func (k *keeper) idleSince(v *version, here place, there map[place]*function, now time.Time) (time.Time, bool) {
	if v == nil {
		if _, known := k.unknown[here]; !known {
			k.unknown[here] = now
		}
		return k.unknown[here], true
	}
	if v.used {
		return time.Time{}, false
	}
	for _, other := range k.versions {
		if other.used && other.fn.Metadata.Name == v.fn.Metadata.Name {
			state := k.r.endpoint(other, there[other.at], nil).Status.State
			if state != functions.StateReady && state != functions.StateIdle {
				v.idle = now // nobody answers in its place
			}
		}
	}
	if v.lastAsked.After(v.idle) {
		return v.lastAsked, true
	}
	return v.idle, true
}
