//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/e2e/freeport"
	"github.com/signalbox-dev/signalbox/resource"
)

// bound is how long a test waits for anything before it fails.
const bound = 90 * time.Second

// binary is the built program under test.
func binary(t testing.TB) string {
	t.Helper()
	b := os.Getenv("SIGNALBOX_BIN")
	if b == "" {
		t.Fatal("SIGNALBOX_BIN is not set: run `make e2e`")
	}
	return b
}

// server is a running signalbox.
type server struct {
	t testing.TB
	// program is the binary, or a command that runs it, with environ beside the test's own.
	program []string
	environ []string
	args    []string
	addr    string
	cmd     *exec.Cmd
	out     *output
	done    chan error
	*client.Client
}

// output collects what a process prints; it is safe for concurrent use.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// tail is the end of it.
func (o *output) tail(n int) string {
	s := o.String()
	return s[max(0, len(s)-n):]
}

// start runs the binary with the arguments and --http on a free port, and
// waits until it is ready. It is stopped when the test ends.
func start(t testing.TB, args ...string) *server {
	t.Helper()
	return startProgram(t, nil, []string{binary(t)}, args)
}

// startProgram is start of another way to run the binary.
func startProgram(t testing.TB, environ, program, args []string) *server {
	t.Helper()
	s := &server{t: t, addr: freeAddr(t), program: program, environ: environ}
	s.args = append(args, "--http", s.addr)
	var err error
	if s.Client, err = client.New("http://" + s.addr); err != nil {
		t.Fatal(err)
	}
	s.launch()
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			s.stop()
		}
		if t.Failed() {
			t.Logf("what %s said at last:\n%s", s.addr, s.out.tail(8_000))
		}
	})
	s.awaitReady()
	return s
}

// launch starts the process without waiting for it to be ready.
func (s *server) launch() {
	s.t.Helper()
	s.out = &output{}
	command := slices.Concat(s.program, s.args)
	s.cmd = exec.Command(command[0], command[1:]...)
	s.cmd.Env = append(os.Environ(), s.environ...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done, cmd := make(chan error, 1), s.cmd
	go func() { done <- cmd.Wait() }()
	s.done = done
}

func (s *server) awaitReady() {
	s.t.Helper()
	await(s.t, "the server to be ready", func() error { return s.Ready(s.t.Context()) })
}

// stop ends the process in an orderly way and fails the test unless it exits 0.
func (s *server) stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // already gone: the exit code says so
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Errorf("signalbox ended with %v:\n%s", err, s.out)
		}
	case <-time.After(bound):
		_ = s.cmd.Process.Kill()
		s.t.Errorf("signalbox did not stop within %s:\n%s", bound, s.out)
	}
}

// kill ends the process at once.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// apply writes manifests and fails the test when they are refused. On a machine that
// has far too much to do, Redis may not answer in time: it comes again, as it is told to.
func (s *server) apply(manifests string) { s.t.Helper(); s.applyTo(manifests) }

// applyTo is apply, and waits until others of the same system work by it too: they are told,
// and events that are sent at once may come to them before.
func (s *server) applyTo(manifests string, others ...*server) {
	s.t.Helper()
	objects, err := resource.Decode("test", []byte(manifests))
	if err != nil {
		s.t.Fatalf("%v\n%s", err, manifests)
	}
	revision := uint64(0)
	await(s.t, "manifests to be taken", func() error {
		stored, err := s.Apply(s.t.Context(), objects, false)
		for _, o := range stored {
			revision = max(revision, o.Metadata.Revision)
		}
		if p, ok := errors.AsType[*client.Problem](err); err != nil && (!ok || p.Status != http.StatusServiceUnavailable) {
			s.t.Fatalf("apply: %v\n%s", err, manifests)
		}
		return err
	})
	for _, other := range others {
		await(s.t, "another process to work by the manifests", func() error {
			return other.metricAtLeast("signalbox_resources_revision", float64(revision))
		})
	}
}

// post sends a request to the server and returns the status and the body.
func (s *server) post(path string, header map[string]string, body string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}

// await polls until what succeeds, and fails the test after the bound.
func await(t testing.TB, for_ string, what func() error) {
	t.Helper()
	awaitFor(t, bound, for_, what)
}

// awaitFor is await for what takes longer by design.
func awaitFor(t testing.TB, bound time.Duration, for_ string, what func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := what()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %s for %s: %v", bound, for_, err)
		}
	}
}

// freeAddr is an address that nobody listens at, as package freeport says.
func freeAddr(t testing.TB) string {
	t.Helper()
	addr, err := freeport.Addr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// unique makes a name that no other test run uses.
func unique(t testing.TB) string {
	return "t" + strconv.FormatInt(time.Now().UnixNano(), 36)
}

// repoRoot is the directory of go.mod.
func repoRoot(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// function is the manifest of a function by URL.
func functionManifest(name, url string, types ...string) string {
	return fmt.Sprintf("---\napiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: %s}\nspec: {url: %q, on: [%s]}\n", name, url, strings.Join(types, ", "))
}
