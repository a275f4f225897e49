package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/functions/container/engine"
)

// fakeEngine runs "containers" as servers of the test's process.
type fakeEngine struct {
	t testing.TB
	// images are what there is, with what each answers.
	images map[string]http.HandlerFunc

	mu         sync.Mutex
	containers map[string]*fakeContainer
	// started are the names of all that ever ran, in order.
	started []string
	// away makes every call fail; refuse makes every start fail.
	away, refuse error
	// held, when set, keeps containers from starting until it is closed.
	held chan struct{}
	// lost: containers that end are gone at once.
	lost bool
	// deaf: containers that start listen at no port.
	deaf bool
}

type fakeContainer struct {
	spec   engine.Spec
	server *httptest.Server
	port   int
	// ended is closed at the end.
	ended chan struct{}
	exit  engine.Exit
	lines chan string
}

func newFake(t testing.TB, images map[string]http.HandlerFunc) *fakeEngine {
	return &fakeEngine{t: t, images: images, containers: map[string]*fakeContainer{}}
}

func (f *fakeEngine) get(name string) (*fakeContainer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away != nil {
		return nil, f.away
	}
	c := f.containers[name]
	if c == nil {
		return nil, fmt.Errorf("container %s: %w", name, engine.ErrNotFound)
	}
	return c, nil
}

func (f *fakeEngine) Pull(_ context.Context, image, _ string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away != nil {
		return f.away
	}
	if f.images[image] == nil {
		return fmt.Errorf("image %s: %w", image, engine.ErrNotFound)
	}
	return nil
}

func (f *fakeEngine) Create(_ context.Context, s *engine.Spec) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away != nil {
		return "", f.away
	}
	f.containers[s.Name] = &fakeContainer{spec: *s, ended: make(chan struct{}), lines: make(chan string, 10)}
	return s.Name, nil
}

func (f *fakeEngine) Start(ctx context.Context, name string) error {
	c, err := f.get(name)
	if err != nil {
		return err
	}
	f.mu.Lock()
	held, refuse := f.held, f.refuse
	f.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if refuse != nil {
		return refuse
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	handler := f.images[c.spec.Image]
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Container", name)
		_, _ = io.Copy(io.Discard, r.Body) // only then a server sees that its client has gone
		handler(w, r)
	}))
	c.port = c.server.Listener.Addr().(*net.TCPAddr).Port
	if f.deaf {
		c.server.Listener.Close()
	}
	f.started = append(f.started, name)
	return nil
}

func (f *fakeEngine) Inspect(_ context.Context, name string) (engine.Info, error) {
	c, err := f.get(name)
	if err != nil {
		return engine.Info{}, err
	}
	return engine.Info{ID: name, Running: true, Port: c.port}, nil
}

func (f *fakeEngine) Wait(ctx context.Context, name string) (engine.Exit, error) {
	c, err := f.get(name)
	if err != nil {
		return engine.Exit{}, err
	}
	select {
	case <-c.ended:
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.lost {
			return engine.Exit{}, fmt.Errorf("container %s: %w", name, engine.ErrNotFound)
		}
		return c.exit, nil
	case <-ctx.Done():
		return engine.Exit{}, ctx.Err()
	}
}

func (f *fakeEngine) Logs(ctx context.Context, name string, _ time.Time, line func(stream, line string)) error {
	c, err := f.get(name)
	if err != nil {
		return err
	}
	for {
		select {
		case l := <-c.lines:
			line("stdout", l)
		case <-c.ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// exit ends a container at once.
func (f *fakeEngine) exit(name string, exit engine.Exit) {
	c, err := f.get(name)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-c.ended:
		return
	default:
	}
	c.exit = exit
	if c.server != nil {
		c.server.Listener.Close()
		c.server.CloseClientConnections()
	}
	close(c.ended)
}

func (f *fakeEngine) Stop(_ context.Context, name string, _ time.Duration) error {
	if _, err := f.get(name); err != nil {
		return err
	}
	f.exit(name, engine.Exit{})
	return nil
}

func (f *fakeEngine) Remove(_ context.Context, name string) error {
	c, err := f.get(name)
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	f.exit(name, engine.Exit{Code: engine.Killed})
	if c.server != nil {
		c.server.Close()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.containers, name)
	return nil
}

func (f *fakeEngine) List(_ context.Context, labels map[string]string) ([]engine.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away != nil {
		return nil, f.away
	}
	var out []engine.Info
	for name, c := range f.containers {
		match := true
		for k, v := range labels {
			match = match && c.spec.Labels[k] == v
		}
		if match {
			out = append(out, engine.Info{ID: name, Name: "/" + name, Labels: c.spec.Labels})
		}
	}
	return out, nil
}

func (f *fakeEngine) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// names are the containers there are.
func (f *fakeEngine) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for name := range f.containers {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func (f *fakeEngine) startedSoFar() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.started)
}

// environ is that of a container.
func (f *fakeEngine) environ(name string) string {
	c, err := f.get(name)
	if err != nil {
		return ""
	}
	return strings.Join(c.spec.Env, "\n")
}
