package function

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Run says what a call is for.
type Run struct {
	// ID names the run in records and logs; "" where nobody gave it a name.
	ID string
	// Function and Version are what runs, Link is what chose it.
	Function, Version, Link string
	// Attempt counts from 1; MaxAttempts is 0 where it is not known.
	Attempt, MaxAttempts int
	// Replay: the event is sent again on purpose.
	Replay bool
	// IdempotencyKey is the same for every attempt.
	IdempotencyKey string
}

type runKey struct{}

// call is what a context carries.
type call struct {
	run Run
	log *slog.Logger
}

// RunOf is the run that a handler's context is of, or the zero Run.
func RunOf(ctx context.Context) Run {
	if c, ok := ctx.Value(runKey{}).(*call); ok {
		return c.run
	}
	return Run{}
}

// Log writes lines that say which run they are of. Outside of a call it is slog.Default.
func Log(ctx context.Context) *slog.Logger {
	if c, ok := ctx.Value(runKey{}).(*call); ok {
		return c.log
	}
	return slog.Default()
}

// runOf reads the headers that come with an event.
func runOf(h http.Header) Run {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(h.Get(name)); err == nil {
			return n
		}
		return otherwise
	}
	return Run{
		ID: h.Get("Signalbox-Run"), Function: name(), Version: os.Getenv("SIGNALBOX_FUNCTION_VERSION"), Link: h.Get("Signalbox-Link"),
		Attempt: number("Signalbox-Attempt", 1), MaxAttempts: number("Signalbox-Max-Attempts", 0),
		Replay: h.Get("Signalbox-Replay") == "true", IdempotencyKey: h.Get("Idempotency-Key"),
	}
}

// name is the function's, as its manifest says.
func name() string {
	if n := os.Getenv("SIGNALBOX_FUNCTION"); n != "" {
		return n
	}
	return "function"
}

// Config reads the configuration of the manifest into a pointer.
func Config(into any) error {
	raw := os.Getenv("SIGNALBOX_CONFIG")
	if raw == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(raw), into); err != nil {
		return fmt.Errorf("SIGNALBOX_CONFIG: %w", err)
	}
	return nil
}

// Mount is where the file of spec.mounts with that path is: below SIGNALBOX_MOUNTS
// where that is set (programs), at the path itself in a container.
func Mount(path string) string {
	if root := os.Getenv("SIGNALBOX_MOUNTS"); root != "" {
		return filepath.Join(root, filepath.FromSlash(path))
	}
	return path
}

// logger is that of one call, or of none.
func logger(base *slog.Logger, run *Run, event, traceparent string) *slog.Logger {
	l := base.With("event", event)
	if run.ID != "" {
		l = l.With("run", run.ID)
	}
	if parts := strings.Split(traceparent, "-"); len(parts) == 4 {
		l = l.With("trace_id", parts[1], "span_id", parts[2])
	}
	return l
}
