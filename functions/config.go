package functions

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/scripts"
	"github.com/signalbox-dev/signalbox/functions/settings"
)

// Config says how local programs are run.
type Config struct {
	// ReadyTimeout bounds the time from a program's start until it accepts
	// connections; then it is stopped and started again. Default 30s, at least 1ms.
	ReadyTimeout time.Duration
	// StopGrace is the time between SIGTERM and SIGKILL; default 5s, at least 1ms.
	StopGrace time.Duration
	// A program that ends is started again after RestartInitial (default
	// 200ms), then twice as long each time, up to RestartMax (default 30s). One
	// that ran for StableAfter (default 10s) begins at RestartInitial again.
	RestartInitial time.Duration
	RestartMax     time.Duration
	StableAfter    time.Duration
	// Linger is how long a version of a function that gets no events any more goes
	// on running after the last question for its URL, and how long a program that
	// was changed runs beside the one that took its place: until then what is in
	// flight or on its way to it is done. Default 30s, at least 1ms.
	Linger time.Duration
	// Environ is what programs inherit, as "name=value"; default os.Environ().
	// Variables that begin with SIGNALBOX_ are left out: they configure
	// Signalbox, and may hold its passwords.
	Environ []string
	// Secrets finds the values of secrets that functions name; nil: there are none.
	// It is asked again every second for those in use, so it should keep what it knows.
	Secrets settings.Lookup
	// MountsDir is where the files of programs and scripts are written, each
	// process's to a directory of its own that only this user can enter, and that is
	// removed with the process. Default: a directory below os.TempDir().
	MountsDir string
	// Output, when set, gets every line of a function. It is called from several
	// goroutines, and a program that writes waits for it.
	Output func(event.Log)
	// Runtimes run what is neither program nor script, by FunctionSpec.Runtime:
	// docker, knative, kubernetes, openfaas, job.
	Runtimes map[string]Runtime
	// Artifacts nil: functions that name an artifact are not run.
	Artifacts Artifacts
	// Scripts is where functions of scripts are run; nil: this process runs none.
	Scripts *ScriptsConfig
	// Changed, when set, makes functions of this machine's files run what their author
	// saves, and is told of it; nil, as on servers: programs run until the resource is
	// changed. It is called from several goroutines.
	Changed func(Change)
	// Log says when programs become ready, end and are started again.
	Log *slog.Logger
	// Now is the clock.
	Now func() time.Time
}

// ScriptsConfig is what functions of scripts need beside programs.
type ScriptsConfig struct {
	// Dir keeps the SDKs and the virtual environments of functions.
	Dir string
	// Sender takes the events that scripts send, State their values; nil keeps none.
	Sender scripts.Sender
	State  scripts.State
}

// DefaultConfig is the configuration with every default.
func DefaultConfig() Config {
	return Config{
		ReadyTimeout:   30 * time.Second,
		StopGrace:      5 * time.Second,
		RestartInitial: 200 * time.Millisecond,
		RestartMax:     30 * time.Second,
		StableAfter:    10 * time.Second,
		Linger:         30 * time.Second,
		Environ:        os.Environ(),
		MountsDir:      filepath.Join(os.TempDir(), "signalbox-mounts"),
		Log:            slog.Default(),
		Now:            time.Now,
	}
}

// validate returns every fault.
func (c *Config) validate() error {
	var faults []error
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"ReadyTimeout", c.ReadyTimeout}, {"StopGrace", c.StopGrace}, {"RestartInitial", c.RestartInitial},
		{"RestartMax", c.RestartMax}, {"StableAfter", c.StableAfter}, {"Linger", c.Linger},
	} {
		if d.value < time.Millisecond {
			faults = append(faults, fmt.Errorf("%s %s: want at least 1ms", d.field, d.value))
		}
	}
	if c.RestartMax < c.RestartInitial {
		faults = append(faults, fmt.Errorf("RestartMax %s: want at least RestartInitial, %s", c.RestartMax, c.RestartInitial))
	}
	if c.Log == nil {
		faults = append(faults, errors.New("Log: nil: want a logger"))
	}
	if c.Now == nil {
		faults = append(faults, errors.New("Now: nil: want a clock"))
	}
	return errors.Join(faults...)
}

// restartDelay is the wait before a program that failed so many times in a row
// (from 1) is started again.
func (c *Config) restartDelay(failures int) time.Duration {
	d := c.RestartInitial
	for range failures - 1 {
		if d *= 2; d >= c.RestartMax {
			return c.RestartMax
		}
	}
	return min(d, c.RestartMax)
}
