package podlog

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
)

// pods are those of a namespace that have begun, by the name of their version's
// objects. It is a cluster.Sink.
type pods struct {
	r      *Reader
	cancel context.CancelFunc

	mu     sync.Mutex
	of     map[string]string // pod to version
	warned string
}

// began reports whether the container prints, or did.
func began(o *cluster.Object, container string) bool {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "containerStatuses")
	for _, entry := range list {
		c, _ := entry.(map[string]any)
		if c["name"] != container {
			continue
		}
		for _, path := range [][]string{{"state", "running"}, {"state", "terminated"}, {"lastState", "terminated"}} {
			if _, is, _ := unstructured.NestedMap(c, path...); is {
				return true
			}
		}
	}
	return false
}

// Replace implements cluster.Sink.
func (p *pods) Replace(all []cluster.Object) {
	p.mu.Lock()
	p.of = map[string]string{}
	for i := range all {
		p.put(&all[i])
	}
	p.mu.Unlock()
	p.r.notify()
}

// Set implements cluster.Sink.
func (p *pods) Set(o *cluster.Object) {
	p.mu.Lock()
	before := len(p.of)
	p.put(o)
	news := len(p.of) != before
	p.mu.Unlock()
	if news {
		p.r.notify()
	}
}

// put keeps a pod that has begun; p.mu is held.
func (p *pods) put(o *cluster.Object) {
	if version := o.GetLabels()[p.r.c.Instance]; version != "" && began(o, p.r.c.Container) {
		p.of[o.GetName()] = version
	}
}

// Delete implements cluster.Sink. Who reads the pod reads on to its end.
func (p *pods) Delete(o *cluster.Object) {
	p.mu.Lock()
	delete(p.of, o.GetName())
	p.mu.Unlock()
	p.r.notify()
}

// Failed implements cluster.Sink.
func (p *pods) Failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != p.warned {
		p.r.c.Log.Warn("the pods of functions cannot be seen, and what they print not be read", "error", err)
	}
	p.warned = text
}

// byVersion lists the pods of each version.
func (p *pods) byVersion() map[string][]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string][]string{}
	for pod, version := range p.of {
		out[version] = append(out[version], pod)
	}
	return out
}
