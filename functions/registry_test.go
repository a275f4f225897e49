//go:build unix

package functions

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// fixture is a running Registry.
type fixture struct {
	*Registry
	t *testing.T
	// lines are what programs wrote: "function stream line".
	lines chan string
}

// run starts a Registry, and stops it at the test's end.
func run(t *testing.T, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, lines: make(chan string, 1000)}
	c := DefaultConfig()
	c.Environ = append(os.Environ(), "OWN=yes", "SIGNALBOX_REDIS=redis://:hunter2@x")
	c.RestartInitial, c.RestartMax = time.Millisecond, 20*time.Millisecond
	c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	c.Output = func(l event.Log) { f.lines <- (id{l.Function, l.Version}).String() + " " + l.Stream + " " + l.Line }
	if change != nil {
		change(&c)
	}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	f.Registry = r
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
	return f
}

func (f *fixture) reconcile(fns ...*resource.Function) {
	f.t.Helper()
	if err := f.Reconcile(f.t.Context(), resource.Set{Functions: fns}); err != nil {
		f.t.Fatal(err)
	}
}

// until waits until the state of a function is as wanted.
func (f *fixture) until(name string, want func(url string, err error) bool) (string, error) {
	f.t.Helper()
	fn := command(name, "any") // its command is what was reconciled
	deadline := time.After(20 * time.Second)
	for {
		f.mu.Lock()
		changed := f.changed
		f.mu.Unlock()
		url, err := f.URL(fn)
		if want(url, err) {
			return url, err
		}
		select {
		case <-changed:
		case <-deadline:
			f.t.Fatalf("function %s is at %q, %v", name, url, err)
		}
	}
}

func (f *fixture) ready(name string) string {
	f.t.Helper()
	url, _ := f.until(name, func(_ string, err error) bool { return err == nil })
	return url
}

func (f *fixture) get(url string) string {
	f.t.Helper()
	text, err := ask(url)
	if err != nil {
		f.t.Fatal(err)
	}
	return text
}

// ask returns what a program answers.
func ask(url string) (string, error) {
	resp, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// line waits for a line that begins with prefix and returns the rest.
func (f *fixture) line(prefix string) string {
	f.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case l := <-f.lines:
			if rest, ok := strings.CutPrefix(l, prefix); ok {
				return rest
			}
		case <-deadline:
			f.t.Fatalf("no line %q", prefix)
		}
	}
}

func TestFunctionWithURLIsThere(t *testing.T) {
	f := run(t, nil)
	fn := &resource.Function{Spec: resource.FunctionSpec{URL: "http://x.example/in?a=b"}}
	if url, err := f.URL(fn); url != "http://x.example/in?a=b" || err != nil {
		t.Errorf("got %q, %v", url, err)
	}
}

func TestUnknownCommandIsNotReady(t *testing.T) {
	f := run(t, nil)
	if _, err := f.URL(command("x", "x")); !errors.Is(err, ErrNotReady) {
		t.Errorf("got %v", err)
	}
}

func TestCommandGetsItsEnvironmentAndItsLinesAreSeen(t *testing.T) {
	f := run(t, nil)
	fn := command("thumbs", as("serve")...)
	fn.Spec.Dir = t.TempDir()
	fn.Spec.Config = map[string]json.RawMessage{"width": json.RawMessage("200")}
	f.reconcile(fn)
	url, err := f.WaitReady(t.Context(), "thumbs", "")
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(f.get(url+"env")), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"function": "thumbs", "config": `{"width":200}`, "secret": "", "own": "yes", "dir": fn.Spec.Dir}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %q, want %q", k, got[k], v)
		}
	}
	if pid := f.line("thumbs stdout pid "); pid != f.get(url+"pid") {
		t.Errorf("pid %s is not the server's", pid)
	}
	f.reconcile()
	f.line("thumbs stderr a line without an end")
}

func TestProgramThatEndsIsStartedAgain(t *testing.T) {
	f := run(t, nil)
	f.reconcile(command("a", as("serve")...))
	url := f.ready("a")
	first := f.line("a stdout pid ")
	if resp, err := http.Get(url + "exit"); err == nil {
		resp.Body.Close()
	}
	second := f.line("a stdout pid ")
	if first == second {
		t.Fatal("it is the same process")
	}
	url, _ = f.until("a", func(u string, err error) bool { return err == nil && u != url })
	if got := f.get(url + "pid"); got != second {
		t.Errorf("pid %s answers, want %s", got, second)
	}
}

func TestWhyAProgramDoesNotRunIsSaid(t *testing.T) {
	patient := DefaultConfig().ReadyTimeout // where the program must get as far as to end
	tests := []struct {
		name  string
		fn    *resource.Function
		ready time.Duration
		want  string
	}{
		{"it ends at once", command("f", as("crash")...), patient, "exit status 3"},
		{"it does not listen", command("f", as("deaf")...), 300 * time.Millisecond, "accepted no connection in time"},
		{"there is no such program", command("f", "no-such-program-here"), patient, `"no-such-program-here": executable file not found`},
		{"there is no such directory", &resource.Function{
			Metadata: resource.Metadata{Name: "f"},
			Spec:     resource.FunctionSpec{Command: as("serve"), Dir: "/no/such/directory"},
		}, patient, "no such file or directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := run(t, func(c *Config) { c.ReadyTimeout = test.ready })
			f.reconcile(test.fn)
			_, err := f.until("f", func(_ string, err error) bool {
				return err != nil && strings.Contains(err.Error(), test.want)
			})
			if !errors.Is(err, ErrNotReady) {
				t.Errorf("got %v, want ErrNotReady", err)
			}
		})
	}
}

func TestChangedProgramTakesOverOnceItIsReady(t *testing.T) {
	f := run(t, func(c *Config) {
		c.RestartInitial, c.RestartMax, c.Linger = time.Hour, time.Hour, 100*time.Millisecond
	})
	address, accept := listen(t)
	f.reconcile(command("a", as("family", address)...))
	one, two := accept(), accept()
	old := f.ready("a")
	oldPID := f.get(old + "pid")
	f.reconcile(command("a", as("family", address)...), command("b", as("serve")...))
	f.ready("b")
	f.mu.Lock()
	programs := len(f.ports)
	f.mu.Unlock()
	if f.get(f.ready("a")+"pid") != oldPID || programs != 2 {
		t.Errorf("%d programs: one that did not change was started again", programs)
	}
	f.reconcile(command("a", as("crash")...))
	f.line("a stdout crashing")
	if got := f.ready("a"); got != old || f.get(got+"pid") != oldPID {
		t.Error("the old program does not serve while the new one fails")
	}
	f.reconcile(command("a", as("serve", "v2")...))
	url, _ := f.until("a", func(u string, err error) bool { return err == nil && u != old })
	if f.get(url+"pid") == oldPID {
		t.Error("the old program answers")
	}
	gone(t, one)
	gone(t, two)
}

// listen accepts connections of programs, which tell by breaking that their
// process is gone.
func listen(t *testing.T) (address string, accept func() net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String(), func() net.Conn {
		t.Helper()
		if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
}

// gone waits until the process at the other end is.
func gone(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err := c.Read(make([]byte, 1))
	var timeout net.Error
	if err == nil || (errors.As(err, &timeout) && timeout.Timeout()) {
		t.Errorf("the process lives on: %v", err)
	}
}

func TestRemovedFunctionEndsWithAllItStarted(t *testing.T) {
	f := run(t, func(c *Config) { c.StopGrace = 100 * time.Millisecond })
	address, accept := listen(t)
	f.reconcile(command("a", as("family", address)...))
	one, two := accept(), accept()
	f.ready("a")
	f.reconcile()
	gone(t, one)
	gone(t, two)
	if _, err := f.URL(command("a", "any")); !errors.Is(err, ErrNotReady) {
		t.Errorf("after its removal: %v", err)
	}
}

func TestProgramThatIgnoresSIGTERMIsKilledAtTheEnd(t *testing.T) {
	var pid string
	t.Run("run", func(t *testing.T) {
		f := run(t, func(c *Config) { c.StopGrace = 50 * time.Millisecond })
		f.reconcile(command("a", as("stubborn")...))
		pid = f.get(f.ready("a") + "pid")
		if !alive(pid) {
			t.Fatal("the program does not run")
		}
	})
	if alive(pid) {
		t.Error("the program lives on after Run returned")
	}
}

func TestKilledOwnerLeavesNoProgramBehind(t *testing.T) {
	address, accept := listen(t)
	mounts := t.TempDir()
	args := as("owner", address, mounts)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	one, two := accept(), accept()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the owner said %q, %v", line, err)
	}
	if left, err := os.ReadDir(mounts); err != nil || len(left) != 1 {
		t.Fatalf("mounts: %v %v", left, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	gone(t, one)
	gone(t, two)
	for { // the guard removes them after it has killed what was left
		if left, err := os.ReadDir(mounts); err != nil {
			t.Fatal(err)
		} else if len(left) == 0 {
			break
		}
		runtime.Gosched()
	}
}

func TestReconcileAfterRunFails(t *testing.T) {
	r, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if err := r.Run(ended); err != nil {
		t.Fatal(err)
	}
	if err := r.Reconcile(t.Context(), resource.Set{}); !errors.Is(err, ErrStopped) {
		t.Errorf("got %v", err)
	}
}

func TestWaitReadySaysWhatItWaitedFor(t *testing.T) {
	f := run(t, nil)
	f.reconcile(command("a", as("crash")...))
	f.until("a", func(_ string, err error) bool { return strings.Contains(err.Error(), "exit status 3") })
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := f.WaitReady(ctx, "a", ""); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
}

func TestRestartDelayDoublesUpToItsMaximum(t *testing.T) {
	c := DefaultConfig()
	for failures, want := range map[int]time.Duration{
		1: 200 * time.Millisecond, 2: 400 * time.Millisecond, 5: 3200 * time.Millisecond, 9: 30 * time.Second, 10000: 30 * time.Second,
	} {
		if got := c.restartDelay(failures); got != want {
			t.Errorf("after %d failures: %s, want %s", failures, got, want)
		}
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	_, err := New(Config{RestartInitial: time.Second})
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"ReadyTimeout", "StopGrace", "RestartMax", "StableAfter", "Log", "Now"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%q does not name %s", err, field)
		}
	}
}
