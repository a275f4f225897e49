package kube

import (
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/functions/board"
	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/functions/settings"
	"github.com/signalbox-dev/signalbox/resource"
)

// version is one version of a function. What is no atomic is written by Run alone,
// under Runtime.mu where others read it.
type version struct {
	id board.ID
	fn *resource.Function
	at place
	// used versions get events.
	used bool
	// asked is set when somebody wants its URL; lastAsked is when that was seen,
	// by this process or in the cluster.
	asked     atomic.Bool
	lastAsked time.Time
	// noted is when this process last wrote down in the cluster that it was asked for.
	noted time.Time
	// idle is since when it gets no events.
	idle time.Time

	// objects are what it should be in the cluster; faulty is why that is not known.
	objects *objects
	faulty  error
	// applied is the spec that this process has applied, or found there, at appliedAt.
	applied   string
	appliedAt time.Time
	// refused is why it could not be applied, the last of so many failures; it is
	// tried again when due.
	refused  error
	failures int
	due      time.Time
	// podReason is why pods do not run, as of looked.
	podReason string
	looked    time.Time
}

// kind is that of the primary objects.
func (r *Runtime) kind() cluster.Kind {
	if r.c.Platform == resource.PlatformKubernetes {
		return cluster.Deployments()
	}
	return cluster.KnativeServices()
}

// ref reports whether somebody else looks after the object.
func (v *version) ref() bool { return v.fn.Spec.Knative != nil }

func (v *version) scope() scope { return scope{v.at.namespace, v.ref()} }

// trouble is why the version is not as it should be, beside what its object says.
func (v *version) trouble(unseen error) error {
	switch {
	case v.faulty != nil:
		return v.faulty
	case v.refused != nil:
		return v.refused
	}
	return unseen
}

// place is where the objects of fn go.
func (r *Runtime) place(fn *resource.Function) (place, error) {
	namespace := ""
	switch {
	case fn.Spec.Knative != nil:
		namespace = fn.Spec.Knative.Namespace
	case fn.Spec.Container != nil:
		namespace = fn.Spec.Container.Namespace
	}
	if namespace == "" {
		var err error
		if namespace, err = r.c.Cluster.Namespace(); err != nil {
			return place{}, err
		}
	}
	if fn.Spec.Knative != nil {
		return place{namespace, fn.Spec.Knative.Service}, nil
	}
	return place{namespace, objectName(r.c.Owner, board.Of(fn))}, nil
}

// draw makes the objects of fn; Run alone calls it.
func (r *Runtime) draw(fn *resource.Function, at place) (*objects, error) {
	if fn.Spec.Knative != nil {
		return nil, nil
	}
	s, err := settings.Resolve(fn, r.c.Secrets)
	if err != nil {
		return nil, err
	}
	d := design{fn: fn, container: fn.Spec.Container.WithDefaults(), settings: s, sealed: s.Digest[:8], owner: r.c.Owner, at: at}
	if settings.UsesSecrets(fn) {
		d.sealed = r.seals.Seal(at.name, s.Digest)
	}
	if r.c.Platform == resource.PlatformKnative {
		return d.knative()
	}
	return d.deployment()
}

func (r *Runtime) serviceURL(at place) string {
	return strings.NewReplacer("{service}", at.name, "{namespace}", at.namespace).Replace(r.c.ServiceURL)
}

// The pause after a failure grows between these.
const (
	retryFirst = time.Second
	retryLast  = time.Minute
)

// failed plans the next try.
func (v *version) failed(err error, now time.Time) {
	v.refused = err
	pause := retryLast
	if v.failures < 6 {
		pause = retryFirst << v.failures
	}
	v.failures++
	v.due = now.Add(pause)
}

var errForeign = errors.New("another object of that name is not ours")
