package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/functions/settings"
)

// ErrGone is a delivery that nobody waits for any more: there is no such
// function or partition. Reporting it again is of no use.
var ErrGone = errors.New("nobody waits for the delivery")

// Reporter takes what is reported of deliveries. It is safe for concurrent use.
type Reporter interface {
	// Report is durable when it returns nil. After any error but ErrGone it is
	// reported again; twice is as good as once.
	Report(ctx context.Context, c *event.Completion) error
}

// Lifecycle is an event about a run: that it began, or how it ended.
type Lifecycle struct {
	// Cause is the event of the run, without its data; Event has no id.
	Cause, Event *event.Event
	// Link, Version and Index are those of its Hop.
	Link, Version string
	Index         int
	// TraceParent and TraceState are the run's context.
	TraceParent, TraceState string
}

// Events puts events about runs into the log.
type Events interface {
	// Append derives the event's id, so that the same one is the same when it is
	// repeated. It is durable, or refused for good, when it returns nil.
	Append(ctx context.Context, l *Lifecycle) error
}

// Artifacts finds files by their digest.
type Artifacts interface {
	// Use returns a directory with the files, which stay until release is called. It
	// waits for them, or until ctx ends.
	Use(ctx context.Context, digest string) (dir string, release func(), err error)
}

// Config says how jobs are run.
type Config struct {
	// Dir keeps the files of runs by processes of this machine.
	Dir string
	// Installation names what runs belong to: those of another one on the same
	// container engine or cluster are left alone. 1 to 63 letters, digits and '-'.
	Installation string
	// Instance names this process and those that take its place after a crash, in
	// the same way: it goes on with what it left at once.
	Instance string
	// Environ is what processes inherit; see functions.Config.
	Environ []string
	// Lease is asked for with each delivery, and extended every third of it while
	// the run goes on: 1s to 1h, default 1m.
	Lease time.Duration
	// Hold is how long a delivery waits for its turn before it is answered that
	// there is no room; at least 1ms, default 1s.
	Hold time.Duration
	// StopGrace is the time between SIGTERM and SIGKILL, and that for the last
	// reports when this process stops; default 5s, at least 1ms.
	StopGrace time.Duration
	// Artifacts finds the files of functions that have an artifact; nil: there are none.
	Artifacts Artifacts
	// Secrets finds secrets; nil: there are none.
	Secrets  settings.Lookup
	Reporter Reporter
	Events   Events
	// Engine runs containers, Cluster Kubernetes Jobs; nil: there is none here.
	Engine  Engine
	Cluster *cluster.Cluster
	// Output, when set, gets every line of a run. A run that writes waits for it.
	Output func(event.Log)
	Log    *slog.Logger
	Now    func() time.Time
}

// DefaultConfig lacks Dir, Reporter and Events.
func DefaultConfig() Config {
	return Config{
		Installation: "signalbox", Instance: "signalbox", Environ: os.Environ(),
		Lease: time.Minute, Hold: time.Second, StopGrace: 5 * time.Second, Log: slog.Default(), Now: time.Now,
	}
}

var plainRE = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?$`)

func (c *Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, d := range []struct {
		field           string
		value, low, top time.Duration
	}{
		{"Lease", c.Lease, time.Second, time.Hour}, {"Hold", c.Hold, time.Millisecond, time.Minute}, {"StopGrace", c.StopGrace, time.Millisecond, time.Hour},
	} {
		if d.value < d.low || d.value > d.top {
			fault("%s %s: want %s to %s", d.field, d.value, d.low, d.top)
		}
	}
	for _, n := range []struct{ field, value string }{{"Installation", c.Installation}, {"Instance", c.Instance}} {
		if !plainRE.MatchString(n.value) {
			fault("%s %q: want 1 to 63 letters, digits and '-'", n.field, n.value)
		}
	}
	for _, m := range []struct {
		field   string
		missing bool
	}{{"Dir", c.Dir == ""}, {"Reporter", c.Reporter == nil}, {"Events", c.Events == nil}, {"Log", c.Log == nil}, {"Now", c.Now == nil}} {
		if m.missing {
			fault("%s: missing", m.field)
		}
	}
	return errors.Join(faults...)
}
