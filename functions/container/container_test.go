package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/container/engine"
	"github.com/signalbox-dev/signalbox/resource"
)

const bound = 20 * time.Second

// await waits until what holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(bound)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %s for %s", bound, what)
		}
	}
}

func quick(f *fakeEngine, dir string) Config {
	c := DefaultConfig()
	c.Engine, c.Dir = f, dir
	c.RestartInitial, c.RestartMax, c.Settle = time.Millisecond, 50*time.Millisecond, 20*time.Millisecond
	c.Log = slog.New(slog.DiscardHandler)
	return c
}

// run starts a Runtime that ends with the test, or by stop.
func run(t testing.TB, c Config) (r *Runtime, stop func()) {
	t.Helper()
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return r, stop
}

func function(image string, c resource.Container) *resource.Function {
	if c.IdleAfter == 0 {
		c.IdleAfter = resource.Duration(time.Hour)
	}
	return &resource.Function{Metadata: resource.Metadata{Name: "thumbs"}, Spec: resource.FunctionSpec{Image: image, Container: &c}}
}

// find returns the group of a path.
func (r *Runtime) find(key string) *group { return (*r.groups.Load())[key] }

func use(r *Runtime, fns ...*resource.Function) { r.Reconcile(fns, nil) }

type outcome struct {
	status          int
	body, container string
	header          http.Header
	err             error
}

// client has no connection in common with others.
func client() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
}

func post(t testing.TB, c *http.Client, r *Runtime, fn *resource.Function, header ...string) outcome {
	t.Helper()
	url, err := r.URL(fn)
	if err != nil {
		return outcome{err: err}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		return outcome{err: err}
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return outcome{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return outcome{resp.StatusCode, string(b), resp.Header.Get("X-Container"), resp.Header, err}
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "done") }

func TestCallsAreHeldUntilTheFirstContainerIsReady(t *testing.T) {
	f := newFake(t, map[string]http.HandlerFunc{"a:1": ok})
	f.held = make(chan struct{})
	r, _ := run(t, quick(f, t.TempDir()))
	fn := function("a:1", resource.Container{Target: 100})
	use(r, fn)
	if len(f.names()) != 0 {
		t.Fatal("a container is there before the first call")
	}
	if s, _ := r.Status(fn); s.State != functions.StateIdle {
		t.Errorf("before the first call it is %+v", s)
	}
	outcomes := make(chan outcome, 20)
	c := client()
	for range cap(outcomes) {
		go func() { outcomes <- post(t, c, r, fn) }()
	}
	g := r.find("thumbs")
	await(t, "all calls to wait", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return len(g.waiting) == cap(outcomes) })
	if s, _ := r.Status(fn); s.State != functions.StateStarting || s.Replicas != 1 {
		t.Errorf("meanwhile it is %+v", s)
	}
	close(f.held)
	for range cap(outcomes) {
		if o := <-outcomes; o.err != nil || o.status != 200 || o.body != "done" {
			t.Fatalf("got %+v", o)
		}
	}
	if n := len(f.startedSoFar()); n != 1 {
		t.Errorf("%d containers were started: want 1", n)
	}
	if s, _ := r.Status(fn); s.State != functions.StateReady || s.Ready != 1 {
		t.Errorf("then it is %+v", s)
	}
}

func TestACallIsNotHeldForLongerThanItsCallerWaits(t *testing.T) {
	f := newFake(t, map[string]http.HandlerFunc{"a:1": ok})
	f.held = make(chan struct{})
	defer close(f.held)
	cfg := quick(f, t.TempDir())
	cfg.Hold = 2 * bound
	r, _ := run(t, cfg)
	fn := function("a:1", resource.Container{})
	use(r, fn)
	begin := time.Now()
	o := post(t, client(), r, fn, HeaderTimeout, "200")
	if took := time.Since(begin); o.status != 503 || o.header.Get("Retry-After") != "1" || took > bound {
		t.Errorf("got %+v after %s", o, took)
	}
	if !strings.Contains(o.body, "thumbs: no container was ready within 150ms: the container is made") {
		t.Errorf("it says %q", o.body)
	}
}

func TestTooManyCallsThatWaitAreSentAway(t *testing.T) {
	f := newFake(t, map[string]http.HandlerFunc{"a:1": ok})
	f.held = make(chan struct{})
	cfg := quick(f, t.TempDir())
	cfg.Queue = 2
	r, _ := run(t, cfg)
	fn := function("a:1", resource.Container{})
	use(r, fn)
	outcomes := make(chan outcome, 2)
	for range 2 {
		go func() { outcomes <- post(t, client(), r, fn) }()
	}
	g := r.find("thumbs")
	await(t, "two calls to wait", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return len(g.waiting) == 2 })
	if o := post(t, client(), r, fn); o.status != 503 || o.header.Get("Retry-After") == "" {
		t.Errorf("the third one got %+v", o)
	}
	close(f.held)
	for range 2 {
		if o := <-outcomes; o.status != 200 {
			t.Errorf("got %+v", o)
		}
	}
}

func TestContainersFollowTheCallsInFlight(t *testing.T) {
	release := make(chan struct{})
	f := newFake(t, map[string]http.HandlerFunc{"a:1": func(w http.ResponseWriter, r *http.Request) { <-release; ok(w, r) }})
	r, _ := run(t, quick(f, t.TempDir()))
	fn := function("a:1", resource.Container{Target: 2, MaxReplicas: 3})
	use(r, fn)
	outcomes := make(chan outcome, 12)
	c := client()
	for range cap(outcomes) {
		go func() { outcomes <- post(t, c, r, fn) }()
	}
	status := func() functions.Status { s, _ := r.Status(fn); return s }
	await(t, "three containers", func() bool { return status().Ready == 3 })
	if n := len(f.startedSoFar()); n != 3 {
		t.Errorf("%d were started: want 3", n)
	}
	close(release)
	for range cap(outcomes) {
		if o := <-outcomes; o.status != 200 {
			t.Errorf("got %+v", o)
		}
	}
	await(t, "one container", func() bool { return len(f.names()) == 1 && status().Ready == 1 })
	if o := post(t, c, r, fn); o.status != 200 {
		t.Errorf("the one that stayed: %+v", o)
	}
}

func TestCallsGoToTheContainerWithTheFewest(t *testing.T) {
	hold := make(chan struct{})
	f := newFake(t, map[string]http.HandlerFunc{"a:1": func(w http.ResponseWriter, r *http.Request) { <-hold; ok(w, r) }})
	r, _ := run(t, quick(f, t.TempDir()))
	fn := function("a:1", resource.Container{MinReplicas: 3})
	use(r, fn)
	await(t, "three containers", func() bool { s, _ := r.Status(fn); return s.Ready == 3 })
	outcomes := make(chan outcome, 9)
	for range cap(outcomes) {
		go func() { outcomes <- post(t, client(), r, fn) }()
	}
	g := r.find("thumbs")
	await(t, "all calls", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return g.calls == 9 })
	close(hold)
	count := map[string]int{}
	for range cap(outcomes) {
		count[(<-outcomes).container]++
	}
	for name, n := range count {
		if n != 3 {
			t.Errorf("%s got %d of 9 calls: want 3", name, n)
		}
	}
}

func TestTheLastContainerEndsWhenNothingComesAndNotBefore(t *testing.T) {
	hold := make(chan struct{})
	f := newFake(t, map[string]http.HandlerFunc{"a:1": func(w http.ResponseWriter, r *http.Request) { <-hold; ok(w, r) }})
	r, _ := run(t, quick(f, t.TempDir()))
	fn := function("a:1", resource.Container{IdleAfter: resource.Duration(30 * time.Millisecond)})
	use(r, fn)
	done := make(chan outcome, 1)
	go func() { done <- post(t, client(), r, fn) }()
	await(t, "the call to be in flight", func() bool { s, _ := r.Status(fn); return s.Ready == 1 })
	g := r.find("thumbs")
	for range 20 { // whenever it is looked at, it is in use
		g.mu.Lock()
		g.lastUse = g.lastUse.Add(-time.Hour)
		g.mu.Unlock()
		g.wake()
	}
	if n := len(f.names()); n != 1 {
		t.Fatalf("%d containers during a call", n)
	}
	close(hold)
	if o := <-done; o.status != 200 {
		t.Errorf("got %+v", o)
	}
	await(t, "no container", func() bool { return len(f.names()) == 0 })
	if o := post(t, client(), r, fn); o.status != 200 {
		t.Errorf("after that: %+v", o)
	}
}

func TestAChangeIsTakenOverWithoutAFailedCall(t *testing.T) {
	version := func(v string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, v) }
	}
	images := map[string]http.HandlerFunc{}
	for i := range 5 {
		images[fmt.Sprintf("a:%d", i)] = version(fmt.Sprint(i))
	}
	f := newFake(t, images)
	r, _ := run(t, quick(f, t.TempDir()))
	fn := function("a:0", resource.Container{MinReplicas: 2})
	use(r, fn)
	var calls atomic.Int64
	var load sync.WaitGroup
	stop := make(chan struct{})
	var newest atomic.Value
	newest.Store("")
	for range 4 {
		load.Go(func() {
			c := client()
			for {
				select {
				case <-stop:
					return
				default:
				}
				o := post(t, c, r, fn)
				if o.err != nil || o.status != 200 {
					t.Errorf("got %+v", o)
					return
				}
				newest.Store(o.body)
				calls.Add(1)
			}
		})
	}
	for i := range 5 {
		use(r, function(fmt.Sprintf("a:%d", i), resource.Container{MinReplicas: 2}))
		await(t, "the new one to answer", func() bool { return newest.Load() == fmt.Sprint(i) || t.Failed() })
		await(t, "the old ones to be gone", func() bool { return len(f.names()) == 2 || t.Failed() })
	}
	close(stop)
	load.Wait()
	t.Logf("%d calls", calls.Load())
}

func TestScalingAloneReplacesNothing(t *testing.T) {
	f := newFake(t, map[string]http.HandlerFunc{"a:1": ok})
	r, _ := run(t, quick(f, t.TempDir()))
	use(r, function("a:1", resource.Container{MinReplicas: 1}))
	await(t, "a container", func() bool { return len(f.startedSoFar()) == 1 })
	fn := function("a:1", resource.Container{MinReplicas: 2, MaxReplicas: 5, Target: 3})
	use(r, fn)
	await(t, "a second one", func() bool { s, _ := r.Status(fn); return s.Ready == 2 })
	if n := len(f.startedSoFar()); n != 2 {
		t.Errorf("%d were started: want 2", n)
	}
}

func TestAChangeThatDoesNotStartLeavesTheOldOne(t *testing.T) {
	f := newFake(t, map[string]http.HandlerFunc{"a:1": ok})
	r, _ := run(t, quick(f, t.TempDir()))
	use(r, function("a:1", resource.Container{MinReplicas: 1}))
	first := post(t, client(), r, function("a:1", resource.Container{}))
	fn := function("none:1", resource.Container{MinReplicas: 1})
	use(r, fn)
	await(t, "the reason", func() bool { s, _ := r.Status(fn); return strings.Contains(s.Reason, "image none:1: not found") })
	if s, _ := r.Status(fn); s.State != functions.StateReady {
		t.Errorf("it is %+v", s)
	}
	if o := post(t, client(), r, fn); o.status != 200 || o.container != first.container {
		t.Errorf("got %+v: want an answer of %s", o, first.container)
	}
}

func TestACrashHarmsItsCallsInFlightOnly(t *testing.T) {
	f := newFake(t, nil)
	var arrived sync.WaitGroup
	arrived.Add(3)
	f.images = map[string]http.HandlerFunc{"a:1": func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Hang") != "" {
			arrived.Done()
			<-r.Context().Done()
			return
		}
		ok(w, r)
	}}
	r, _ := run(t, quick(f, t.TempDir()))
	fn := function("a:1", resource.Container{MemoryMB: 64})
	use(r, fn)
	harmed := make(chan outcome, 3)
	for range 3 {
		go func() { harmed <- post(t, client(), r, fn, "X-Hang", "1") }()
	}
	arrived.Wait()
	f.exit(f.names()[0], engine.Exit{Code: engine.Killed})
	for range 3 {
		o := <-harmed
		if o.status != 502 || !strings.Contains(o.body, "memory (limit 64 MB, exit code 137)") {
			t.Errorf("a call in flight got %+v", o)
		}
	}
	if o := post(t, client(), r, fn); o.status != 200 {
		t.Errorf("the next one got %+v", o)
	}
	if n := len(f.startedSoFar()); n != 2 {
		t.Errorf("%d were started: want 2", n)
	}
}

func TestAFunctionThatEndsAConnectionIsLookedAtAndGoesOn(t *testing.T) {
	f := newFake(t, map[string]http.HandlerFunc{"a:1": func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Panic") != "" {
			panic(http.ErrAbortHandler)
		}
		ok(w, r)
	}})
	r, _ := run(t, quick(f, t.TempDir()))
	fn := function("a:1", resource.Container{})
	use(r, fn)
	c := client()
	for range 3 {
		if o := post(t, c, r, fn, "X-Panic", "1"); o.status != 502 || !strings.Contains(o.body, "without an answer") {
			t.Errorf("got %+v", o)
		}
		if o := post(t, c, r, fn); o.status != 200 {
			t.Errorf("the next one got %+v", o)
		}
	}
	if n := len(f.startedSoFar()); n != 1 {
		t.Errorf("%d were started: want 1", n)
	}
}

func TestAContainerThatDoesNotAnswerSaysWhatItWasAsked(t *testing.T) {
	for health, want := range map[string]string{
		"":         "the container did not answer at its port 8080 within 50ms: ",
		"/healthz": "the container did not answer GET /healthz at its port 8080 within 50ms: GET /healthz answers 500",
	} {
		f := newFake(t, map[string]http.HandlerFunc{"sick:1": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }})
		f.deaf = health == ""
		c := quick(f, t.TempDir())
		c.ReadyTimeout = 50 * time.Millisecond
		r, stop := run(t, c)
		fn := function("sick:1", resource.Container{MinReplicas: 1, Health: health})
		use(r, fn)
		await(t, want, func() bool {
			s, _ := r.Status(fn)
			return s.State == functions.StateFailing && strings.Contains(s.Reason, want)
		})
		stop()
	}
}

func TestAnEngineThatIsAwayIsToldAndTriedAgain(t *testing.T) {
	f := newFake(t, map[string]http.HandlerFunc{"a:1": ok})
	f.away = fmt.Errorf("%w: at unix:///nowhere", engine.ErrUnavailable)
	r, _ := run(t, quick(f, t.TempDir()))
	fn := function("a:1", resource.Container{})
	use(r, fn)
	if o := post(t, client(), r, fn); o.status != 503 || !strings.Contains(o.body, "no container engine answers") {
		t.Errorf("the first call got %+v", o)
	}
	_, err := r.URL(fn)
	if !errors.Is(err, functions.ErrNotReady) || !strings.Contains(err.Error(), "no container engine answers: at unix:///nowhere") {
		t.Errorf("then its URL is %v", err)
	}
	if s, _ := r.Status(fn); s.State != functions.StateFailing || !strings.Contains(s.Reason, "no container engine") {
		t.Errorf("it is %+v", s)
	}
	f.set(func() { f.away = nil })
	await(t, "a URL", func() bool { _, err := r.URL(fn); return err == nil })
	if o := post(t, client(), r, fn); o.status != 200 {
		t.Errorf("when it is back: %+v", o)
	}
}

func TestAContainerGoesOnWhileTheEngineIsAway(t *testing.T) {
	f := newFake(t, map[string]http.HandlerFunc{"a:1": ok})
	r, stop := run(t, quick(f, t.TempDir()))
	fn := function("a:1", resource.Container{})
	use(r, fn)
	first := post(t, client(), r, fn)
	f.set(func() { f.away = engine.ErrUnavailable })
	if o := post(t, client(), r, fn); o.status != 200 || o.container != first.container {
		t.Errorf("got %+v", o)
	}
	f.set(func() { f.away = nil })
	stop()
	if n := f.names(); len(n) != 0 {
		t.Errorf("%v stay", n)
	}
}

func TestStoppingRemovesEveryContainer(t *testing.T) {
	dir := t.TempDir()
	f := newFake(t, map[string]http.HandlerFunc{"a:1": ok})
	r, stop := run(t, quick(f, dir))
	fn := function("a:1", resource.Container{MinReplicas: 3})
	fn.Spec.Mounts = []resource.Mount{{Path: "/etc/app/mode", Value: "fast"}}
	use(r, fn)
	await(t, "three containers", func() bool { s, _ := r.Status(fn); return s.Ready == 3 })
	files, _ := filepath.Glob(filepath.Join(dir, "*", "signalbox-thumbs-*", "0"))
	if len(files) != 3 {
		t.Fatalf("files are %v", files)
	}
	if b, err := os.ReadFile(files[0]); err != nil || string(b) != "fast" {
		t.Errorf("a file holds %q, %v", b, err)
	}
	if info, err := os.Stat(filepath.Dir(files[0])); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its directory: %v, %v", info, err)
	}
	stop()
	if n := f.names(); len(n) != 0 {
		t.Errorf("%v stay", n)
	}
	if files, _ = filepath.Glob(filepath.Join(dir, "*", "signalbox-thumbs-*")); len(files) != 0 {
		t.Errorf("%v stay", files)
	}
}

func TestWhatAKilledProcessLeftIsRemovedAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	f := newFake(t, map[string]http.HandlerFunc{"a:1": ok})
	dead := owner{dir: dir}
	id, err := dead.take()
	if err != nil {
		t.Fatal(err)
	}
	alive := owner{dir: dir}
	aliveID, err := alive.take()
	if err != nil || aliveID == id {
		t.Fatalf("two processes of one directory are %q and %q, %v", id, aliveID, err)
	}
	defer alive.close(false)
	left := map[string]string{"left": id, "neighbour": aliveID, "stranger": "x"}
	for name, owner := range left {
		f.containers[name] = &fakeContainer{spec: engine.Spec{Labels: map[string]string{engine.LabelOwner: owner}}, ended: make(chan struct{})}
	}
	if err := os.MkdirAll(filepath.Join(dir, id, "left"), 0o700); err != nil {
		t.Fatal(err)
	}
	dead.close(false) // as the kernel does
	f.away = engine.ErrUnavailable
	r, stop := run(t, quick(f, dir))
	f.set(func() { f.away = nil })
	r.soil() // as its clock does
	await(t, "what was left to be removed", func() bool { return slices.Equal(f.names(), []string{"neighbour", "stranger"}) })
	await(t, "its files to be removed", func() bool { _, err := os.Stat(filepath.Join(dir, id, "left")); return os.IsNotExist(err) })
	stop()
	if next := (&owner{dir: dir}); !next.used() {
		t.Error("the slot of the neighbour is forgotten")
	}
}

func TestAProcessThatEndsLeavesNothingToLookFor(t *testing.T) {
	dir := t.TempDir()
	f := newFake(t, map[string]http.HandlerFunc{"a:1": ok})
	r, stop := run(t, quick(f, dir))
	fn := function("a:1", resource.Container{})
	use(r, fn)
	post(t, client(), r, fn)
	if o := (&owner{dir: dir}); !o.used() {
		t.Error("a process with containers cannot be found")
	}
	stop()
	if o := (&owner{dir: dir}); o.used() {
		t.Error("the next process asks an engine for nothing")
	}
}

func TestACallEndsWithItsCaller(t *testing.T) {
	arrived, ended := make(chan struct{}), make(chan struct{})
	f := newFake(t, map[string]http.HandlerFunc{"a:1": func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(ended)
	}})
	r, _ := run(t, quick(f, t.TempDir()))
	fn := function("a:1", resource.Container{})
	use(r, fn)
	url, err := r.URL(fn)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", strings.TrimPrefix(strings.TrimSuffix(url, "/thumbs"), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /thumbs HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-arrived // the caller may go before the container has the call, and then it never gets it
	g := r.find("thumbs")
	c.Close()
	<-ended
	await(t, "the call to end", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return g.calls == 0 })
}

func TestADeletedFunctionEndsAfterItsCalls(t *testing.T) {
	hold, arrived := make(chan struct{}), make(chan struct{})
	f := newFake(t, map[string]http.HandlerFunc{"a:1": func(w http.ResponseWriter, r *http.Request) { close(arrived); <-hold; ok(w, r) }})
	r, _ := run(t, quick(f, t.TempDir()))
	fn := function("a:1", resource.Container{})
	use(r, fn)
	done := make(chan outcome, 1)
	go func() { done <- post(t, client(), r, fn) }()
	<-arrived
	r.Reconcile(nil, nil)
	if _, err := r.URL(fn); !errors.Is(err, functions.ErrNotReady) {
		t.Errorf("its URL is %v", err)
	}
	close(hold)
	if o := <-done; o.status != 200 {
		t.Errorf("the call in flight got %+v", o)
	}
	await(t, "no container", func() bool { return len(f.names()) == 0 })
}

func TestTheContainerFindsItsSettingsAndItsLinesAreMasked(t *testing.T) {
	f := newFake(t, map[string]http.HandlerFunc{"a:1": ok})
	cfg := quick(f, t.TempDir())
	secrets := map[string]string{"token": "hush-hush\n"}
	var mu sync.Mutex
	cfg.Secrets = func(name string) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		if v, ok := secrets[name]; ok {
			return []byte(v), nil
		}
		return nil, errors.New("secret " + name + ": no such secret")
	}
	lines := make(chan event.Log, 10)
	cfg.Output = func(l event.Log) { lines <- l }
	r, _ := run(t, cfg)
	fn := function("a:1", resource.Container{Port: 9000})
	fn.Spec.Version = "v2"
	fn.Spec.Env = []resource.EnvVar{{Name: "TOKEN", Secret: "token"}}
	use(r, fn)
	first := post(t, client(), r, fn).container
	if env := f.environ(first); !strings.Contains(env, "PORT=9000\nSIGNALBOX_FUNCTION=thumbs\nSIGNALBOX_FUNCTION_VERSION=v2") || !strings.Contains(env, "TOKEN=hush-hush") {
		t.Errorf("it finds %q", env)
	}
	c, err := f.get(first)
	if err != nil {
		t.Fatal(err)
	}
	c.lines <- "the token is hush-hush"
	if l := <-lines; l.Line != "the token is ***" || l.Function != "thumbs" || l.Version != "v2" || l.Stream != event.StreamStdout || l.Instance == "" {
		t.Errorf("the line is %+v", l)
	}
	mu.Lock()
	secrets["token"] = "other"
	mu.Unlock()
	use(r, fn) // as who sees the change does
	await(t, "a container with the changed secret", func() bool {
		o := post(t, client(), r, fn)
		return o.container != first && strings.Contains(f.environ(o.container), "TOKEN=other")
	})
}

func TestAFunctionWithoutItsSecretSaysSo(t *testing.T) {
	f := newFake(t, map[string]http.HandlerFunc{"a:1": ok})
	r, _ := run(t, quick(f, t.TempDir()))
	fn := function("a:1", resource.Container{})
	fn.Spec.Env = []resource.EnvVar{{Name: "TOKEN", Secret: "token"}}
	use(r, fn)
	await(t, "the reason", func() bool {
		_, err := r.URL(fn)
		return errors.Is(err, functions.ErrNotReady) && strings.Contains(err.Error(), "env TOKEN: secret token")
	})
	fn.Spec.Env = nil
	use(r, fn)
	if o := post(t, client(), r, fn); o.status != 200 {
		t.Errorf("without need of it: %+v", o)
	}
}

func TestTheTargetOfARequestIsSplit(t *testing.T) {
	for target, want := range map[string][2]string{
		"/thumbs": {"thumbs", "/"}, "/thumbs/": {"thumbs", "/"}, "/thumbs@v2/a/b?c=d": {"thumbs@v2", "/a/b?c=d"},
		"/thumbs?c=d": {"thumbs", "/?c=d"}, "/thumbs%40v2/x%2Fy": {"thumbs@v2", "/x%2Fy"}, "": {"", "/"}, "/": {"", "/"}, "*": {"*", "/"},
	} {
		key, rest := split([]byte(target))
		if string(key) != want[0] || string(rest) != want[1] {
			t.Errorf("%q is %q and %q: want %q", target, key, rest, want)
		}
	}
}

func TestEveryFaultOfTheConfigurationIsNamed(t *testing.T) {
	_, err := New(Config{})
	for _, field := range []string{"Engine", "Dir", "Log", "Now", "Hold", "Queue", "StopGrace", "Settle"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named: %v", field, err)
		}
	}
}

func TestASweepLeavesWhatSomebodyLooksAfter(t *testing.T) {
	f := newFake(t, map[string]http.HandlerFunc{"a:1": ok})
	r, _ := run(t, quick(f, t.TempDir()))
	fn := function("a:1", resource.Container{})
	fn.Spec.Mounts = []resource.Mount{{Path: "/etc/app/mode", Value: "fast"}}
	use(r, fn)
	first := post(t, client(), r, fn).container
	if err := r.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if names := f.names(); !slices.Equal(names, []string{first}) {
		t.Errorf("containers are %v: want %s", names, first)
	}
	if _, err := os.Stat(filepath.Join(r.owner.files(r.owner.id), first, "0")); err != nil {
		t.Error(err)
	}
}

func FuzzSplit(f *testing.F) {
	for _, target := range []string{"/thumbs@v2/a?b", "", "%zz/", "?", "//"} {
		f.Add([]byte(target))
	}
	f.Fuzz(func(t *testing.T, target []byte) {
		if _, rest := split(target); len(rest) == 0 || rest[0] != '/' {
			t.Errorf("%q leaves %q: want a path", target, rest)
		}
	})
}
