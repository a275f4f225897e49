package scripts

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long a change waits for the next one: editors write a file in steps.
const settle = 50 * time.Millisecond

// watch lets a change of the files, and of what stands beside them, take effect
// with the next run, until the pool ends.
func (p *pool) watch() {
	if p.artifact != nil {
		return // never changes
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		p.host.c.Log.Warn("changes of scripts are not seen", "function", p.name(), "error", err)
		return
	}
	defer w.Close()
	for _, f := range p.spec.Files {
		// The directory, not the file: editors put another file in its place.
		if err := w.Add(filepath.Dir(filepath.Join(p.source.dir, f))); err != nil {
			p.host.c.Log.Warn("changes of scripts are not seen", "function", p.name(), "error", err)
		}
	}
	settled := time.NewTimer(time.Hour)
	defer settled.Stop()
	for {
		select {
		case <-p.life.Done():
			return
		case e := <-w.Events:
			if isSource(e.Name) && !e.Has(fsnotify.Chmod) {
				settled.Reset(settle)
			}
		case <-w.Errors:
		case <-settled.C:
			p.changed()
			p.host.c.Log.Info("scripts have changed", "function", p.name())
			if p.kept.Load() {
				if err := p.warmOnce(); err != nil && p.life.Err() == nil {
					p.host.c.Log.Warn("scripts cannot be run", "function", p.name(), "error", err)
				}
			}
		}
	}
}

// isSource tells files that runs depend on from what editors and interpreters leave behind.
func isSource(path string) bool {
	base := filepath.Base(path)
	if strings.HasPrefix(base, ".") || strings.HasSuffix(base, "~") {
		return false
	}
	switch filepath.Ext(base) {
	case ".py", ".js", ".cjs", ".mjs", ".json", ".txt", ".yaml", ".yml":
		return true
	}
	return false
}
