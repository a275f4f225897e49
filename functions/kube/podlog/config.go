package podlog

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
)

// Config says whose pods are read, and by whom.
type Config struct {
	Cluster *cluster.Cluster
	// Selector is the labels of pods that may be ours, Instance the label that
	// holds the name of their version's objects.
	Selector string
	Instance string
	// Process names this process where others see it; a random part is added.
	Process string
	// Container is the container that is read.
	Container string
	// Output gets each line. It may block: the pod's output is then read later.
	Output func(event.Log)
	// Renew is how often a Lease is renewed, with how far its pods were read;
	// default 10s, 10ms to 5m.
	Renew time.Duration
	// Lapse is when one that was not renewed is another process's to take; default
	// 30s, at least two Renew.
	Lapse time.Duration
	// History is how far back the output of a pod is read that nobody has read yet;
	// default 10m, at least 1s.
	History time.Duration
	// Pause is the first one before output that ended is asked for again, each
	// later one is twice as long up to fifteen; default 1s, at least 1ms.
	Pause time.Duration
	// MaxPods bounds how many pods this process reads at a time: the others' output
	// is not read, and that is logged. Default 256, at least 1.
	MaxPods int
	Log     *slog.Logger
	// Now is the clock.
	Now func() time.Time
}

// DefaultConfig lacks Cluster, Selector, Instance, Container and Output.
func DefaultConfig() Config {
	return Config{
		Process: "signalbox", Renew: 10 * time.Second, Lapse: 30 * time.Second, History: 10 * time.Minute, Pause: time.Second,
		MaxPods: 256, Log: slog.Default(), Now: time.Now,
	}
}

func (c *Config) validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(c.Cluster != nil, "Cluster: missing")
	check(c.Selector != "", "Selector: missing")
	check(c.Instance != "", "Instance: missing")
	check(c.Process != "", "Process: missing")
	check(c.Container != "", "Container: missing")
	check(c.Output != nil, "Output: missing")
	check(c.Renew >= 10*time.Millisecond && c.Renew <= 5*time.Minute, "Renew %s: want 10ms to 5m", c.Renew)
	check(c.Lapse >= 2*c.Renew, "Lapse %s: want at least two Renew", c.Lapse)
	check(c.History >= time.Second, "History %s: want at least 1s", c.History)
	check(c.Pause >= time.Millisecond, "Pause %s: want at least 1ms", c.Pause)
	check(c.MaxPods >= 1, "MaxPods %d: want at least 1", c.MaxPods)
	check(c.Log != nil, "Log: nil: want a logger")
	check(c.Now != nil, "Now: nil: want a clock")
	return errors.Join(faults...)
}
