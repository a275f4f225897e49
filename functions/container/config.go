package container

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/container/engine"
	"github.com/signalbox-dev/signalbox/functions/settings"
)

// Engine runs containers; *engine.Client is one, and says what each method
// promises. Where a container is named, its name and its id will both do.
type Engine interface {
	Pull(ctx context.Context, image, policy string) error
	Create(ctx context.Context, s *engine.Spec) (id string, err error)
	Start(ctx context.Context, id string) error
	Inspect(ctx context.Context, id string) (engine.Info, error)
	Wait(ctx context.Context, id string) (engine.Exit, error)
	Logs(ctx context.Context, id string, since time.Time, line func(stream, line string)) error
	Stop(ctx context.Context, id string, grace time.Duration) error
	Remove(ctx context.Context, id string) error
	List(ctx context.Context, labels map[string]string) ([]engine.Info, error)
}

// Config says how containers are run.
type Config struct {
	// Engine is asked when a function first needs a container.
	Engine Engine
	// Dir keeps who owns the containers, and the files that are mounted into them.
	Dir string
	// Secrets finds the secrets that functions name; nil: there are none.
	Secrets settings.Lookup
	// Hold is how long a call waits for a container at most; 10ms to 10m, default 10s.
	// A call that says how long its caller waits (Signalbox-Timeout) is held for less than that.
	Hold time.Duration
	// Queue bounds the calls of a function that wait for its first container; further ones
	// are told to come back. 1 to 100000, default 1024.
	Queue int
	// PullTimeout bounds the fetching of an image; default 10m. ReadyTimeout bounds the
	// time from a container's start until it answers; default 60s. Both 1ms to 24h.
	PullTimeout, ReadyTimeout time.Duration
	// StopGrace is the time between SIGTERM and SIGKILL; default 5s, 1ms to 1h.
	StopGrace time.Duration
	// What ends or does not start is started again after RestartInitial (default
	// 200ms), then twice as long each time, up to RestartMax (default 30s). One that
	// was ready for StableAfter (default 10s) begins at RestartInitial again.
	RestartInitial, RestartMax, StableAfter time.Duration
	// Settle is how long fewer calls must last before there are fewer containers;
	// default 1m, and never more than the function's idleAfter.
	Settle time.Duration
	// Output, when set, gets every line of a function, with the values of its secrets
	// masked. It is called from several goroutines.
	Output func(event.Log)
	// Observe is told of starts and ends.
	Observe Observer
	Log     *slog.Logger
	// Now is the clock.
	Now func() time.Time
}

// DefaultConfig lacks Engine and Dir.
func DefaultConfig() Config {
	return Config{
		Hold: 10 * time.Second, Queue: 1024, PullTimeout: 10 * time.Minute, ReadyTimeout: time.Minute, StopGrace: 5 * time.Second,
		RestartInitial: 200 * time.Millisecond, RestartMax: 30 * time.Second, StableAfter: 10 * time.Second, Settle: time.Minute,
		Log: slog.Default(), Now: time.Now,
	}
}

// validate returns every fault.
func (c *Config) validate() error {
	var faults []error
	for _, d := range []struct {
		field           string
		value, low, top time.Duration
	}{
		{"Hold", c.Hold, 10 * time.Millisecond, 10 * time.Minute},
		{"PullTimeout", c.PullTimeout, time.Millisecond, 24 * time.Hour}, {"ReadyTimeout", c.ReadyTimeout, time.Millisecond, 24 * time.Hour},
		{"StopGrace", c.StopGrace, time.Millisecond, time.Hour},
		{"RestartInitial", c.RestartInitial, time.Millisecond, time.Hour}, {"RestartMax", c.RestartMax, c.RestartInitial, 24 * time.Hour},
		{"StableAfter", c.StableAfter, time.Millisecond, 24 * time.Hour}, {"Settle", c.Settle, time.Millisecond, 24 * time.Hour},
	} {
		if d.value < d.low || d.value > d.top {
			faults = append(faults, fmt.Errorf("%s %s: want %s to %s", d.field, d.value, d.low, d.top))
		}
	}
	if c.Queue < 1 || c.Queue > 100_000 {
		faults = append(faults, fmt.Errorf("Queue %d: want 1 to 100000", c.Queue))
	}
	for _, m := range []struct {
		field   string
		missing bool
	}{{"Engine", c.Engine == nil}, {"Dir", c.Dir == ""}, {"Log", c.Log == nil}, {"Now", c.Now == nil}} {
		if m.missing {
			faults = append(faults, fmt.Errorf("%s: missing", m.field))
		}
	}
	return errors.Join(faults...)
}

// restartDelay is the wait before what failed so many times in a row (from 1) is
// started again.
func (c *Config) restartDelay(failures int) time.Duration {
	d := c.RestartInitial
	for range failures - 1 {
		if d *= 2; d >= c.RestartMax {
			return c.RestartMax
		}
	}
	return min(d, c.RestartMax)
}
