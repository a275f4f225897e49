package kube

import (
	"context"
	"maps"
	"sync"

	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
)

// live is what is seen in a namespace: the primary objects that are ours, or
// those that references name. It is a cluster.Sink.
type live struct {
	namespace string
	// changed is told of every change, and of the first list.
	changed func()
	// refs is true for objects of others.
	refs bool

	mu      sync.Mutex
	objects map[string]*cluster.Object
	// listed is set once all objects are known.
	listed bool
	err    error
	// warned is the failure that was logged last.
	warned string
	failed func(namespace string, err error)

	cancel context.CancelFunc
}

// Replace implements cluster.Sink.
func (l *live) Replace(all []cluster.Object) {
	l.mu.Lock()
	l.objects = make(map[string]*cluster.Object, len(all))
	for i := range all {
		l.objects[all[i].GetName()] = slim(&all[i])
	}
	l.listed, l.err = true, nil
	l.mu.Unlock()
	l.changed()
}

// Set implements cluster.Sink.
func (l *live) Set(o *cluster.Object) {
	l.mu.Lock()
	l.objects[o.GetName()] = slim(o)
	l.mu.Unlock()
	l.changed()
}

// Delete implements cluster.Sink.
func (l *live) Delete(o *cluster.Object) {
	l.mu.Lock()
	delete(l.objects, o.GetName())
	l.mu.Unlock()
	l.changed()
}

// Failed implements cluster.Sink. What is known goes on being used.
func (l *live) Failed(err error) {
	l.mu.Lock()
	before := l.err
	l.err = err
	news := err != nil && l.warned != err.Error()
	if err == nil {
		l.warned = ""
	} else {
		l.warned = err.Error()
	}
	l.mu.Unlock()
	if news {
		l.failed(l.namespace, err)
	}
	if err != nil || before != nil {
		l.changed()
	}
}

// forget drops an object that is about to be removed.
func (l *live) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.objects, name)
}

// restore takes back what was forgotten, unless a newer one was seen meanwhile.
func (l *live) restore(o *cluster.Object) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.objects[o.GetName()] == nil {
		l.objects[o.GetName()] = o
	}
}

// get returns an object, which is only read, whether all are known, and why there
// may be a newer one.
func (l *live) get(name string) (o *cluster.Object, listed bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.objects[name], l.listed, l.err
}

// all returns the objects by name; false before they are known.
func (l *live) all() (map[string]*cluster.Object, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.objects), l.listed
}

// slim drops what nobody here reads and what takes most of the room.
func slim(o *cluster.Object) *cluster.Object {
	o.SetManagedFields(nil)
	return o
}
