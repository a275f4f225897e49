package scripts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/child"
	"github.com/signalbox-dev/signalbox/functions/settings"
)

// Sent is an event that a script sends during a run.
type Sent struct {
	// Cause is the event the run is for, Event what is sent; it has no id, and
	// perhaps no source.
	Cause, Event *event.Event
	// Function, Version and Link say who sends; Index counts the run's events from 0.
	Function, Version, Link string
	Index                   int
	// TraceParent and TraceState are the run's context.
	TraceParent, TraceState string
}

// Sender puts what scripts send into the log.
type Sender interface {
	// Send names the event once it is durable. Its id must be the same when the
	// run is repeated. It returns when ctx ends.
	Send(ctx context.Context, s *Sent) (event.ReplyRef, error)
}

// State keeps values of functions.
type State interface {
	// Get returns nil when there is no such value.
	Get(ctx context.Context, function, key string) (*string, error)
	Set(ctx context.Context, function, key, value string) error
	Delete(ctx context.Context, function, key string) error
}

// Artifacts are the files of functions that name an artifact instead of a directory.
type Artifacts interface {
	// Use returns the directory with the files of an artifact, which are fetched where
	// they are not here yet and stay until release is called, once. It waits until then,
	// or until ctx ends; what it fails with says why there are no files.
	Use(ctx context.Context, digest string) (dir string, release func(), err error)
}

// Config says how scripts are run.
type Config struct {
	// Dir keeps the SDKs and the virtual environments of functions.
	Dir string
	// Python and Node are the interpreters' programs.
	Python, Node string
	// ReadyTimeout bounds a worker's start; 100ms to 10m, default 30s.
	ReadyTimeout time.Duration
	// PrepareTimeout bounds making a virtual environment; 1s to 1h, default 5m.
	PrepareTimeout time.Duration
	// IdleTimeout is how long a worker beside the first one may have nothing to
	// do before it ends; 1s to 24h, default 1m.
	IdleTimeout time.Duration
	// Environ is what workers inherit; see functions.Config.
	Environ []string
	// Secrets finds the values of secrets that functions name; nil: there are none.
	Secrets settings.Lookup
	// MountsDir is where the files of workers are written, see functions.Config;
	// default: below Dir.
	MountsDir string
	// Keeper starts the processes; whoever made it runs it.
	Keeper *child.Keeper
	Sender Sender
	// State nil keeps nothing: scripts that use it fail.
	State State
	// Artifacts nil: functions that name an artifact are not run.
	Artifacts Artifacts
	// Output, when set, gets every line of a function. It is called from several
	// goroutines, and a worker that writes waits for it.
	Output func(event.Log)
	// Changed, when set, is told when a file was saved and runs use it: by its name in
	// the function's directory, and how long after that was seen. It is called from
	// several goroutines.
	Changed func(function, file string, took time.Duration)
	Log     *slog.Logger
}

// DefaultConfig lacks Dir, Environ, Keeper and Sender.
func DefaultConfig() Config {
	return Config{
		Python: "python3", Node: "node",
		ReadyTimeout: 30 * time.Second, PrepareTimeout: 5 * time.Minute, IdleTimeout: time.Minute, Log: slog.Default(),
	}
}

func (c *Config) validate() error {
	var faults []error
	for _, d := range []struct {
		field           string
		value, low, top time.Duration
	}{
		{"ReadyTimeout", c.ReadyTimeout, 100 * time.Millisecond, 10 * time.Minute},
		{"PrepareTimeout", c.PrepareTimeout, time.Second, time.Hour},
		{"IdleTimeout", c.IdleTimeout, time.Second, 24 * time.Hour},
	} {
		if d.value < d.low || d.value > d.top {
			faults = append(faults, fmt.Errorf("%s %s: want %s to %s", d.field, d.value, d.low, d.top))
		}
	}
	for field, missing := range map[string]bool{
		"Dir": c.Dir == "", "Python": c.Python == "", "Node": c.Node == "", "Keeper": c.Keeper == nil, "Sender": c.Sender == nil, "Log": c.Log == nil,
	} {
		if missing {
			faults = append(faults, fmt.Errorf("%s: missing", field))
		}
	}
	return errors.Join(faults...)
}
