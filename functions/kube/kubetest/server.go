// Package kubetest is an API server of Kubernetes for unit tests: it stores
// objects, applies, patches and deletes them, and is watched. It knows no
// schemas, defaults, rights or controllers, and fields have no owners but those
// that a test gives them; the real API server is asked end to end.
package kubetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// Object is an object as JSON.
type Object = map[string]any

// Server is the fake; make it with Start.
type Server struct {
	URL string

	mu       sync.Mutex
	revision int
	objects  map[string]Object // by path
	printed  map[string][]string
	changes  []change
	changed  chan struct{}
	log      []string
	owned    map[string]string // path and field to manager
	refuse   func(method, path string) (status int, message string)
	down     func()
}

type change struct {
	revision int
	kind     string
	path     string
	object   Object
}

// Start runs a server until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{objects: map[string]Object{}, owned: map[string]string{}, printed: map[string][]string{}, changed: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL, s.down = server.URL, server.CloseClientConnections
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return s
}

// Kubeconfig writes a file that leads to the server, with a namespace.
func (s *Server) Kubeconfig(t testing.TB, namespace string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: %q}}],
users: [{name: u, user: {}}], contexts: [{name: c, context: {cluster: c, user: u, namespace: %q}}]}`, s.URL, namespace)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Refuse makes requests fail for which fn says a status; nil ends that.
func (s *Server) Refuse(fn func(method, path string) (status int, message string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = fn
}

// Cut ends all connections, those of watches too.
func (s *Server) Cut() { s.down() }

// Own makes a field somebody's: an apply that has it, without force, is a conflict.
func (s *Server) Own(path, field, manager string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owned[path+" "+field] = manager
}

// Get is the object at a path such as /apis/apps/v1/namespaces/a/deployments/b; nil is none.
func (s *Server) Get(path string) Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return clone(s.objects[path])
}

// Paths lists where there are objects.
func (s *Server) Paths() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.objects))
}

// Put stores an object as it is, as a controller would.
func (s *Server) Put(path string, o Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(path, clone(o))
}

// Update changes the object at a path by fn.
func (s *Server) Update(path string, fn func(o Object)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := clone(s.objects[path])
	fn(o)
	s.store(path, o)
}

// Print adds lines to what the pod at a path has printed, each with its time in front.
func (s *Server) Print(path string, lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.printed[path] = append(s.printed[path], lines...)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Remove deletes the object at a path.
func (s *Server) Remove(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(path)
}

// Writes are the requests so far that were no reading, as "METHOD path".
func (s *Server) Writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Changed is closed at the next change.
func (s *Server) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *Server) store(path string, o Object) {
	s.revision++
	meta := child(o, "metadata")
	meta["resourceVersion"] = strconv.Itoa(s.revision)
	kind := "MODIFIED"
	if s.objects[path] == nil {
		kind = "ADDED"
		meta["uid"] = "uid-" + strconv.Itoa(s.revision)
	}
	s.objects[path] = o
	s.note(kind, path, o)
}

func (s *Server) drop(path string) {
	o := s.objects[path]
	delete(s.objects, path)
	s.revision++
	child(o, "metadata")["resourceVersion"] = strconv.Itoa(s.revision)
	s.note("DELETED", path, o)
}

func (s *Server) note(kind, path string, o Object) {
	s.changes = append(s.changes, change{s.revision, kind, path, clone(o)})
	close(s.changed)
	s.changed = make(chan struct{})
}

func child(o Object, name string) Object {
	c, _ := o[name].(Object)
	if c == nil {
		c = Object{}
		o[name] = c
	}
	return c
}

func clone(o Object) Object {
	if o == nil {
		return nil
	}
	b, _ := json.Marshal(o)
	var out Object
	_ = json.Unmarshal(b, &out)
	return out
}
