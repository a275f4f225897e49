package job

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/resource"
)

// Host runs jobs and answers for them over HTTP on loopback. Make it with New,
// then Run it once. All methods are safe for concurrent use. It implements
// functions.Runtime.
type Host struct {
	c   Config
	url string
	ln  net.Listener
	// places by kind: process, docker, kubernetes; those that there are.
	places map[string]place
	desk   *desk
	// wake, of capacity 1, says that there may be runs to adopt.
	wake chan struct{}
	// life is that of runs that are followed, reporting lasts a little longer.
	life, reporting context.Context
	end, silence    context.CancelFunc
	work            sync.WaitGroup

	mu    sync.Mutex
	kinds map[string]*kind
	// runs are those under way, by the key of their delivery.
	runs map[string]*run
	// closed: nothing more is started.
	closed bool
}

var _ functions.Runtime = (*Host)(nil)

// placeProcess is the place of commands; those of images are named as platforms.
const placeProcess = "process"

// New opens the port; nothing is answered before Run.
func New(c Config) (*Host, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("job: %w", err)
	}
	d, err := newDesk(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("job: %w", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("job: %w", err)
	}
	h := &Host{c: c, ln: ln, url: "http://" + ln.Addr().String() + "/", desk: d, wake: make(chan struct{}, 1), kinds: map[string]*kind{}, runs: map[string]*run{}}
	h.places = map[string]place{placeProcess: newProcesses(&h.c, d)}
	if c.Engine != nil {
		h.places[resource.PlatformDocker] = newContainers(&h.c, d)
	}
	if c.Cluster != nil {
		h.places[resource.PlatformKubernetes] = newClusterJobs(&h.c, h.wake)
	}
	h.life, h.end = context.WithCancel(context.Background())
	h.reporting, h.silence = context.WithCancel(context.Background())
	return h, nil
}

// placeOf names where the runs of fn happen.
func placeOf(fn *resource.Function) string {
	switch {
	case fn.Spec.Job.Image == "":
		return placeProcess
	case fn.Spec.Platform == "":
		return resource.PlatformDocker
	}
	return fn.Spec.Platform
}

func nameOf(fn *resource.Function) string {
	if fn.Spec.Version == "" {
		return fn.Metadata.Name
	}
	return resource.VersionName(fn.Metadata.Name, fn.Spec.Version)
}

// URL implements functions.Runtime.
func (h *Host) URL(fn *resource.Function) (string, error) {
	err := errors.New("not known yet")
	if h.kind(nameOf(fn)) != nil {
		err = h.placeFor(fn).ready(fn)
	}
	if err != nil {
		return "", fmt.Errorf("function %s: %w: %w", nameOf(fn), functions.ErrNotReady, err)
	}
	return h.url + nameOf(fn), nil
}

func (h *Host) kind(name string) *kind {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.kinds[name]
}

// Reconcile implements functions.Runtime. Runs under way go on, also those of
// functions that are gone.
func (h *Host) Reconcile(inUse, others []*resource.Function) {
	all := slices.Concat(others, inUse)
	h.mu.Lock()
	next := make(map[string]*kind, len(all))
	for _, fn := range all {
		name := nameOf(fn)
		k := h.kinds[name]
		if k == nil {
			k = &kind{}
		}
		k.fn = fn
		next[name] = k
	}
	h.kinds = next
	h.mu.Unlock()
	for name, p := range h.places {
		p.reconcile(slices.DeleteFunc(slices.Clone(all), func(fn *resource.Function) bool { return placeOf(fn) != name }))
	}
}

// Run answers until ctx ends. Then processes are ended and their deliveries
// given back, and what runs elsewhere goes on.
func (h *Host) Run(ctx context.Context) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(h.ln) }()
	h.adoptUntil(ctx)
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.end()
	last := time.AfterFunc(2*h.c.StopGrace, h.silence)
	h.work.Wait()
	last.Stop()
	h.silence()
	err := server.Close() // who waits for an end learns it by the closed connection
	<-served
	for _, p := range h.places {
		p.close()
	}
	h.desk.close()
	return err
}

// adoptUntil looks for runs that nobody follows, until ctx ends.
func (h *Host) adoptUntil(ctx context.Context) {
	look := time.NewTicker(h.c.Lease / 6)
	defer look.Stop()
	var orphans []*orphan
	for {
		more, err := h.desk.orphans()
		if err != nil {
			h.c.Log.Warn("runs of an earlier process cannot be looked for", "error", err)
		}
		orphans = h.adoptOrphans(ctx, append(orphans, more...))
		h.adoptLeft(ctx)
		select {
		case <-look.C:
		case <-h.wake:
		case <-ctx.Done():
			return
		}
	}
}

// adoptOrphans follows the runs that there are directories of, and returns those
// of which nothing could be learned yet.
func (h *Host) adoptOrphans(ctx context.Context, all []*orphan) (later []*orphan) {
	for _, o := range all {
		p := h.places[o.record.Place]
		if p == nil {
			p = nowhere{kind: o.record.Place}
		}
		one, cancel := context.WithTimeout(ctx, startTimeout)
		t, err := p.adopt(one, o)
		cancel()
		switch {
		case err != nil:
			if ctx.Err() == nil {
				h.c.Log.Warn("a run of an earlier process cannot be followed yet", "function", o.record.Function, "run", o.record.Run, "error", err)
			}
			later = append(later, o)
		case t == nil, !h.adopt(found{o.record, t}):
			o.remove()
		}
	}
	return later
}

func (h *Host) adoptLeft(ctx context.Context) {
	for kind, p := range h.places {
		one, cancel := context.WithTimeout(ctx, startTimeout)
		left, err := p.left(one)
		cancel()
		if err != nil && ctx.Err() == nil {
			h.c.Log.Warn("runs of other processes cannot be looked for", "place", kind, "error", err)
		}
		for _, f := range left {
			h.adopt(f)
		}
	}
}

// adopt follows a run that an earlier process has started; false when its
// delivery has a run here already.
func (h *Host) adopt(f found) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return true
	}
	if h.runs[f.record.Key] != nil {
		return false
	}
	r := newRun(h, f.record.Key)
	r.record, r.task, r.token = f.record, f.task, f.record.Delivery
	r.kind = h.kinds[functionName(f.record)]
	if r.kind == nil {
		r.kind = &kind{}
	}
	r.kind.running++
	if r.token == nil {
		f.task.stop() // its caller is gone
	}
	h.runs[r.key] = r
	close(r.started)
	h.c.Log.Info("a run is followed that an earlier process has started", "function", f.record.Function, "run", f.record.Run)
	h.work.Go(r.follow)
	return true
}

func functionName(r *record) string {
	if r.Version == "" {
		return r.Function
	}
	return resource.VersionName(r.Function, r.Version)
}

// nowhere is the place of what this process cannot run.
type nowhere struct{ kind string }

func (n nowhere) reconcile([]*resource.Function) {}
func (n nowhere) close()                         {}

func (n nowhere) ready(*resource.Function) error {
	return errors.New("this process runs no jobs by " + n.kind)
}

func (n nowhere) start(context.Context, *resource.Function, *record, *input) (task, error) {
	return nil, n.ready(nil)
}

func (n nowhere) adopt(context.Context, *orphan) (task, error) { return nil, n.ready(nil) }

func (n nowhere) left(context.Context) ([]found, error) { return nil, nil }

// ServeHTTP takes one event for the job that the path names.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	name, _, _ = strings.Cut(name, "/") // callers may add a path of their own
	if h.kind(name) == nil {
		busy("there is no such job").write(w)
		return
	}
	d, err := readDelivery(r)
	if err != nil {
		answer{status: http.StatusBadRequest, body: err.Error()}.write(w)
		return
	}
	h.take(r.Context(), name, d).write(w)
}
