// Package boardtest is the stage on which Runtimes with a board are tested: a clock that
// the test moves, secrets, and the log.
package boardtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/resource"
)

// Stage is the stage; make it with New.
type Stage struct {
	t testing.TB
	// dump says what is there when something does not come.
	dump func() string

	mu  sync.Mutex
	log bytes.Buffer
	now time.Time
}

// New makes a stage; dump says what is there when the test fails.
func New(t testing.TB, dump func() string) *Stage {
	return &Stage{t: t, dump: dump, now: time.Unix(1_800_000_000, 0)}
}

// Runtime is what is tested.
type Runtime interface {
	functions.Runtime
	Status(fn *resource.Function) (functions.Status, bool)
	Passes() int64
}

// Start runs rt until the test ends.
func (s *Stage) Start(rt Runtime) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- rt.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

// Secret finds value-of-NAME; missing is none.
func (s *Stage) Secret(name string) ([]byte, error) {
	if name == "missing" {
		return nil, errors.New("secret missing: no such secret")
	}
	return []byte("value-of-" + name), nil
}

// Logger writes to the test's output and to what Logged returns.
func (s *Stage) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(io.MultiWriter(s, s.t.Output()), nil))
}

// Write implements io.Writer.
func (s *Stage) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(b)
}

// Logged is the log so far.
func (s *Stage) Logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// Clock is the time on the stage.
func (s *Stage) Clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// Advance moves the clock.
func (s *Stage) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// Until waits for something.
func (s *Stage) Until(what string, is func() bool) {
	s.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(30 * time.Second)
	for !is() {
		select {
		case <-tick.C:
		case <-end:
			s.t.Fatalf("not in time: %s\n%s\nlog: %s", what, s.dump(), s.Logged())
		}
	}
}

// UntilPassed waits until rt has been round, so that whatever was to be done is. The
// pass that is under way does not count.
func (s *Stage) UntilPassed(rt Runtime) {
	s.t.Helper()
	before := rt.Passes()
	s.Until("another pass", func() bool { return rt.Passes() >= before+2 })
}

// State is that of fn.
func State(rt Runtime, fn *resource.Function) string {
	status, _ := rt.Status(fn)
	return status.State
}
