package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/functions/container/engine"
	"github.com/signalbox-dev/signalbox/functions/job"
	"github.com/signalbox-dev/signalbox/gateway"
)

// openJobs makes what runs jobs; the way to the cluster is open.
func (a *App) openJobs() (*job.Host, error) {
	cfg := job.DefaultConfig()
	cfg.Dir = filepath.Join(a.opts.Data, "jobs")
	cfg.Installation, cfg.Instance = a.installation(), a.instance()
	cfg.Engine, cfg.Cluster = engine.New(a.opts.DockerHost), a.cluster
	cfg.Secrets = a.secrets.Lookup
	cfg.Environ = a.opts.inherited(cfg.Environ)
	if a.artifactCache != nil {
		cfg.Artifacts = a.artifactCache
	}
	cfg.Reporter, cfg.Events = jobReports{a}, jobEvents{a}
	cfg.Output, cfg.Log = a.functionOutput, a.log
	return job.New(cfg)
}

// installation names the log that this process works on: whoever works on the
// same one may go on with what another has started.
func (a *App) installation() string {
	log := a.opts.Kafka
	if log == Embedded {
		log = a.dataDir()
	}
	return shortName(log, a.opts.TopicPrefix)
}

// instance names this process and those that take its place after a crash.
func (a *App) instance() string {
	host, _ := os.Hostname() // "" is as good a name
	return shortName(host, a.dataDir(), a.opts.InstanceID)
}

func (a *App) dataDir() string {
	dir, err := filepath.Abs(a.opts.Data)
	if err != nil {
		return a.opts.Data
	}
	return dir
}

// shortName is a name for the parts together, of letters and digits.
func shortName(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:10])
}

// jobReports takes what jobs report, as POST /api/v1/deliveries does.
type jobReports struct{ *App }

// Report implements job.Reporter.
func (a jobReports) Report(ctx context.Context, c *event.Completion) error {
	err := a.deliveryDesk().Report(ctx, c)
	if errors.Is(err, gateway.ErrNotFound) || errors.Is(err, gateway.ErrTooLarge) {
		return fmt.Errorf("%w: %w", job.ErrGone, err)
	}
	return err
}

// jobEvents appends the events about runs of jobs.
type jobEvents struct{ *App }

// Append implements job.Events: the event is derived from that of the run as a
// reply is, and counts to the budget of its chain.
func (a jobEvents) Append(ctx context.Context, l *job.Lifecycle) error {
	now := time.Now()
	e := event.Derive(l.Cause, l.Event, event.Hop{Link: l.Link, Version: l.Version, Index: l.Index, Began: event.ChainStart(l.Cause, now), Now: now})
	if hops := event.Hops(e); a.opts.MaxChain > 0 && hops > dispatcher.Uncounted {
		chain, _ := e.Extension(event.ExtCorrelationID)
		total, err := counts{a.ledger}.Count(ctx, chain, 1)
		if err == nil && total > int64(a.opts.MaxChain) { // when nobody counts, the hop limit still ends loops
			a.log.Warn("an event about a job is not sent: the budget of its chain is spent", "type", e.Type, "function", l.Event.Source, "correlationid", chain, "events", total, "hops", hops)
			return nil
		}
	}
	err := a.replies().AppendEvents(ctx, []dispatcher.Outgoing{{Event: e, TraceParent: l.TraceParent, TraceState: l.TraceState}})
	if errors.Is(err, eventlog.ErrTooLarge) {
		a.log.Warn("an event about a job is not sent", "type", e.Type, "function", l.Event.Source, "error", err)
		return nil
	}
	return err
}
