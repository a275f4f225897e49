//go:build unix

package functions

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// author edits the file of a program.
type author struct {
	*fixture
	file    string
	changes chan Change
}

// newAuthor runs a program that recites part.go, in a directory of its own.
func newAuthor(t *testing.T, change func(*resource.Function)) *author {
	t.Helper()
	a := &author{changes: make(chan Change, 100)}
	a.fixture = run(t, func(c *Config) { c.Changed = func(ch Change) { a.changes <- ch } })
	dir := t.TempDir()
	a.file = filepath.Join(dir, "part.go")
	a.save("one")
	fn := command("reciter", as("recite", "part.go")...)
	fn.Spec.Dir = dir
	if change != nil {
		change(fn)
	}
	a.reconcile(fn)
	if got := a.get(a.ready("reciter")); got != "one" {
		t.Fatal(got)
	}
	return a
}

// save writes the file in one step, as editors do: half of it would be a change of its own.
func (a *author) save(text string) {
	a.t.Helper()
	half := filepath.Join(filepath.Dir(a.file), "."+filepath.Base(a.file))
	if err := errors.Join(os.WriteFile(half, []byte(text), 0o600), os.Rename(half, a.file)); err != nil {
		a.t.Fatal(err)
	}
}

// told is the next thing the author is told.
func (a *author) told() Change {
	a.t.Helper()
	select {
	case c := <-a.changes:
		return c
	case <-time.After(20 * time.Second):
		a.t.Fatal("the author is told nothing")
		return Change{}
	}
}

func TestWhatAnAuthorSavesRuns(t *testing.T) {
	a := newAuthor(t, nil)
	a.save("two")
	if c := a.told(); c != (Change{Function: "reciter", File: "part.go"}) {
		t.Fatalf("%+v", c)
	}
	if c := a.told(); !c.Runs || c.Err != nil || c.Took <= 0 {
		t.Fatalf("%+v", c)
	}
	if got := a.get(a.ready("reciter")); got != "two" {
		t.Errorf("it answers %q", got)
	}
}

func TestWhatDoesNotRunLeavesTheProgramBeforeAlone(t *testing.T) {
	a := newAuthor(t, nil)
	before := a.ready("reciter")
	a.save("broken")
	a.told()
	if c := a.told(); c.Runs || c.Err == nil {
		t.Fatalf("%+v", c)
	}
	if now := a.ready("reciter"); now != before || a.get(now) != "one" {
		t.Errorf("it was %s and is %s", before, now)
	}
	a.save("mended")
	a.told()
	if c := a.told(); !c.Runs {
		t.Fatalf("%+v", c)
	}
	if got := a.get(a.ready("reciter")); got != "mended" {
		t.Errorf("it answers %q", got)
	}
}

func TestAnArtifactIsNotWatched(t *testing.T) {
	s := newSupervisor(run(t, func(c *Config) { c.Changed = func(Change) {} }).Registry, program{dir: t.TempDir(), artifact: "sha256:1"})
	s.watch(t.Context())
	s.stops.Wait() // nothing runs
}

func TestAProgramThatDoesNotListenIsToldWhere(t *testing.T) {
	for want, ready := range map[string]time.Duration{
		"starting: nothing accepts connections on 127.0.0.1:": time.Minute, "does it listen on 127.0.0.1:$PORT?": 300 * time.Millisecond,
	} {
		f := run(t, func(c *Config) { c.ReadyTimeout, c.StopGrace = ready, time.Second })
		f.reconcile(command("deaf", as("deaf")...))
		f.until("deaf", func(_ string, err error) bool { return err != nil && strings.Contains(err.Error(), want) })
	}
}
