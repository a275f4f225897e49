package scripts

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

// shelf has artifacts that tests make, and counts who uses them.
type shelf struct {
	mu sync.Mutex
	// dirs are the artifacts that are there.
	dirs map[string]string
	// changed is closed and replaced when users or dirs change.
	changed chan struct{}
	users   map[string]int
}

func newShelf() *shelf {
	return &shelf{dirs: map[string]string{}, users: map[string]int{}, changed: make(chan struct{})}
}

var errAway = errors.New("the store is away")

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
		return "", nil, errAway
	}
	s.count(digest, 1)
	return dir, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.count(digest, -1)
	}), nil
}

func (s *shelf) count(digest string, n int) {
	s.users[digest] += n
	close(s.changed)
	s.changed = make(chan struct{})
}

// awaitUsers waits until so many use an artifact.
func (s *shelf) awaitUsers(t *testing.T, digest string, want int) {
	t.Helper()
	for {
		s.mu.Lock()
		users, changed := s.users[digest], s.changed
		s.mu.Unlock()
		if users == want {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatalf("%s has %d users, want %d", digest, users, want)
		}
	}
}

// stored puts a script on the shelf.
func (r *rig) stored(s *shelf, digest, content string) {
	r.t.Helper()
	dir := r.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f.py"), []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirs[digest] = dir
	close(s.changed)
	s.changed = make(chan struct{})
}

func ofArtifact(digest string) *resource.Function {
	return &resource.Function{Metadata: resource.Metadata{Name: "f"}, Spec: resource.FunctionSpec{
		Artifact: digest, Scripts: &resource.Scripts{Runtime: "python", Files: []string{"f.py"}},
	}}
}

const sends = "from signalbox import context\ncontext.events.send('out', 'WHICH')\n"

func TestScriptsRunFromTheirArtifact(t *testing.T) {
	r, s := newRig(t), newShelf()
	r.host.c.Artifacts = s
	for _, which := range []string{"one", "two"} {
		r.stored(s, which, strings.ReplaceAll(sends, "WHICH", which))
	}
	ran := func(fn *resource.Function, id string) string {
		t.Helper()
		if got := r.run(fn, id, ""); got.status != http.StatusNoContent {
			t.Fatalf("%+v", got)
		}
		all := r.events()
		return strings.Trim(string(all[len(all)-1].Event.Data), `"`)
	}
	fn := ofArtifact("one")
	r.host.Reconcile([]*resource.Function{fn}, nil)
	if got := ran(fn, "1"); got != "one" {
		t.Errorf("ran %s", got)
	}
	// The next one is not there: the one before goes on.
	fn = ofArtifact("three")
	r.host.Reconcile([]*resource.Function{fn}, nil)
	if got := ran(fn, "2"); got != "one" {
		t.Errorf("ran %s", got)
	}
	if status, _ := r.host.Status(fn); status.State == resource.StateReady {
		t.Errorf("%+v, although another one runs in its place", status)
	}
	// It is there: it takes over, and what was before is let go.
	fn = ofArtifact("two")
	r.host.Reconcile([]*resource.Function{fn}, nil)
	s.awaitUsers(t, "one", 0)
	if got := ran(fn, "3"); got != "two" {
		t.Errorf("ran %s", got)
	}
	// Back again, and gone.
	fn = ofArtifact("one")
	r.host.Reconcile([]*resource.Function{fn}, nil)
	s.awaitUsers(t, "two", 0)
	if got := ran(fn, "4"); got != "one" {
		t.Errorf("ran %s", got)
	}
	r.host.Reconcile(nil, nil)
	s.awaitUsers(t, "one", 0)
}

func TestACallWaitsNotLongForFiles(t *testing.T) {
	for title, test := range map[string]struct {
		artifacts Artifacts
		digest    string
		want      string
	}{
		"no store":          {nil, "one", errNoArtifacts.Error()},
		"the store is away": {newShelf(), "one", errAway.Error()},
		"it takes long":     {newShelf(), "slow", errFetching.Error()},
	} {
		t.Run(title, func(t *testing.T) {
			r := newRig(t)
			r.host.c.Artifacts = test.artifacts
			fn := ofArtifact(test.digest)
			r.host.Reconcile(nil, []*resource.Function{fn})
			// URL may know already that there are no files.
			got, err := postTo(t.Context(), r.host.url+name(fn), "1", "")
			if err != nil {
				t.Fatal(err)
			}
			if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "1" || !strings.Contains(got.body, test.want) {
				t.Errorf("%+v", got)
			}
			// Once it has failed, no call is made any more.
			_, err = r.host.URL(fn)
			if failed := test.digest != "slow"; failed != (err != nil) || failed && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestARunUnderWayKeepsItsFiles(t *testing.T) {
	r, s := newRig(t), newShelf()
	r.host.c.Artifacts = s
	r.stored(s, "one", "import os, time\nprint('begun', flush=True)\nwhile not os.path.exists('"+r.dir+"/go'): time.sleep(0.01)\nimport f\n")
	r.stored(s, "two", sends)
	fn := ofArtifact("one")
	r.host.Reconcile([]*resource.Function{fn}, nil)
	done := make(chan reply, 1)
	go func() {
		got, err := r.post(context.Background(), fn, "1", "")
		if err != nil {
			got.body = err.Error()
		}
		done <- got
	}()
	r.awaitLine("begun")
	next := ofArtifact("two")
	r.host.Reconcile([]*resource.Function{next}, nil)
	s.awaitUsers(t, "two", 1)
	s.mu.Lock()
	users := s.users["one"]
	s.mu.Unlock()
	if users != 1 {
		t.Error("the files of a run under way were let go")
	}
	r.write("go", "")
	if got := <-done; got.status != http.StatusNoContent {
		t.Errorf("%+v", got)
	}
	s.awaitUsers(t, "one", 0)
}
