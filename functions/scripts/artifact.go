package scripts

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// source is where the files of a function are: a directory, or an artifact.
type source struct{ dir, artifact string }

func sourceOf(fn *resource.Function) source {
	if fn.Spec.Artifact != "" {
		return source{artifact: fn.Spec.Artifact}
	}
	return source{dir: fn.Spec.Dir}
}

var (
	errFetching    = errors.New("the files of the function are being fetched")
	errNoArtifacts = errors.New("this process has no store of artifacts")
)

// artifact is that of a pool: it is fetched once somebody wants it, and kept until
// the pool has ended and all its workers are gone. nil is a pool without one.
type artifact struct {
	digest  string
	started sync.Once
	// there is closed once dir is set.
	there chan struct{}

	mu      sync.Mutex
	dir     string
	release func()
	// err is why there are no files yet.
	err   error
	users int
	ended bool
}

func newArtifact(digest string) *artifact {
	return &artifact{digest: digest, there: make(chan struct{}), err: errFetching}
}

// fetch gets the files, and tries again until it has them or the pool ends.
func (p *pool) fetch() {
	a := p.artifact
	if p.host.c.Artifacts == nil {
		a.failed(errNoArtifacts)
		return
	}
	for {
		dir, release, err := p.host.c.Artifacts.Use(p.life, a.digest)
		if err == nil {
			a.got(dir, release)
			return
		}
		if a.failed(err) && p.life.Err() == nil {
			p.host.c.Log.Warn("the files of scripts cannot be fetched", "function", p.name(), "artifact", a.digest, "error", err)
		}
		again := time.NewTimer(retryPrepare)
		select {
		case <-again.C:
		case <-p.life.Done():
			again.Stop()
			return
		}
	}
}

// awaitFiles waits until the files are there, at most so long.
func (p *pool) awaitFiles(ctx context.Context, patience time.Duration) error {
	a := p.artifact
	if a == nil {
		return nil
	}
	a.started.Do(func() { p.host.work.Go(p.fetch) })
	enough := time.NewTimer(patience)
	defer enough.Stop()
	select {
	case <-a.there:
		return nil
	case <-enough.C:
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// cannotFetch says why there are no files, once fetching them has failed; until
// then calls wait for them. It begins to fetch.
func (p *pool) cannotFetch() error {
	if p == nil || p.artifact == nil {
		return nil
	}
	a := p.artifact
	a.started.Do(func() { p.host.work.Go(p.fetch) })
	a.mu.Lock()
	defer a.mu.Unlock()
	if errors.Is(a.err, errFetching) {
		return nil
	}
	return a.err
}

// failed notes why there are no files; false: for the same reason as before.
func (a *artifact) failed(err error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	other := a.err.Error() != err.Error()
	a.err = err
	return other
}

func (a *artifact) got(dir string, release func()) {
	a.mu.Lock()
	a.dir, a.release, a.err = dir, release, nil
	a.mu.Unlock()
	close(a.there)
	a.letGo()
}

// letGo releases the files when nobody can want them any more.
func (a *artifact) letGo() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended && a.users == 0 && a.release != nil {
		a.release()
		a.release = nil
	}
}

// end: the pool has ended.
func (a *artifact) end() {
	if a == nil {
		return
	}
	a.mu.Lock()
	a.ended = true
	a.mu.Unlock()
	a.letGo()
}

// hold keeps the files for a worker until done is called.
func (a *artifact) hold() (done func(), err error) {
	if a == nil {
		return func() {}, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return nil, errStopped
	}
	a.users++
	return func() {
		a.mu.Lock()
		a.users--
		a.mu.Unlock()
		a.letGo()
	}, nil
}

// dir is where the files are; it fails while they are not here.
func (p *pool) dir() (string, error) {
	if p.artifact == nil {
		return p.source.dir, nil
	}
	p.artifact.mu.Lock()
	defer p.artifact.mu.Unlock()
	return p.artifact.dir, p.artifact.err
}
