package job

import (
	"context"
	"encoding/json"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// The events about runs.
const (
	// TypeStarted, TypeSucceeded and TypeFailed are their types.
	TypeStarted   = "signalbox.job.started"
	TypeSucceeded = "signalbox.job.succeeded"
	TypeFailed    = "signalbox.job.failed"
)

// Report is the data of the events about runs.
type Report struct {
	Function string `json:"function"`
	Version  string `json:"version,omitempty"`
	Link     string `json:"link"`
	Run      string `json:"run"`
	Attempt  int    `json:"attempt"`
	// ExitCode is absent while the run goes on, and for one that has none.
	ExitCode *int `json:"exitCode,omitempty"`
	// DurationMS is how long the run took, in milliseconds; absent while it goes on.
	DurationMS *int64 `json:"durationMs,omitempty"`
	// Reason says why the run has failed.
	Reason string `json:"reason,omitempty"`
	// Permanent: the event is not tried again.
	Permanent bool `json:"permanent,omitempty"`
	// Event names the one that the run is for.
	Event event.ReplyRef `json:"event"`
}

// report is what all events about a run say.
func (r *record) report(cause *event.Event) Report {
	return Report{
		Function: r.Function, Version: r.Version, Link: r.Link, Run: r.Run, Attempt: r.Attempt,
		Event: event.ReplyRef{Source: cause.Source, ID: cause.ID, Type: cause.Type},
	}
}

// lifecycle is an event about the run.
func (r *record) lifecycle(kind string, cause *event.Event, data *Report, at time.Time) *Lifecycle {
	body, _ := json.Marshal(data) // plain fields
	return &Lifecycle{
		Cause: cause, Link: r.Link, Version: r.Version, Index: r.Index, TraceParent: r.TraceParent, TraceState: r.TraceState,
		Event: &event.Event{
			Source: "/functions/" + r.Function, Type: kind, Subject: r.Run, Time: at.UTC().Format(time.RFC3339Nano),
			DataContentType: "application/json", Data: body,
		},
	}
}

// tell appends an event about the run, until it is in the log or ctx ends.
func (h *Host) tell(ctx context.Context, r *record, kind string, data func(*Report), at time.Time) {
	cause, err := r.cause()
	if err != nil { // it was written by us
		h.c.Log.Error("the event of a run cannot be read", "run", r.Run, "error", err)
		return
	}
	report := r.report(cause)
	data(&report)
	l := r.lifecycle(kind, cause, &report, at)
	h.insist(ctx, "event "+kind+" of run "+r.Run, func(ctx context.Context) error { return h.c.Events.Append(ctx, l) })
}

// insist tries until it succeeds; false when ctx ended before.
func (h *Host) insist(ctx context.Context, what string, try func(context.Context) error) bool {
	const first, most, limit = 100 * time.Millisecond, 5 * time.Second, 15 * time.Second
	for wait := first; ; wait = min(2*wait, most) {
		one, cancel := context.WithTimeout(ctx, limit)
		err := try(one)
		cancel()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			h.c.Log.Warn("not done before the end", "what", what, "error", err)
			return false
		}
		h.c.Log.Warn("tried again soon", "what", what, "error", err, "wait", wait)
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}
