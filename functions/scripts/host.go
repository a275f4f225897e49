package scripts

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/settings"
	"github.com/signalbox-dev/signalbox/resource"
)

// Host runs the scripts of all functions and answers for them over HTTP on
// loopback. Make it with New, then Run it once. All methods are safe for
// concurrent use.
type Host struct {
	c   Config
	url string
	ln  net.Listener
	// life is that of all workers.
	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup
	// unpacking is held while the SDKs are unpacked; sdk is where they are then.
	unpacking sync.Mutex
	sdk       atomic.Pointer[string]
	// environments are the turns of those who make a virtual environment, by its directory.
	environments sync.Map

	mu    sync.RWMutex
	pools map[string]*pool
	// successors take the place of those in pools once they are ready.
	successors map[string]*pool
	// missing says what versions wait for that have no workers for want of secrets; nil is none.
	missing atomic.Pointer[map[string]error]
}

// wanted is a version to run, with its settings, or why there are none.
type wanted struct {
	fn       *resource.Function
	settings settings.Settings
	missing  error
}

// New opens the port; nothing is answered before Run, and nothing written before
// there are scripts to run.
func New(c Config) (*Host, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("scripts: %w", err)
	}
	var err error
	if c.Dir, err = filepath.Abs(c.Dir); err != nil { // workers run elsewhere
		return nil, fmt.Errorf("scripts: %w", err)
	}
	c.MountsDir = cmp.Or(c.MountsDir, filepath.Join(c.Dir, "mounts"))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("scripts: %w", err)
	}
	h := &Host{c: c, ln: ln, url: "http://" + ln.Addr().String() + "/", pools: map[string]*pool{}, successors: map[string]*pool{}}
	h.life, h.end = context.WithCancel(context.Background())
	return h, nil
}

// URL is where a function of scripts gets its events. It fails while a secret is
// not there that the function needs, or its files cannot be fetched.
func (h *Host) URL(fn *resource.Function) (string, error) {
	if missing := h.missing.Load(); missing != nil {
		if err := (*missing)[name(fn)]; err != nil {
			return "", err
		}
	}
	if fn.Spec.Artifact != "" {
		if err := h.pool(name(fn)).cannotFetch(); err != nil {
			return "", fmt.Errorf("its files cannot be fetched: %w", err)
		}
	}
	return h.url + name(fn), nil
}

// Reconcile makes the functions those that are run; others end once their runs
// under way have. Each is a version with scripts. Those of warm have a worker at
// all times, those of others when there is something to run. Where a function that
// runs has changed, it goes on until the changed one has a worker.
func (h *Host) Reconcile(warm, others []*resource.Function) {
	all, kept := make(map[string]*wanted, len(warm)+len(others)), make(map[string]bool, len(warm))
	for _, fn := range slices.Concat(others, warm) {
		w := &wanted{fn: fn}
		w.settings, w.missing = settings.Resolve(fn, h.c.Secrets)
		all[name(fn)] = w
	}
	for _, fn := range warm {
		kept[name(fn)] = true
	}
	h.mu.Lock()
	gone := h.dismiss(all)
	for key, w := range all {
		h.adopt(key, w, kept[key])
	}
	h.noteMissing()
	h.mu.Unlock()
	for _, p := range gone {
		p.stop()
	}
}

// dismiss takes out the pools that nobody wants; mu is held.
func (h *Host) dismiss(all map[string]*wanted) (gone []*pool) {
	for _, pools := range []map[string]*pool{h.pools, h.successors} {
		for key, p := range pools {
			if all[key] == nil {
				gone = append(gone, p)
				delete(pools, key)
			}
		}
	}
	for key, next := range h.successors {
		if !next.same(all[key]) {
			gone = append(gone, next)
			delete(h.successors, key)
		}
	}
	for key, p := range h.pools {
		// One that has not run yet is not worth waiting for.
		if !p.same(all[key]) && (!p.worked.Load() || h.life.Err() != nil) {
			gone = append(gone, p)
			delete(h.pools, key)
		}
	}
	return gone
}

// adopt sees to it that fn is run; mu is held.
func (h *Host) adopt(key string, w *wanted, kept bool) {
	p, next := h.pools[key], h.successors[key]
	switch {
	case p != nil && p.same(w):
		p.fn.Store(w.fn)
		p.kept.Store(kept)
		p.noteLack(w.missing)
		if next != nil { // back before it was ready
			delete(h.successors, key)
			h.work.Go(next.stop)
		}
	case next != nil:
		next.fn.Store(w.fn)
		p.kept.Store(kept)
	case p != nil:
		next = newPool(h, w)
		next.kept.Store(true)
		h.successors[key] = next
		h.work.Go(next.watch)
		h.work.Go(func() { h.succeed(key, next) })
	default:
		p = newPool(h, w)
		p.kept.Store(kept)
		h.pools[key] = p
		h.work.Go(p.watch)
		if kept {
			h.work.Go(func() { p.warm() })
		}
	}
}

// noteMissing tells URL which versions cannot be run; mu is held.
func (h *Host) noteMissing() {
	var missing map[string]error
	for key, p := range h.pools {
		if p.missing == nil {
			continue
		}
		if missing == nil {
			missing = map[string]error{}
		}
		missing[key] = p.missing
	}
	if missing == nil {
		h.missing.Store(nil)
		return
	}
	h.missing.Store(&missing)
}

// pool is what runs a version now; nil is none.
func (h *Host) pool(key string) *pool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.pools[key]
}

// succeed puts a pool in the place of the one before as soon as it has a worker.
func (h *Host) succeed(key string, next *pool) {
	if !next.warm() {
		return
	}
	h.mu.Lock()
	old := h.pools[key]
	wanted := h.successors[key] == next
	if wanted {
		delete(h.successors, key)
		next.kept.Store(old == nil || old.kept.Load())
		h.pools[key] = next
	}
	h.mu.Unlock()
	if !wanted {
		return // it was stopped by who took it out
	}
	if old != nil {
		old.stop()
	}
}

// Run answers until ctx ends, then lets runs under way finish for grace, and
// ends all workers.
func (h *Host) Run(ctx context.Context) error {
	const grace = 5 * time.Second
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(h.ln) }()
	tick := time.NewTicker(h.c.IdleTimeout / 4)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case now := <-tick.C:
			h.shed(now)
		case <-ctx.Done():
		}
	}
	stopping, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := server.Shutdown(stopping)
	if err != nil {
		err = server.Close()
	}
	<-served
	h.end()
	h.Reconcile(nil, nil)
	h.work.Wait()
	return err
}

func (h *Host) shed(now time.Time) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, p := range h.pools {
		p.shed(now, h.c.IdleTimeout)
	}
}

// maxBody bounds the events that are taken.
const maxBody = 64 << 20

// fetchPatience is how long a call waits for files that are being fetched; then it
// is answered 503, so that it is made again without an attempt being spent.
const fetchPatience = time.Second

// ServeHTTP takes one event for the function that the path names.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := h.pool(strings.TrimPrefix(r.URL.Path, "/"))
	if p == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "no such function of scripts", http.StatusServiceUnavailable)
		return
	}
	if err := p.awaitFiles(r.Context(), fetchPatience); err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	if err := p.awaitEnvironment(r.Context(), h.patienceFor(r)); err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	ev, err := readEvent(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	attempt, _ := strconv.Atoi(r.Header.Get("Signalbox-Attempt"))
	one := run{
		pool: p, event: ev, id: r.Header.Get("Signalbox-Run"), link: r.Header.Get("Signalbox-Link"), attempt: max(attempt, 1), replay: r.Header.Get("Signalbox-Replay") == "true",
		traceParent: r.Header.Get("Traceparent"), traceState: r.Header.Get("Tracestate"),
	}
	end := one.do(r.Context())
	if end.after > 0 {
		w.Header().Set("Retry-After", end.retryAfter())
	}
	if sent := one.sentHeader(); sent != "" {
		w.Header().Set("Signalbox-Sent", sent)
	}
	if end.body != "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	w.WriteHeader(end.status)
	_, _ = io.WriteString(w, end.body)
}

// patienceFor is how long a call can wait for what it needs: half the time that it has.
func (h *Host) patienceFor(r *http.Request) time.Duration {
	ms, err := strconv.Atoi(r.Header.Get("Signalbox-Timeout"))
	if err != nil || ms <= 0 {
		return h.c.PrepareTimeout
	}
	return time.Duration(ms) * time.Millisecond / 2
}

// readEvent reads the event in any mode.
func readEvent(r *http.Request) (*event.Event, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		return nil, err
	}
	return event.ParseOne(r.Header.Get("Content-Type"), event.Headers(r.Header), body)
}
