package app

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/otel/metrics"
	"github.com/signalbox-dev/signalbox/resource"
)

// intakeMetrics counts for the gateway.
type intakeMetrics struct{ metrics *metrics.Metrics }

// Accepted implements gateway.Metrics.
func (m *intakeMetrics) Accepted(events int, took time.Duration) {
	m.metrics.Accepted.Add(float64(events))
	m.metrics.AcceptDuration.Observe(took.Seconds())
}

// Refused implements gateway.Metrics.
func (m *intakeMetrics) Refused(reason string, _ time.Duration) { m.metrics.Refused(reason).Inc() }

// logHooks measure the event log.
func (a *App) logHooks() eventlog.Hooks {
	return eventlog.Hooks{
		Append: func(topic eventlog.Topic, _, _ int, took time.Duration, err error) {
			if topic == eventlog.Events && err == nil {
				a.metrics.AppendDuration.Observe(took.Seconds())
			}
		},
		Dropped: a.telemetryDropped,
	}
}

// telemetryDropped counts a record that found no room; a line's key is its function.
func (a *App) telemetryDropped(topic eventlog.Topic, key []byte) {
	switch topic {
	case eventlog.Decisions:
		a.metrics.DecisionsDropped.Inc()
	case eventlog.Logs:
		a.metrics.Function(string(key)).LinesLost.Inc()
	default:
		a.metrics.RunsDropped.Inc()
	}
}

// observer measures the dispatcher, and passes runs on to the caller.
func (a *App) observer() dispatcher.Observer {
	duplicates := a.metrics.Dropped("duplicate")
	return dispatcher.Observer{
		Delivered: a.observeRun,
		Chosen: func(rec *event.Record, targets, _ int, _ time.Duration) {
			a.metrics.Chosen.Add(float64(targets))
			a.types.observe(rec)
		},
		Choosing: a.decisions.choosing,
		Duplicate: func(rec *event.Record) {
			duplicates.Inc()
			a.events.AppendTelemetry(eventlog.Runs, duplicateRun(rec, time.Now()).AppendMessage)
			a.traces.Drop(rec, consumerGroup, "duplicate")
		},
		Redriven: func(run *event.Run) { a.metrics.Redriven(string(run.Outcome)) },
		Parked: func(_ *event.Record, p *event.Parked) {
			a.metrics.Function(p.Function).Parked(string(p.Reason))
		},
		DeadLettered: func(d *event.DeadLetter) {
			if d.Function == "" { // refused as a whole: there is no run to count it by
				a.metrics.Dropped("dead").Inc()
			}
		},
		Claimed: func(_ int, _ time.Duration, err error) {
			if err != nil {
				a.metrics.Dropped("claim").Inc()
			}
		},
	}
}

// duplicateReason is the reason of the record that a copy of an event leaves.
const duplicateReason = "duplicate"

// duplicateRun records that a copy of an event was dropped. It has no link:
// nothing was chosen.
func duplicateRun(rec *event.Record, now time.Time) *event.Run {
	return &event.Run{
		ID:          event.RunID(rec.Position, "", 0),
		EventSource: rec.Event.Source,
		EventID:     rec.Event.ID,
		EventType:   rec.Event.Type,
		Position:    rec.Position.String(),
		Outcome:     event.Dropped,
		Reason:      duplicateReason,
		Time:        now,
	}
}

// observeRun counts one run record.
func (a *App) observeRun(rec *event.Record, run *event.Run, class string) {
	fn := a.metrics.Function(run.Function)
	if run.Attempt > 0 && run.Outcome != event.Waiting {
		fn.Duration.Observe(run.DurationMS / 1000)
	}
	switch run.Outcome {
	case event.Delivered:
		fn.Delivered.Inc()
		a.metrics.EndToEnd.Observe(time.Since(rec.Timestamp).Seconds())
	case event.Retrying:
		fn.Retried(class)
	case event.Dead:
		fn.Dead(class)
	case event.Dropped:
		a.metrics.Dropped(dropReason(class)).Inc()
	}
	if len(run.Replies) > 0 || run.Outcome == event.Dropped || strings.HasPrefix(run.Link, "policy:") {
		a.types.ran(run, class)
	}
	if a.hooks.Delivered != nil {
		a.hooks.Delivered(run)
	}
}

func dropReason(class string) string {
	if class == "" {
		return "policy"
	}
	return class
}

// countResources shows what is in force, and forgets functions that are gone.
func (a *App) countResources(set resource.Set) {
	stats := a.engine.Stats()
	a.metrics.Revision.Set(float64(set.Revision))
	a.metrics.Links.Set(float64(stats.Links))
	a.metrics.LinksUnindexed.Set(float64(stats.Unindexed))
	names := make([]string, len(set.Functions))
	for i, fn := range set.Functions {
		names[i] = fn.Metadata.Name
	}
	a.metrics.Retain(names)
	a.lines.retain(names)
	names = make([]string, len(set.Policies))
	for i, p := range set.Policies {
		names[i] = p.Metadata.Name
	}
	a.metrics.SetPolicies(names, stats.MemoObstacles)
}

// gaugeInterval is how often the gauges that need a question are brought up to date.
const gaugeInterval = 5 * time.Second

// watchGauges keeps the gauges of lag, lanes and memoised decisions.
func (a *App) watchGauges(ctx context.Context) error {
	tick := time.NewTicker(gaugeInterval)
	defer tick.Stop()
	var hits, misses, off uint64
	for {
		if lag, err := a.events.Lag(ctx); err == nil {
			a.metrics.Lag(only(lag, a.events.Owned()))
		}
		links, replays := a.player.Left()
		a.metrics.CatchUp(links)
		a.metrics.Replays(replays)
		if parked, err := a.events.ParkedLag(ctx); err == nil {
			for name, n := range byFunction(parked) {
				a.metrics.Function(name).Waiting.Set(float64(n))
			}
		}
		inFlight := 0
		for _, l := range a.dispatcher.Lanes() {
			fn := a.metrics.Function(l.Function)
			fn.Depth.Set(float64(l.Queued + l.Retrying))
			fn.Limit.Set(float64(l.Limit))
			fn.Leases.Set(float64(l.Leased))
			fn.Closed.Set(number(l.Closed))
			fn.Running.Set(float64(l.Running))
			inFlight += l.Running
		}
		a.metrics.InFlight.Set(float64(inFlight))
		a.countContainers()
		stats := a.engine.Stats()
		hits = advance(a.metrics.MemoHits, hits, stats.MemoHits)
		misses = advance(a.metrics.MemoMisses, misses, stats.MemoMisses)
		off = advance(a.metrics.MemoOff, off, stats.MemoSkipped)
		a.metrics.MemoEntries.Set(float64(stats.MemoEntries))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// only keeps the lag of the partitions owned.
func only(lag map[int32]int64, owned []int32) map[int32]int64 {
	kept := make(map[int32]int64, len(owned))
	for _, p := range owned {
		if n, ok := lag[p]; ok {
			kept[p] = n
		}
	}
	return kept
}

// byFunction adds what a function has under leases to what waits for it.
func byFunction(streams map[string]int64) map[string]int64 {
	sums := make(map[string]int64, len(streams))
	for stream, n := range streams {
		sums[event.FunctionOfStream(stream)] += n
	}
	return sums
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// advance brings a counter to a total that was counted elsewhere.
func advance(c prometheus.Counter, before, now uint64) uint64 {
	if now > before {
		c.Add(float64(now - before))
	}
	return now
}
