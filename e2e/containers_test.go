//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	moby "github.com/moby/moby/client"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/e2e/parts"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// containedImage is an image of the program in contained, made without an engine.
var containedImage = sync.OnceValues(func() (v1.Image, error) {
	dir, err := os.MkdirTemp("", "contained")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, "fn"), "./contained")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "fn"))
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "fn", Mode: 0o755, Size: int64(len(program))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = runtime.GOOS, runtime.GOARCH
	config.Config = v1.Config{User: "65532:65532", Entrypoint: []string{"/fn"}}
	return mutate.ConfigFile(image, config)
})

// engine is a container engine of the parts with the image in it.
type engine struct {
	t      *testing.T
	socket string
	image  string
	*moby.Client
}

// loaded gives the engine at socket the image, which is removed when the test ends.
func loaded(t *testing.T, socket string) *engine {
	t.Helper()
	image, err := containedImage()
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{t: t, socket: socket, image: "localhost/contained:" + unique(t)}
	if e.Client, err = moby.New(moby.WithHost("unix://" + socket)); err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(e.image)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := tarball.Write(ref, image, &archive); err != nil {
		t.Fatal(err)
	}
	answer, err := e.ImageLoad(t.Context(), &archive)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	if _, err := said.ReadFrom(answer); err != nil {
		t.Fatal(err)
	}
	answer.Close()
	t.Cleanup(func() {
		if _, err := e.ImageRemove(context.Background(), e.image, moby.ImageRemoveOptions{Force: true}); err != nil {
			t.Errorf("%v; loading it said %s", err, said.String())
		}
	})
	return e
}

// onPodman is podman with the image, and the arguments of a server that uses it.
func onPodman(t *testing.T) (*engine, []string) {
	e := loaded(t, parts.Up(t, "podman-api").PodmanSocket())
	return e, append(embeddedArgs(t), "--docker-host", "unix://"+e.socket)
}

// containers are those of a function, by their ids.
func (e *engine) containers(function string) []string {
	e.t.Helper()
	r, err := e.ContainerList(context.Background(), moby.ContainerListOptions{All: true, Filters: moby.Filters{}.Add("label", "signalbox.dev/function="+function)})
	if err != nil {
		e.t.Fatal(err)
	}
	var ids []string
	for _, c := range r.Items {
		ids = append(ids, c.ID)
	}
	slices.Sort(ids)
	return ids
}

// contained is the manifest of the function with an image, and its link.
func contained(name, image, container, more string) string {
	return fmt.Sprintf(`---
apiVersion: signalbox.dev/v1
kind: Function
metadata: {name: %[1]s}
spec:
  image: %[2]s
  container: {memoryMB: 32, health: /healthz%[3]s}
%[4]s
---
apiVersion: signalbox.dev/v1
kind: Link
metadata: {name: to-%[1]s}
spec: {function: %[1]s, types: [com.example.%[1]s], delivery: {attempts: 2, backoff: {initial: 10ms, max: 50ms}, timeout: 30s}}
`, name, image, container, more)
}

// found is what the function answers with.
type found struct {
	Of, Host, Path, File, Written string
	UID                           int
	Env                           []string
}

// atOnce reports the fault of runs that are not all delivered at the first attempt.
func (s *server) atOnce(function string, n int) error {
	runs, err := s.Runs(s.t.Context(), client.Query{Function: function, Since: time.Now().Add(-time.Hour)})
	if err != nil {
		return err
	}
	done := map[string]bool{}
	for _, r := range runs {
		switch {
		case r.Outcome == event.Delivered && r.Attempt != 1, r.Outcome != event.Delivered && r.Outcome != event.Waiting:
			s.t.Fatalf("a run is %+v: want it delivered at the first attempt", r)
		case r.Outcome == event.Delivered && done[r.EventID]:
			s.t.Fatalf("event %s was delivered twice", r.EventID)
		case r.Outcome == event.Delivered:
			done[r.EventID] = true
		}
	}
	if len(done) < n {
		return fmt.Errorf("%d of %d delivered", len(done), n)
	}
	return nil
}

func TestAFunctionInAContainerAnswersAndHasNoRights(t *testing.T) {
	e, args := onPodman(t)
	dir := writeFiles(t, map[string]string{"token": "hush-hush"})
	s := start(t, append(args, "--secrets-dir", dir)...)
	sink := newRecorder(t, nil)
	fn := unique(t)
	s.apply(functionManifest("sink", sink.URL, "com.example."+fn+".done") + contained(fn, e.image, "", `  config: {width: 200}
  env: [{name: LEVEL, value: debug}]
  mounts: [{path: /etc/app/token, secret: token}]`))
	if n := e.containers(fn); len(n) != 0 {
		t.Errorf("%d containers run before the first event", len(n))
	}
	s.emitID("1", "com.example."+fn, `{"read": "/etc/app/token", "write": "/etc/x"}`)
	var got found
	if err := json.Unmarshal([]byte(sink.awaitCalls(t, 1)[0].body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Of != "1" || got.UID != 65532 || got.File != "hush-hushok" || !strings.Contains(got.Written, "read-only") {
		t.Errorf("the function found %+v", got)
	}
	for _, want := range []string{"PORT=8080", "SIGNALBOX_FUNCTION=" + fn, `SIGNALBOX_CONFIG={"width":200}`, "LEVEL=debug"} {
		if !slices.Contains(got.Env, want) {
			t.Errorf("its environment lacks %s: %v", want, got.Env)
		}
	}
	if status, body := s.post("/function/"+fn+"/a?b=c", nil, "{}"); status != 200 || !strings.Contains(body, `"path":"/a?b=c"`) {
		t.Errorf("a direct call got %d %s", status, body)
	}
	await(t, "its lines", func() error { return s.printed("got 1") })
	s.stands(fn, "ready", "")
	s.apply(fmt.Sprintf("---\napiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: %s}\nspec: {image: %q}\n", fn, e.image+"-none"))
	s.stop()
	if n := e.containers(fn); len(n) != 0 {
		t.Errorf("%d containers stay", len(n))
	}
}

// stands awaits that the API says so of a function.
func (s *server) stands(fn, state, reason string) {
	s.t.Helper()
	k, err := resource.LookupKind(resource.KindFunction)
	if err != nil {
		s.t.Fatal(err)
	}
	await(s.t, fn+" to be "+state, func() error {
		o, err := s.Get(s.t.Context(), k, fn)
		if err != nil {
			return err
		}
		var status resource.FunctionStatus
		if err := json.Unmarshal(o.Status, &status); err != nil {
			return err
		}
		if status.State != state || !strings.Contains(status.Reason, reason) {
			return fmt.Errorf("its status is %s", o.Status)
		}
		return nil
	})
}

func TestAContainerThatRunsOutOfMemoryHarmsItsOwnDelivery(t *testing.T) {
	e, args := onPodman(t)
	s := start(t, args...)
	fn := unique(t)
	s.apply(contained(fn, e.image, "", ""))
	s.emitID("1", "com.example."+fn, `{}`)
	await(t, "the one before it", func() error { return s.atOnce(fn, 1) }) // in the same container it would be harmed
	s.emitID("glutton", "com.example."+fn, `{"eat": 200}`)
	await(t, "the dead letter", func() error {
		letters, err := s.DeadLetters(t.Context(), client.Query{Function: fn, Since: time.Now().Add(-time.Hour)})
		if err != nil || len(letters) == 0 {
			return fmt.Errorf("none yet: %v", err)
		}
		if l := string(letters[0]); !strings.Contains(l, "memory (limit 32 MB, exit code 137)") || !strings.Contains(l, `"glutton"`) {
			t.Fatalf("the dead letter is %s", l)
		}
		return nil
	})
	s.emitID("2", "com.example."+fn, `{}`)
	await(t, "the one after it", func() error {
		runs, err := s.Runs(t.Context(), client.Query{Function: fn, ID: "2", Since: time.Now().Add(-time.Hour)})
		if err == nil && (len(runs) == 0 || runs[len(runs)-1].Outcome != event.Delivered) {
			err = fmt.Errorf("runs are %+v", runs)
		}
		return err
	})
	for series, n := range map[string]float64{
		`signalbox_container_failures_total{cause="killed",function="` + fn + `"}`: 2, // each attempt of the glutton
		`signalbox_container_start_duration_seconds_count{function="` + fn + `"}`:  3,
		`signalbox_containers{function="` + fn + `",state="ready"}`:                1,
		`signalbox_container_calls_waiting{function="` + fn + `"}`:                 0,
	} {
		await(t, series, func() error { return s.metricAtLeast(series, n) })
	}
}

// pour emits n events at so many a second.
func (s *server) pour(fn string, from, n, rate int) {
	s.t.Helper()
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	var posts sync.WaitGroup
	for i := range n {
		<-tick.C
		posts.Go(func() {
			header := binaryHeader(fmt.Sprint(from+i), "com.example."+fn)
			if status, body := s.post("/events", header, `{"sleepMS": 20}`); status != http.StatusAccepted {
				s.t.Errorf("event %d: %d %s", from+i, status, body)
			}
		})
	}
	posts.Wait()
}

func TestLoadOnAFunctionAtZeroLosesNothingAndSpendsNoAttempt(t *testing.T) {
	e, args := onPodman(t)
	s := start(t, args...)
	fn := unique(t)
	s.apply(contained(fn, e.image, ", target: 8, maxReplicas: 3", `  env: [{name: START_DELAY, value: 1s}]`))
	s.pour(fn, 0, 600, 200)
	await(t, "all events to be delivered", func() error { return s.atOnce(fn, 600) })
	if n := len(e.containers(fn)); n < 2 {
		t.Errorf("%d containers: want more with so many calls at a time", n)
	}
}

func TestAFunctionThatStartsForLongerThanItsTimeoutSpendsNoAttempt(t *testing.T) {
	e, args := onPodman(t)
	s := start(t, args...)
	fn := unique(t)
	s.apply(strings.Replace(contained(fn, e.image, "", `  env: [{name: START_DELAY, value: 6s}]`), "attempts: 2, backoff: {initial: 10ms, max: 50ms}, timeout: 30s", "attempts: 1, timeout: 5s", 1))
	s.emitID("1", "com.example."+fn, `{}`)
	await(t, "the delivery", func() error {
		runs, err := s.Runs(t.Context(), client.Query{Function: fn, Since: time.Now().Add(-time.Hour)})
		if err != nil {
			return err
		}
		for _, r := range runs {
			switch r.Outcome {
			case event.Delivered:
				return nil
			case event.Dead:
				t.Fatalf("it is dead: %+v", r)
			}
		}
		return fmt.Errorf("runs are %+v", runs)
	})
}

func TestAChangeUnderLoadFailsNoDelivery(t *testing.T) {
	e, args := onPodman(t)
	s := start(t, args...)
	fn := unique(t)
	version := func(n int) string {
		return contained(fn, e.image, ", maxReplicas: 2", fmt.Sprintf("  config: {release: %d}", n))
	}
	s.apply(version(0))
	poured := make(chan struct{})
	go func() {
		defer close(poured)
		s.pour(fn, 0, 500, 100)
	}()
	var seen []string
	for n := range 3 {
		await(t, "other containers to serve alone", func() error {
			now := e.containers(fn)
			if len(now) == 0 || slices.ContainsFunc(now, func(id string) bool { return slices.Contains(seen, id) }) {
				return fmt.Errorf("there are %v, before that %v", now, seen)
			}
			seen = now
			return nil
		})
		s.apply(version(n + 1))
	}
	<-poured
	await(t, "all events to be delivered", func() error { return s.atOnce(fn, 500) })
}

func TestAKilledProcessLeavesNoContainerForEver(t *testing.T) {
	e, args := onPodman(t)
	s := start(t, args...)
	neighbour := start(t, append(embeddedArgs(t), "--docker-host", "unix://"+e.socket)...)
	fn, other := unique(t), unique(t)+"n"
	s.apply(contained(fn, e.image, ", minReplicas: 2", ""))
	neighbour.apply(contained(other, e.image, ", minReplicas: 1", ""))
	running := func(fn string, n int) func() error {
		return func() error {
			if got := e.containers(fn); len(got) != n {
				return fmt.Errorf("%d of %s run: want %d", len(got), fn, n)
			}
			return nil
		}
	}
	await(t, "two containers", running(fn, 2))
	await(t, "the neighbour's", running(other, 1))
	before, others := e.containers(fn), e.containers(other)
	s.kill()
	s.launch()
	s.awaitReady()
	await(t, "the containers that were left to be gone, and new ones", func() error {
		now := e.containers(fn)
		if len(now) != 2 || slices.Contains(now, before[0]) || slices.Contains(now, before[1]) {
			return fmt.Errorf("there are %v, before that %v", now, before)
		}
		return nil
	})
	s.emitID("1", "com.example."+fn, `{}`)
	await(t, "a delivery", func() error { return s.atOnce(fn, 1) })
	if now := e.containers(other); !slices.Equal(now, others) {
		t.Errorf("the neighbour's are %v, and were %v", now, others)
	}
	s.stop()
	neighbour.stop()
	if n := append(e.containers(fn), e.containers(other)...); len(n) != 0 {
		t.Errorf("%d containers stay", len(n))
	}
}

func TestContainersOnDocker(t *testing.T) {
	socket := parts.Up(t, "dockerd").DockerSocket()
	image, err := containedImage()
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer r.Close()
	where := strings.TrimPrefix(r.URL, "http://") + "/contained:" + unique(t)
	ref, err := name.ParseReference(where)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	e := &engine{t: t, socket: socket, image: where}
	if e.Client, err = moby.New(moby.WithHost("unix://" + socket)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := e.ImageRemove(context.Background(), where, moby.ImageRemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	})
	s := start(t, append(embeddedArgs(t), "--docker-host", "unix://"+socket)...)
	fn := unique(t)
	s.apply(contained(fn, where, "", ""))
	s.pour(fn, 0, 100, 100)
	await(t, "all events to be delivered", func() error { return s.atOnce(fn, 100) })
	s.emitID("glutton", "com.example."+fn, `{"eat": 200}`)
	await(t, "the reason", func() error { return s.printed("the container ran out of memory (limit 32 MB, exit code 137)") })
	s.stop()
	if n := e.containers(fn); len(n) != 0 {
		t.Errorf("%d containers stay", len(n))
	}
}

func TestWithoutAContainerEngineTheReasonIsTold(t *testing.T) {
	s := start(t, append(embeddedArgs(t), "--docker-host", "unix:///nowhere/engine.sock")...)
	other := newRecorder(t, nil)
	s.apply(contained("lonely", "localhost/none:1", "", "") + functionManifest("other", other.URL, "com.example.lonely"))
	s.emitID("1", "com.example.lonely", `{}`)
	other.awaitCalls(t, 1)
	await(t, "the reason", func() error {
		status, body := s.post("/function/lonely", nil, "{}")
		if status != http.StatusServiceUnavailable || !strings.Contains(body, "no container engine answers") {
			return fmt.Errorf("a direct call got %d %s", status, body)
		}
		return nil
	})
	s.stands("lonely", "failing", "no container engine answers")
}

// gate is a socket that passes on to an engine's, while it is open.
type gate struct {
	path, to string
	mu       sync.Mutex
	ln       net.Listener
	conns    []net.Conn
}

func newGate(t *testing.T, to string) *gate {
	dir, err := os.MkdirTemp("", "gate") // a socket's name must be short
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{path: filepath.Join(dir, "s"), to: to}
	g.open(t)
	t.Cleanup(func() {
		g.shut()
		os.RemoveAll(dir)
	})
	return g
}

func (g *gate) open(t *testing.T) {
	ln, err := net.Listen("unix", g.path)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	g.ln = ln
	g.mu.Unlock()
	go func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", g.to)
			if err != nil {
				from.Close()
				continue
			}
			g.mu.Lock()
			g.conns = append(g.conns, from, to)
			g.mu.Unlock()
			go func() { _, _ = io.Copy(to, from); to.Close() }()
			go func() { _, _ = io.Copy(from, to); from.Close() }()
		}
	}()
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ln.Close()
	for _, c := range g.conns {
		c.Close()
	}
	g.conns = nil
}

func TestContainersGoOnWhileTheirEngineIsAway(t *testing.T) {
	e := loaded(t, parts.Up(t, "podman-api").PodmanSocket())
	g := newGate(t, e.socket)
	s := start(t, append(embeddedArgs(t), "--docker-host", "unix://"+g.path)...)
	fn := unique(t)
	s.apply(contained(fn, e.image, "", ""))
	s.pour(fn, 0, 10, 100)
	await(t, "ten deliveries", func() error { return s.atOnce(fn, 10) })
	before := e.containers(fn)
	g.shut()
	s.pour(fn, 10, 200, 200)
	await(t, "deliveries without an engine", func() error { return s.atOnce(fn, 210) })
	g.open(t)
	s.pour(fn, 210, 10, 100)
	await(t, "deliveries after it", func() error { return s.atOnce(fn, 220) })
	if now := e.containers(fn); !slices.Equal(now, before) {
		t.Errorf("containers are %v, and were %v", now, before)
	}
	s.emitID("glutton", "com.example."+fn, `{"eat": 200}`)
	await(t, "its end to be seen", func() error { return s.printed("memory (limit 32 MB, exit code 137)") })
	s.stop()
	if n := e.containers(fn); len(n) != 0 {
		t.Errorf("%d containers stay", len(n))
	}
}

func TestTwoDispatchersShareAnEngineAndOneMayBeKilled(t *testing.T) {
	e := loaded(t, parts.Up(t, "podman-api").PodmanSocket())
	args := append(realArgs(t), "--docker-host", "unix://"+e.socket)
	other := slices.Clone(args)
	other[slices.Index(other, "--data")+1] = t.TempDir()
	a, b := start(t, args...), start(t, other...)
	fn, sink := unique(t), newRecorder(t, nil)
	a.apply(functionManifest("sink", sink.URL, "com.example."+fn+".done") + contained(fn, e.image, ", minReplicas: 1", ""))
	await(t, "a container of each", func() error {
		if n := len(e.containers(fn)); n != 2 {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	a.pour(fn, 0, 100, 100)
	a.kill()
	b.pour(fn, 100, 200, 100)
	await(t, "all events to be answered", func() error { // the last run records of the dead may be lost, answers not
		done := map[string]bool{}
		for _, c := range sink.all() {
			var got found
			if err := json.Unmarshal([]byte(c.body), &got); err != nil {
				t.Fatal(err)
			}
			done[got.Of] = true
		}
		if len(done) != 300 {
			return fmt.Errorf("%d of 300", len(done))
		}
		return nil
	})
	if n := len(e.containers(fn)); n != 2 {
		t.Errorf("there are %d containers after the kill: want that of the living and that of the dead", n)
	}
	b.stop()
	left := e.containers(fn)
	if len(left) != 1 {
		t.Fatalf("%v stay: want that of the dead", left)
	}
	a.launch()
	a.awaitReady()
	await(t, "what the dead one left to be gone", func() error {
		if now := e.containers(fn); len(now) != 1 || now[0] == left[0] {
			return fmt.Errorf("there are %v, before that %v", now, left)
		}
		return nil
	})
}

// Whoever may use the engine may kill a container: what it worked on is tried again, and the next ones wait for another.
func TestAContainerThatSomebodyKillsIsReplaced(t *testing.T) {
	e, args := onPodman(t)
	s := start(t, args...)
	fn := unique(t)
	s.apply(contained(fn, e.image, "", ""))
	s.emitID("first", "com.example."+fn, `{}`)
	await(t, "the first delivery", func() error { return s.atOnce(fn, 1) })
	s.emitID("long", "com.example."+fn, `{"sleepOnceMS": 20000}`)
	await(t, "the long one to be under way", func() error { return s.printed("got long") })
	before := e.containers(fn)
	if _, err := e.ContainerKill(t.Context(), before[0], moby.ContainerKillOptions{Signal: "KILL"}); err != nil {
		t.Fatal(err)
	}
	s.pour(fn, 0, 50, 100)
	await(t, "all to be delivered, the others at their first attempt", func() error {
		runs, err := s.Runs(t.Context(), client.Query{Function: fn, Since: time.Now().Add(-time.Hour)})
		done := 0
		for _, r := range runs {
			switch {
			case r.EventID != "long" && (r.Attempt > 1 || r.Outcome == event.Retrying || r.Outcome == event.Dead):
				t.Fatalf("a run is %+v: want it delivered at the first attempt", r)
			case r.Outcome == event.Delivered:
				done++
			}
		}
		if err == nil && done < 52 {
			err = fmt.Errorf("%d of 52 delivered", done)
		}
		return err
	})
	await(t, "the reason", func() error {
		return s.printed("the container was killed, by somebody or since it ran out of memory")
	})
	await(t, "another container alone", func() error {
		if now := e.containers(fn); len(now) != 1 || now[0] == before[0] {
			return fmt.Errorf("there are %v, before that %v", now, before)
		}
		return nil
	})
}
