package scripts

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/functions/sources"
)

// watch lets a change of the files, and of the modules beside and below them, take
// effect with the next run, until the pool ends.
func (p *pool) watch() {
	if p.artifact != nil {
		return // never changes
	}
	w, err := sources.New(sources.Config{Dir: cmp.Or(p.source.dir, "."), Is: p.isSource, Began: p.edited, Settled: p.settled})
	if err != nil {
		p.host.c.Log.Warn("changes of scripts are not seen", "function", p.name(), "error", err)
		return
	}
	w.Run(p.life)
}

// edited makes runs wait that begin now: they are meant for what is being saved.
func (p *pool) edited(string) {
	saved := make(chan struct{})
	p.settling.Store(&saved)
}

// settled lets them go, with the files as they are now.
func (p *pool) settled(path string) {
	p.changed()
	if saved := p.settling.Swap(nil); saved != nil {
		close(*saved)
	}
	p.host.c.Log.Info("scripts have changed", "function", p.name())
	if !p.kept.Load() {
		return
	}
	seen := time.Now()
	p.host.work.Go(func() { // the next change is seen meanwhile
		err := p.warmOnce()
		if p.life.Err() != nil {
			return
		}
		if err != nil {
			p.host.c.Log.Warn("scripts cannot be run", "function", p.name(), "error", err)
		} else if p.host.c.Changed != nil {
			p.host.c.Changed(p.name(), p.inside(path), time.Since(seen))
		}
	})
}

// awaitSaved waits while files are being saved.
func (p *pool) awaitSaved(ctx context.Context) {
	saved := p.settling.Load()
	if saved == nil {
		return
	}
	select {
	case <-*saved:
	case <-ctx.Done():
	case <-p.life.Done():
	}
}

// inside is a path as it is from the function's directory.
func (p *pool) inside(path string) string {
	if rel, err := filepath.Rel(p.source.dir, path); err == nil {
		return rel
	}
	return path
}

// isSource tells files that runs depend on from others. Data are such where scripts
// themselves are: programs keep theirs in directories below.
func (p *pool) isSource(path string) bool {
	if sources.IsCode(path) || p.inside(path) == filepath.Clean(p.spec.Requirements) {
		return true
	}
	switch filepath.Ext(path) {
	case ".json", ".txt", ".yaml", ".yml":
		dir := filepath.Dir(p.inside(path))
		return slices.ContainsFunc(p.spec.Files, func(f string) bool { return filepath.Dir(f) == dir })
	}
	return false
}
