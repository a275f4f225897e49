package scripts

import (
	"context"
	"errors"
	"fmt"
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

// pool are the workers of one version of a function.
type pool struct {
	host *Host
	// fn is the resource as it stands; what workers cannot do without never changes.
	fn   atomic.Pointer[resource.Function]
	spec resource.Scripts
	// source is where the files come from; artifact is nil where they lie in a directory.
	source   source
	artifact *artifact
	// settings are the variables and files of workers; missing says why there are none.
	settings settings.Settings
	missing  error
	mask     *settings.Mask
	// lacks is why there are no other settings, once it was logged; Host.mu guards it.
	lacks string
	// worked is set once there was a worker.
	worked atomic.Bool
	// failure is why the worker that was started last did not get ready; nil: it did.
	failure atomic.Pointer[error]
	// kept: one worker stays although there is nothing to run.
	kept atomic.Bool
	// settling is closed once the files that are being saved are; nil: none are.
	settling atomic.Pointer[chan struct{}]
	// places holds one for each worker there may be.
	places chan struct{}
	// life ends with the pool.
	life context.Context
	end  context.CancelFunc

	mu sync.Mutex
	// idle workers, the one put back last at the end.
	idle []*worker
	// generation counts the changes of the files.
	generation uint64
	// prepared is set once there is an interpreter with everything the function needs.
	prepared *prepared
	// preparing is under way; nil: nothing is.
	preparing *preparing
}

// prepared is the outcome of preparing: the start of a command line, or why there is none.
type prepared struct {
	program []string
	err     error
	// until is when a failure is tried again.
	until time.Time
}

func newPool(h *Host, w *wanted) *pool {
	spec := w.fn.Spec.Scripts.WithDefaults()
	p := &pool{
		host: h, spec: spec, source: sourceOf(w.fn), places: make(chan struct{}, spec.Workers),
		settings: w.settings, missing: w.missing, mask: settings.NewMask(w.settings.Secrets),
	}
	p.fn.Store(w.fn)
	p.life, p.end = context.WithCancel(h.life)
	if p.source.artifact != "" {
		p.artifact = newArtifact(p.source.artifact)
	}
	return p
}

// same reports whether the workers can go on when what is wanted is w. They do
// with the secrets they have when one is not there any more.
func (p *pool) same(w *wanted) bool {
	if p.missing != nil || w.missing == nil && p.settings.Digest != w.settings.Digest {
		return false
	}
	a, b := p.spec, w.fn.Spec.Scripts.WithDefaults()
	return p.source == sourceOf(w.fn) && a.Runtime == b.Runtime && slices.Equal(a.Files, b.Files) && a.Requirements == b.Requirements &&
		a.Workers == b.Workers && a.MemoryMB == b.MemoryMB && a.MaxRuns == b.MaxRuns
}

// noteLack says, once, that the workers go on with the settings they have for want of
// others; nil is that there are some.
func (p *pool) noteLack(missing error) {
	text := ""
	if missing != nil {
		text = missing.Error()
	}
	if text != p.lacks && text != "" {
		p.host.c.Log.Warn("scripts go on with the settings they have", "function", p.name(), "cause", text)
	}
	p.lacks = text
}

// take gives the caller a worker: an idle one, else a new one as soon as there
// may be one more. It waits as long as ctx lives.
func (p *pool) take(ctx context.Context) (*worker, error) {
	p.awaitSaved(ctx)
	select {
	case p.places <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.life.Done():
		return nil, errStopped
	}
	w, err := p.idleOrNew(ctx)
	if err != nil {
		<-p.places
	}
	return w, err
}

func (p *pool) idleOrNew(ctx context.Context) (*worker, error) {
	for {
		w, generation := p.popIdle()
		if w == nil {
			program, err := p.prepare(ctx)
			if err != nil {
				return nil, err
			}
			if w, err = p.startWorker(ctx, program); err != nil {
				p.noteFailure(ctx, err)
				return nil, err
			}
			w.generation = generation
			p.failure.Store(nil)
			p.worked.Store(true)
			return w, nil
		}
		select {
		case <-w.gone: // it died while nobody looked
			continue
		default:
		}
		if w.generation == generation {
			return w, nil
		}
		w.kill()
	}
}

// noteFailure keeps why a worker did not get ready, unless nobody waited for it any more.
func (p *pool) noteFailure(ctx context.Context, err error) {
	if ctx.Err() == nil && !errors.Is(err, errStopped) {
		p.failure.Store(&err)
	}
}

// cannotRun says why there are no workers, as far as that is known; mu is held.
func (p *pool) cannotRun() error {
	if p.prepared != nil && p.prepared.err != nil {
		return p.prepared.err
	}
	if failure := p.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}

func (p *pool) popIdle() (*worker, uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil, p.generation
	}
	w := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return w, p.generation
}

// put takes a worker back after a run; fit is false when it must not make another one.
func (p *pool) put(w *worker, fit bool) {
	defer func() { <-p.places }()
	w.runs++
	p.mu.Lock()
	keep := fit && w.runs < p.spec.MaxRuns && w.generation == p.generation && p.life.Err() == nil
	if keep {
		w.since = time.Now()
		p.idle = append(p.idle, w)
	}
	p.mu.Unlock()
	if !keep {
		w.kill()
	}
}

// changed lets no worker run the files as they were.
func (p *pool) changed() {
	p.mu.Lock()
	p.generation++
	p.prepared = nil
	stale := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, w := range stale {
		w.kill()
	}
}

// shed ends idle workers that have had nothing to do for long.
func (p *pool) shed(now time.Time, idle time.Duration) {
	keep := 0
	if p.kept.Load() {
		keep = 1
	}
	p.mu.Lock()
	var old []*worker
	for len(p.idle) > keep && now.Sub(p.idle[0].since) > idle {
		old = append(old, p.idle[0])
		p.idle = p.idle[1:]
	}
	p.mu.Unlock()
	for _, w := range old {
		w.kill()
	}
}

// stop ends the pool; runs under way come to their end, or that of their requests.
func (p *pool) stop() {
	p.end()
	p.changed()
	p.artifact.end()
}

// warm starts the first worker, so that the first event need not wait for it. It
// is tried again until it succeeds or the pool ends; false is the latter.
func (p *pool) warm() bool {
	again := time.NewTimer(0)
	defer again.Stop()
	pause := retryPrepare
	for last := ""; ; {
		select {
		case <-p.life.Done():
			return false
		case <-again.C:
		}
		err := p.warmOnce()
		if err == nil {
			p.host.c.Log.Info("scripts are ready", "function", p.name())
			return true
		}
		if p.life.Err() == nil && err.Error() != last {
			last = err.Error()
			p.host.c.Log.Warn("scripts cannot be run", "function", p.name(), "error", err)
		}
		again.Reset(pause)
		pause = min(2*pause, maxRetryPrepare)
	}
}

func (p *pool) warmOnce() error {
	ctx, cancel := context.WithTimeout(p.life, p.host.c.PrepareTimeout+p.host.c.ReadyTimeout)
	defer cancel()
	if err := p.awaitFiles(ctx, p.host.c.PrepareTimeout); err != nil {
		return err
	}
	w, err := p.take(ctx)
	if err != nil {
		return err
	}
	w.runs--
	p.put(w, true)
	return nil
}

// environ is what a worker finds.
func (p *pool) environ(mounts string) []string {
	env := slices.DeleteFunc(slices.Clone(p.host.c.Environ), func(v string) bool {
		return settings.Private(v) || strings.HasPrefix(v, "PYTHONHOME=")
	})
	if mounts != "" {
		env = append(env, settings.MountsVar+"="+mounts)
	}
	path := filepath.Join(*p.host.sdk.Load(), "python", "src")
	for _, v := range p.settings.Env {
		if own, ok := strings.CutPrefix(v, "PYTHONPATH="); ok {
			path += string(filepath.ListSeparator) + own
		}
	}
	// What threads reserve counts as memory, of which glibc would take 64 MB for each.
	env = append(env, "MALLOC_ARENA_MAX=2")
	env = append(env, p.settings.Env...)
	return append(env, "SIGNALBOX_MEMORY_MB="+strconv.Itoa(p.spec.MemoryMB), "PYTHONPATH="+path, "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1")
}

// output passes a line on; which function's it is, and when, is filled in.
func (p *pool) output(l event.Log) {
	if p.host.c.Output == nil {
		return
	}
	fn := p.fn.Load()
	l.Time, l.Function, l.Version = time.Now(), fn.Metadata.Name, fn.Spec.Version
	p.host.c.Output(l)
}

var errStopped = errors.New("the function was changed or deleted meanwhile")

func (p *pool) name() string { return name(p.fn.Load()) }

// name is a function with its version.
func name(fn *resource.Function) string {
	if fn.Spec.Version == "" {
		return fn.Metadata.Name
	}
	return fn.Metadata.Name + "@" + fn.Spec.Version
}

// startPython imports the worker and all that it needs before the function's directory
// is looked into: a script may be called json.py, or signalbox.py.
const startPython = "import sys; sys.path[:] = [p for p in sys.path if p]; import signalbox._worker as worker; worker.main()"

// command is what a worker's program is called with.
func (p *pool) command(interpreter, dir string) []string {
	var program []string
	switch p.spec.Runtime {
	case resource.RuntimePython:
		program = []string{interpreter, "-c", startPython}
	default:
		program = []string{interpreter, fmt.Sprintf("--max-old-space-size=%d", p.spec.MemoryMB), filepath.Join(*p.host.sdk.Load(), "node", "worker.cjs")}
	}
	for _, f := range p.spec.Files {
		program = append(program, filepath.Join(dir, f))
	}
	return program
}
