//go:build unix

package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/container/engine"
	"github.com/signalbox-dev/signalbox/resource"
)

// fakeEngine keeps containers that end when they are told to.
type fakeEngine struct {
	mu   sync.Mutex
	of   map[string]*fakeContainer
	n    int
	pull error
	away bool
	// changed is closed and replaced with every change.
	changed chan struct{}
}

type fakeContainer struct {
	spec  engine.Spec
	id    string
	done  chan struct{}
	exit  engine.Exit
	lines []string
	// since are those of Logs.
	since []time.Time
}

func newFakeEngine() *fakeEngine {
	return &fakeEngine{of: map[string]*fakeContainer{}, changed: make(chan struct{})}
}

func (f *fakeEngine) do(what func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return engine.ErrUnavailable
	}
	defer func() { close(f.changed); f.changed = make(chan struct{}) }()
	return what()
}

func (f *fakeEngine) Pull(context.Context, string, string) error {
	return f.do(func() error { return f.pull })
}

func (f *fakeEngine) Create(_ context.Context, s *engine.Spec) (id string, err error) {
	return id, f.do(func() error {
		for _, c := range f.of {
			if c.spec.Name == s.Name {
				return engine.ErrExists
			}
		}
		f.n++
		id = fmt.Sprint("container-", f.n)
		f.of[id] = &fakeContainer{spec: *s, id: id, done: make(chan struct{})}
		return nil
	})
}

func (f *fakeEngine) Start(context.Context, string) error {
	return f.do(func() error { return nil })
}

func (f *fakeEngine) info(c *fakeContainer) engine.Info {
	running := true
	select {
	case <-c.done:
		running = false
	default:
	}
	return engine.Info{ID: c.id, Name: c.spec.Name, Labels: c.spec.Labels, Running: running, Exit: c.exit}
}

func (f *fakeEngine) Inspect(_ context.Context, id string) (info engine.Info, err error) {
	return info, f.do(func() error {
		c := f.of[id]
		if c == nil {
			return engine.ErrNotFound
		}
		info = f.info(c)
		return nil
	})
}

func (f *fakeEngine) Wait(ctx context.Context, id string) (engine.Exit, error) {
	f.mu.Lock()
	c := f.of[id]
	f.mu.Unlock()
	if c == nil {
		return engine.Exit{}, engine.ErrNotFound
	}
	select {
	case <-c.done:
		return c.exit, nil
	case <-ctx.Done():
		return engine.Exit{}, ctx.Err()
	}
}

func (f *fakeEngine) Logs(ctx context.Context, id string, since time.Time, line func(stream, line string)) error {
	f.mu.Lock()
	c := f.of[id]
	if c != nil {
		c.since = append(c.since, since)
	}
	f.mu.Unlock()
	if c == nil {
		return engine.ErrNotFound
	}
	select {
	case <-c.done:
		for _, l := range c.lines {
			line(event.StreamStderr, l)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fakeEngine) Stop(_ context.Context, id string, _ time.Duration) error {
	return f.finish(id, engine.Exit{Code: 143})
}

func (f *fakeEngine) Remove(_ context.Context, id string) error {
	return f.do(func() error { delete(f.of, id); return nil })
}

func (f *fakeEngine) List(_ context.Context, labels map[string]string) (all []engine.Info, err error) {
	return all, f.do(func() error {
	next:
		for _, id := range slices.Sorted(maps.Keys(f.of)) {
			for k, v := range labels {
				if f.of[id].spec.Labels[k] != v {
					continue next
				}
			}
			all = append(all, f.info(f.of[id]))
		}
		return nil
	})
}

// finish ends a container as a program would; lines are those of its stderr.
func (f *fakeEngine) finish(id string, exit engine.Exit, lines ...string) error {
	return f.do(func() error {
		c := f.of[id]
		if c == nil {
			return engine.ErrNotFound
		}
		select {
		case <-c.done:
		default:
			c.exit, c.lines = exit, lines
			close(c.done)
		}
		return nil
	})
}

// await waits until there are n containers, and returns the last one.
func (f *fakeEngine) await(t *testing.T, n int) *fakeContainer {
	t.Helper()
	bound := time.NewTimer(20 * time.Second)
	defer bound.Stop()
	for {
		f.mu.Lock()
		got, changed := len(f.of), f.changed
		last := f.of[fmt.Sprint("container-", f.n)]
		f.mu.Unlock()
		if got == n {
			return last
		}
		select {
		case <-changed:
		case <-bound.C:
			t.Fatalf("%d containers: want %d", got, n)
		}
	}
}

func imageJob() *resource.Function {
	return &resource.Function{Metadata: resource.Metadata{Name: "j"}, Spec: resource.FunctionSpec{
		Job: &resource.Job{Image: "thumbs:1", Args: []string{"{id}", "{file.data}"}}, Container: &resource.Container{MemoryMB: 64, User: "1000"},
		Mounts: []resource.Mount{{Path: "/etc/x", Value: "y"}},
	}}
}

func withEngine(f *fakeEngine) func(*Config) { return func(c *Config) { c.Engine = f } }

// awaitURL waits until the job can be run.
func (r *rig) awaitURL(fn *resource.Function) {
	r.t.Helper()
	bound := time.Now().Add(20 * time.Second)
	for {
		_, err := r.host.URL(fn)
		if err == nil {
			return
		}
		if !errors.Is(err, functions.ErrNotReady) || time.Now().After(bound) {
			r.t.Fatal(err)
		}
	}
}

// reply writes what the container is to reply.
func (c *fakeContainer) reply(t *testing.T, text string) {
	t.Helper()
	for _, b := range c.spec.Files {
		if b.Target == "/signalbox/replies" && b.Writable {
			if err := os.WriteFile(b.Source, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("no file for replies is mounted")
}

func TestAContainerGetsTheEventAndIsRemovedAfterItsReport(t *testing.T) {
	f := newFakeEngine()
	r := newRig(t, withEngine(f))
	fn := imageJob()
	r.use(fn)
	r.awaitURL(fn)
	r.deliver(fn, aToken, "e1")
	c := f.await(t, 1)
	s := &c.spec
	if s.Image != "thumbs:1" || s.Container.User != "1000" || s.Container.MemoryMB != 64 || !slices.Equal(s.Container.Args, []string{"e1", "/signalbox/data"}) || s.Publish {
		t.Errorf("spec %+v", s)
	}
	for _, v := range []string{"CE_ID=e1", "SIGNALBOX_EVENT=/signalbox/event.json", "SIGNALBOX_DATA=/signalbox/data", "SIGNALBOX_REPLIES=/signalbox/replies", "SIGNALBOX_FUNCTION=j"} {
		if !slices.Contains(s.Env, v) {
			t.Errorf("no %s in %v", v, s.Env)
		}
	}
	mounted := map[string]string{}
	for _, b := range s.Files {
		text, err := os.ReadFile(b.Source)
		if err != nil {
			t.Error(err)
		}
		mounted[b.Target] = string(text)
	}
	if mounted["/etc/x"] != "y" || !strings.HasPrefix(mounted["/signalbox/data"], `{"name":"ada"`) || !json.Valid([]byte(mounted["/signalbox/event.json"])) || len(mounted) != 4 {
		t.Errorf("mounted %v", mounted)
	}
	c.reply(t, `{"type":"com.test.made"}`)
	if err := f.finish(c.id, engine.Exit{}, "fine"); err != nil {
		t.Fatal(err)
	}
	if end := r.awaitEnd(1); end.Status != 200 || len(end.Replies) != 1 || end.Replies[0].Type != "com.test.made" {
		t.Errorf("reported %+v", end)
	}
	r.printed("stderr", "fine")
	f.await(t, 0)
	r.stop()
	if entries, err := os.ReadDir(r.c.Dir); err != nil || len(entries) != 0 {
		t.Errorf("left %v, %v", entries, err)
	}
}

// Whether the reader is quicker than the mark that the run is followed is chance.
func TestOutputIsReadFromWhereItWasReadBefore(t *testing.T) {
	f := newFakeEngine()
	p := newContainers(&Config{Engine: f, Now: time.Now}, nil)
	id, err := f.Create(t.Context(), &engine.Spec{Name: "n"})
	if err != nil || f.finish(id, engine.Exit{}) != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for range 2 { // this process, and one that adopts the run
		one := p.task(id, dir, &record{}, nil)
		one.follows(t.Context())
		one.read(t.Context(), nil)
	}
	if since := f.of[id].since; len(since) != 2 || !since[0].IsZero() || since[1].IsZero() {
		t.Errorf("read since %v: want the beginning, and then what was marked", since)
	}
}

func TestHowAContainerEndsIsReported(t *testing.T) {
	for _, c := range []struct {
		name string
		exit engine.Exit
		want string
	}{
		{"exit code", engine.Exit{Code: 2}, "exit code 2\nlast words"},
		{"out of memory", engine.Exit{Code: 137, OOM: true}, "exit code 137: the container ran out of memory (limit 64 MB, exit code 137)\nlast words"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakeEngine()
			r := newRig(t, withEngine(f))
			fn := imageJob()
			r.use(fn)
			r.awaitURL(fn)
			r.deliver(fn, aToken, "e1")
			if err := f.finish(f.await(t, 1).id, c.exit, "last words"); err != nil {
				t.Fatal(err)
			}
			if end := r.awaitEnd(1); end.Status != 500 || end.Body != c.want {
				t.Errorf("reported %+v", end)
			}
		})
	}
}

func TestAContainerOutlivesSignalboxAndIsFollowedByTheNext(t *testing.T) {
	for _, ended := range []bool{false, true} {
		t.Run(fmt.Sprint("ended meanwhile: ", ended), func(t *testing.T) {
			f := newFakeEngine()
			r := newRig(t, withEngine(f))
			fn := imageJob()
			r.use(fn)
			r.awaitURL(fn)
			r.deliver(fn, aToken, "e1")
			c := f.await(t, 1)
			r.stop()
			if n := len(r.ends()); n != 0 {
				t.Fatalf("%d ends reported: the container goes on", n)
			}
			c.reply(t, `{"type":"com.test.made"}`)
			finish := func() {
				if err := f.finish(c.id, engine.Exit{}); err != nil {
					t.Fatal(err)
				}
			}
			if ended {
				finish()
			}
			r.run() // knows nothing of functions yet
			if !ended {
				r.use(fn)
				r.awaitURL(fn)
				r.deliver(fn, attempt(2), "e1") // found again, whether adopted before or not
				finish()
			}
			end := r.awaitEnd(1)
			if end.Status != 200 || len(end.Replies) != 1 || f.n != 1 {
				t.Errorf("reported %+v of %d containers", end, f.n)
			}
			f.await(t, 0)
			r.await("events", func() bool { return len(r.events) == 3 }) // the start is told twice, as the same event
			if r.events[0].Index != r.events[1].Index || r.events[2].Event.Type != TypeSucceeded {
				t.Errorf("%+v", r.events)
			}
		})
	}
}

func TestAContainerIsFoundByAnotherProcessOfTheMachine(t *testing.T) {
	f := newFakeEngine()
	r := newRig(t, withEngine(f))
	fn := imageJob()
	r.use(fn)
	r.awaitURL(fn)
	r.deliver(fn, aToken, "e1")
	c := f.await(t, 1)
	r.stop()
	r.c.Dir, r.c.Instance = t.TempDir(), "other"
	r.run()
	r.use(fn)
	r.awaitURL(fn)
	r.deliver(fn, attempt(2), "e1")
	c.reply(t, `{"type":"com.test.made"}`)
	if err := f.finish(c.id, engine.Exit{}); err != nil {
		t.Fatal(err)
	}
	if end := r.awaitEnd(1); end.Status != 200 || end.Delivery != attempt(2) || len(end.Replies) != 1 || f.n != 1 {
		t.Errorf("reported %+v of %d containers", end, f.n)
	}
	r.await("events", func() bool { return len(r.events) == 3 })
	if r.events[1].Index != -1 || r.events[2].Index != -1 {
		t.Errorf("told of another attempt: %+v", r.events)
	}
}

func TestAnImageThatIsNotThereSpendsNoAttempt(t *testing.T) {
	f := newFakeEngine()
	f.pull = errors.New("no such image")
	r := newRig(t, withEngine(f))
	fn := imageJob()
	r.use(fn)
	bound := time.Now().Add(20 * time.Second)
	for {
		_, err := r.host.URL(fn)
		if !errors.Is(err, functions.ErrNotReady) || time.Now().After(bound) {
			t.Fatal(err)
		}
		if strings.Contains(err.Error(), "no such image") {
			break
		}
	}
	if s, _ := r.host.Status(fn); s.State != functions.StateStarting || !strings.Contains(s.Reason, "no such image") {
		t.Errorf("status %+v", s)
	}
}

func TestAnEngineThatIsAwaySpendsNoAttempt(t *testing.T) {
	f := newFakeEngine()
	r := newRig(t, withEngine(f))
	fn := imageJob()
	r.use(fn)
	r.awaitURL(fn)
	f.mu.Lock()
	f.away = true
	f.mu.Unlock()
	if resp, body := r.call(t.Context(), fn, &aToken, "e1"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("answered %d %s", resp.StatusCode, body)
	}
	if left := r.leftovers(); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestAContainerIsStoppedWhenItsTimeIsUp(t *testing.T) {
	f := newFakeEngine()
	r := newRig(t, withEngine(f))
	fn := imageJob()
	fn.Spec.Job.Timeout = resource.Duration(10 * time.Millisecond)
	r.use(fn)
	r.awaitURL(fn)
	r.deliver(fn, aToken, "e1")
	if end := r.awaitEnd(1); end.Status != 504 || !strings.HasPrefix(end.Body, "not done within 10ms") {
		t.Errorf("reported %+v", end)
	}
	f.await(t, 0)
}
