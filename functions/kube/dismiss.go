package kube

import (
	"time"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
)

// dismiss removes what is ours and not needed: objects of functions and versions
// that are gone, and of versions that get no events, that nobody has asked for a
// while, and in whose place others answer. What is removed had Linger to become
// needed again: another process may know of a function before this one does.
func (k *keeper) dismiss() {
	if !k.planned {
		return
	}
	at := make(map[place]*version, len(k.r.versions))
	for _, v := range k.r.versions {
		if !v.ref() {
			at[v.at] = v
		}
	}
	now := k.r.c.Now()
	there := map[place]bool{}
	for s, l := range k.r.seen {
		all, listed := l.all()
		if s.refs || !listed {
			continue
		}
		for name, o := range all {
			here := place{s.namespace, name}
			there[here] = true
			if o.GetDeletionTimestamp() != nil || k.ctx.Err() != nil {
				continue
			}
			if since, over := k.idleSince(at[here], here, o, now); over && now.Sub(since) >= k.r.c.Linger {
				k.remove(l, here, o)
			}
		}
	}
	for p := range k.unknown {
		if !there[p] || at[p] != nil {
			delete(k.unknown, p)
		}
	}
}

// idleSince is when an object was needed last; false for one that is needed.
func (k *keeper) idleSince(v *version, here place, o *cluster.Object, now time.Time) (time.Time, bool) {
	if v == nil {
		since, known := k.unknown[here]
		if !known {
			since = now
			k.unknown[here] = now
		}
		return since, true
	}
	if v.used {
		return time.Time{}, false
	}
	if !k.replaced(v.id.Name) {
		k.set(func() { v.idle = now })
	}
	since := v.idle
	if v.lastAsked.After(since) {
		since = v.lastAsked
	}
	if asked, err := time.Parse(time.RFC3339Nano, o.GetAnnotations()[noteAsked]); err == nil && asked.After(since) && asked.Before(now.Add(k.r.c.Linger)) {
		since = asked
	}
	return since, true
}

// replaced reports whether every version of a function that gets events is ready.
func (k *keeper) replaced(name string) bool {
	k.r.mu.Lock()
	defer k.r.mu.Unlock()
	for which, v := range k.r.versions {
		if which.Name == name && v.used && k.r.state(v).State != functions.StateReady {
			return false
		}
	}
	return true
}

// remove deletes the primary object; the cluster removes what it owns. One that
// somebody changed meanwhile, to say that it was asked for, stays.
func (k *keeper) remove(l *live, at place, o *cluster.Object) {
	kind, name := k.r.kind(), o.GetAnnotations()[noteName]
	l.forget(at.name) // no URL leads there from now on
	k.r.publish()
	err := k.r.c.Cluster.Delete(k.ctx, kind, at.namespace, at.name, o.GetResourceVersion())
	switch {
	case err == nil:
		k.r.c.Log.Info("function is not in use and leaves the cluster", "function", name, "object", kind.Name+" "+at.namespace+"/"+at.name)
		k.set(func() {
			for _, v := range k.r.versions {
				if v.at == at {
					v.applied = ""
				}
			}
		})
	case k.ctx.Err() != nil:
	case cluster.Conflict(err):
		l.restore(o)
	default:
		l.restore(o)
		k.unknown[at] = k.r.c.Now() // tried again after as long
		k.r.c.Log.Warn("a function's object could not be removed", "function", name, "cause", err)
	}
}
