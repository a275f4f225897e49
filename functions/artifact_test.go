//go:build unix

package functions

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// shelf has artifacts that tests make, and counts who uses them.
type shelf struct {
	mu    sync.Mutex
	dirs  map[string]string
	users map[string]int
}

// Use waits for ever for an artifact named slow.
func (s *shelf) Use(ctx context.Context, digest string) (string, func(), error) {
	if digest == "slow" {
		<-ctx.Done()
		return "", nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, ok := s.dirs[digest]
	if !ok {
		return "", nil, errors.New("the store is away")
	}
	s.users[digest]++
	return dir, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.users[digest]--
	}), nil
}

func (s *shelf) uses(digest string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.users[digest]
}

// served links the test's own binary into a directory, so that it is run from there.
func served(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(as("serve")[0], filepath.Join(dir, "server")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func ofArtifact(digest string) *resource.Function {
	return &resource.Function{Metadata: resource.Metadata{Name: "f"}, Spec: resource.FunctionSpec{
		Command: append([]string{"./server"}, as("serve")[1:]...), Artifact: digest,
	}}
}

func TestProgramsRunFromTheirArtifact(t *testing.T) {
	s := &shelf{dirs: map[string]string{"one": served(t), "two": served(t)}, users: map[string]int{}}
	f := run(t, func(c *Config) {
		c.Artifacts, c.Linger = s, 300*time.Millisecond
	})
	runsIn := func(digest string) {
		t.Helper()
		f.until("f", func(url string, err error) bool {
			if err != nil {
				return false
			}
			env, err := ask(url + "env")
			return err == nil && strings.Contains(env, s.dirs[digest]) // else it has just been replaced
		})
	}
	f.reconcile(ofArtifact("one"))
	runsIn("one")
	if status, ok := f.Status(ofArtifact("one")); !ok || status.State != StateReady {
		t.Errorf("%+v", status)
	}
	for _, missing := range []string{"three", "slow"} { // what is not there takes nothing away
		f.reconcile(ofArtifact(missing))
		runsIn("one")
		if status, ok := f.Status(ofArtifact(missing)); !ok || status.State != StateStarting {
			t.Errorf("%+v", status)
		}
	}
	f.reconcile(ofArtifact("two"))
	runsIn("two")
	f.reconcile(ofArtifact("one"))
	runsIn("one")
	// Those that were replaced end after Linger, each when it does.
	await(t, func() bool { return s.uses("two") == 0 && s.uses("one") == 1 })
	f.reconcile()
	await(t, func() bool { return s.uses("one") == 0 })
}

func await(t *testing.T, what func() bool) {
	t.Helper()
	for !what() {
		select {
		case <-t.Context().Done():
			t.Fatal("in vain")
		case <-time.After(time.Millisecond):
		}
	}
}

func TestWhyFilesAreMissingIsSaid(t *testing.T) {
	for name, test := range map[string]struct {
		artifacts Artifacts
		digest    string
		want      string
	}{
		"no store":          {nil, "one", "no store of artifacts"},
		"the store is away": {&shelf{}, "one", "the store is away"},
		"it takes long":     {&shelf{}, "slow", "being fetched"},
	} {
		t.Run(name, func(t *testing.T) {
			f := run(t, func(c *Config) { c.Artifacts = test.artifacts })
			f.reconcile(ofArtifact(test.digest))
			f.until("f", func(_ string, err error) bool {
				return errors.Is(err, ErrNotReady) && strings.Contains(err.Error(), test.want)
			})
		})
	}
}
