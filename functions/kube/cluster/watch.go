package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// Sink gets what a watch sees, one call after the other. Objects are only read.
type Sink interface {
	// Replace gives all objects there are.
	Replace([]Object)
	// Set gives one that is new or changed.
	Set(*Object)
	// Delete gives one that is gone.
	Delete(*Object)
	// Failed says why nothing is seen for now, at each try: what was given before
	// may be old. nil says that changes are seen again.
	Failed(error)
}

// The pause before a watch that failed is tried again grows between these; a
// random fifth is taken off, so that processes do not come all at once.
const (
	watchFirst = 200 * time.Millisecond
	watchLast  = 30 * time.Second
)

// watchFor bounds one watch, in seconds: after it another goes on from there.
const watchFor = 300

// watched is one watch, as it goes on over interruptions.
type watched struct {
	c         *Cluster
	kind      Kind
	namespace string
	selector  string
	sink      Sink
	// at is the resource version that was seen last; "" is none: list first.
	at string
}

// Watch gives sink the objects of a namespace with labels as selector says ("":
// any), and their changes, until ctx ends. It takes up after an interruption
// where it was; only when the server does not know that any more it lists anew.
func (c *Cluster) Watch(ctx context.Context, k Kind, namespace, selector string, sink Sink) {
	w := watched{c: c, kind: k, namespace: namespace, selector: selector, sink: sink}
	for pause := watchFirst; ctx.Err() == nil; {
		before := w.at
		err := w.once(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case expired(err):
			w.at = ""
		case err != nil:
			sink.Failed(about("watch", k, namespace, "", err))
		}
		if err == nil || w.at != before {
			pause = watchFirst
		}
		if err == nil {
			continue
		}
		timer := time.NewTimer(pause - rand.N(pause/5)) // #nosec G404 -- jitter
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		pause = min(2*pause, watchLast)
	}
}

// once lists, where that is needed, and watches until that ends.
func (w *watched) once(ctx context.Context) error {
	to, err := w.c.connect()
	if err != nil {
		return err
	}
	in := to.objects.Resource(w.kind.resource()).Namespace(w.namespace)
	if w.at == "" {
		if err := w.list(ctx, in); err != nil {
			return err
		}
	}
	seconds := int64(watchFor + rand.IntN(watchFor)) // #nosec G404 -- jitter
	stream, err := in.Watch(ctx, metav1.ListOptions{LabelSelector: w.selector, ResourceVersion: w.at, AllowWatchBookmarks: true, TimeoutSeconds: &seconds})
	if err != nil {
		return err
	}
	defer stream.Stop()
	w.sink.Failed(nil)
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, open := <-stream.ResultChan():
			if !open {
				return w.c.ended(time.Since(began))
			}
			if err := w.take(e); err != nil {
				return err
			}
		}
	}
}

var errShortWatch = errors.New("the watch ended at once")

// ended tells a watch that came to its end from a server that hangs up.
func (c *Cluster) ended(after time.Duration) error {
	if after < c.short {
		return errShortWatch
	}
	return nil
}

func (w *watched) list(ctx context.Context, in dynamic.ResourceInterface) error {
	ctx, cancel := context.WithTimeout(ctx, w.c.c.Timeout)
	defer cancel()
	all, err := in.List(ctx, metav1.ListOptions{LabelSelector: w.selector})
	if err != nil {
		return err
	}
	w.at = all.GetResourceVersion()
	w.sink.Replace(all.Items)
	return nil
}

// take passes an event of the watch on.
func (w *watched) take(e watch.Event) error {
	if e.Type == watch.Error {
		return apierrors.FromObject(e.Object)
	}
	o, ok := e.Object.(*Object)
	if !ok {
		return fmt.Errorf("an event about %T", e.Object)
	}
	w.at = o.GetResourceVersion()
	switch e.Type {
	case watch.Added, watch.Modified:
		w.sink.Set(o)
	case watch.Deleted:
		w.sink.Delete(o)
	case watch.Bookmark, watch.Error:
	}
	return nil
}
