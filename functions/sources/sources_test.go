package sources

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// watching returns what a Watch of dir says, in order.
func watching(t *testing.T, dir string) (said <-chan string) {
	t.Helper()
	all := make(chan string, 100)
	w, err := New(Config{
		Dir:     dir,
		Began:   func(path string) { all <- "began " + filepath.Base(path) },
		Settled: func(path string) { all <- "settled " + filepath.Base(path) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return all
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAChangeIsTold(t *testing.T) {
	for name, file := range map[string]string{
		"of a file in the directory":              "a.py",
		"of a file below it":                      "lib/deep/b.go",
		"of what it is built of":                  "lib/go.mod",
		"of a file in a directory that is new":    "new/c.js",
		"of a file in a directory in one that is": "new/one/d.ts",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "lib/deep/old.go"))
			said := watching(t, dir)
			base := filepath.Base(file)
			for settled := false; !settled; {
				write(t, filepath.Join(dir, file)) // again: a directory that is new is not watched at once
				select {
				case s := <-said:
					settled = s == "settled "+base
					if s != "began "+base && !settled {
						t.Fatal(s)
					}
				case <-time.After(3 * Settle):
				}
			}
		})
	}
}

func TestWhatIsNoSourceIsNotTold(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"node_modules/x", ".git", "venv", "__pycache__"} {
		write(t, filepath.Join(dir, d, "old.py"))
	}
	said := watching(t, dir)
	for _, f := range []string{"data.json", "out.txt", "state.db", ".a.py.swp", "a.py~", "#a.py", "node_modules/x/a.js", ".git/a.py", "venv/a.py", "__pycache__/a.py"} {
		write(t, filepath.Join(dir, f))
	}
	write(t, filepath.Join(dir, "last.py"))
	if s := <-said; s != "began last.py" {
		t.Error(s)
	}
}

func TestADirectoryThatIsNotThereIsAnError(t *testing.T) {
	if _, err := New(Config{Dir: filepath.Join(t.TempDir(), "nope"), Settled: func(string) {}}); err == nil {
		t.Error("it is watched")
	}
}
