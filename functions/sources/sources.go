// Package sources tells when the files change that a function is made of, so
// that an author sees what was saved with the next event.
package sources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// Settle is how long a change waits for the next one: editors write a file in steps.
	Settle = 50 * time.Millisecond
	// maxSettle bounds that for files that change all the time.
	maxSettle = 500 * time.Millisecond
	// maxDirectories bounds what is watched below one directory: the system's watches
	// are for all programs. The ones nearest to the top are.
	maxDirectories = 1000
)

// Config is what to look for below a directory, and whom to tell. The functions
// are called by one goroutine, one after the other.
type Config struct {
	// Dir is watched with what is below it, but for what skips.
	Dir string
	// Is tells files that the function is made of from all others; nil: IsCode does.
	Is func(path string) bool
	// Began, unless nil, is called with the first change after a quiet time, Settled
	// with the last one once there was none for Settle.
	Began, Settled func(path string)
}

// Watch sees changes from New on, and tells of them while it runs.
type Watch struct {
	Config
	n *fsnotify.Watcher
}

// New begins to watch; Run must follow.
func New(c Config) (*Watch, error) {
	if c.Is == nil {
		c.Is = IsCode
	}
	n, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", c.Dir, err)
	}
	if err := add(n, c.Dir); err != nil {
		return nil, errors.Join(fmt.Errorf("watching %s: %w", c.Dir, err), n.Close())
	}
	return &Watch{Config: c, n: n}, nil
}

// Run tells of changes until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	defer w.n.Close()
	w.loop(ctx)
}

func (w *Watch) loop(ctx context.Context) {
	var began time.Time // zero: all is quiet
	var last string
	settled := time.NewTimer(time.Hour)
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.n.Events:
			if e.Has(fsnotify.Create) && isDirectory(e.Name) {
				_ = add(w.n, e.Name) // what cannot be watched is not
			}
			if e.Op == fsnotify.Chmod || leftBehind(e.Name) || !w.Is(e.Name) {
				continue
			}
			last = e.Name
			if began.IsZero() {
				if began = time.Now(); w.Began != nil {
					w.Began(last)
				}
			}
			settled.Reset(min(Settle, time.Until(began.Add(maxSettle))))
		case <-w.n.Errors:
		case <-settled.C:
			began = time.Time{}
			w.Settled(last)
		}
	}
}

// add watches a directory and what is below it, level by level.
func add(n *fsnotify.Watcher, dir string) error {
	if err := n.Add(dir); err != nil {
		return err
	}
	for level := []string{dir}; len(level) > 0; {
		var next []string
		for _, d := range level {
			entries, _ := os.ReadDir(d) // what is gone by now needs no watching
			for _, e := range entries {
				path := filepath.Join(d, e.Name())
				if !e.IsDir() || skips(e) {
					continue
				}
				if len(n.WatchList()) >= maxDirectories || n.Add(path) != nil {
					return nil
				}
				next = append(next, path)
			}
		}
		level = next
	}
	return nil
}

// skips reports whether a directory holds what others have made: histories,
// dependencies, what was built.
func skips(e fs.DirEntry) bool {
	switch e.Name() {
	case "node_modules", "venv", "__pycache__", "target":
		return true
	}
	return strings.HasPrefix(e.Name(), ".")
}

func isDirectory(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir() && !skips(fs.FileInfoToDirEntry(st))
}

// leftBehind reports whether editors and the like leave files of such a name.
func leftBehind(path string) bool {
	base := filepath.Base(path)
	return strings.HasPrefix(base, ".") || strings.HasPrefix(base, "#") || strings.HasSuffix(base, "~")
}

// IsCode reports whether a file holds a program's text, in any of the usual
// languages, or says what it is built of. Files of data are none: programs write
// such ones themselves.
func IsCode(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".py", ".js", ".cjs", ".mjs", ".jsx", ".ts", ".cts", ".mts", ".tsx", ".go", ".rs", ".rb", ".php", ".pl", ".lua", ".sh",
		".java", ".kt", ".scala", ".clj", ".groovy", ".cs", ".fs", ".c", ".h", ".cc", ".cpp", ".hpp", ".zig", ".swift", ".dart", ".ex", ".exs", ".erl", ".hs", ".ml",
		".html", ".tmpl", ".gotmpl", ".rego", ".proto":
		return true
	}
	switch filepath.Base(path) {
	case "go.mod", "go.sum", "package.json", "requirements.txt", "pyproject.toml", "Cargo.toml", "Gemfile", "Makefile":
		return true
	}
	return false
}
