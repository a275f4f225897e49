package app

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/resource"
)

// decisionLog writes the decision log. It is telemetry as run records are: it
// never blocks, and drops and counts what finds no room. The nil log keeps nothing.
type decisionLog struct {
	log *eventlog.Log
	now func() time.Time
}

// maxDecidedResource bounds the resource before and after a change in one
// record, in bytes: a larger one is in the history of resources anyhow.
const maxDecidedResource = 256 << 10

// record writes one decision. A zero time is now. What d points at must not be
// changed afterwards. It is safe for concurrent use.
func (l *decisionLog) record(d event.Decision) {
	if l == nil {
		return
	}
	if d.Time.IsZero() {
		d.Time = l.now()
	}
	if n := len(d.Before) + len(d.After); n > maxDecidedResource {
		d.Before, d.After = nil, nil
		d.Reason = joinReasons(d.Reason, fmt.Sprintf("the resource is left out: %d bytes", n))
	}
	l.log.AppendAsync(eventlog.Decisions, d.Message(rand.Text()), nil)
}

// choosing notes that the events of rec's partition, from rec on, are chosen
// for by a revision. It is dispatcher.Observer.Choosing.
func (l *decisionLog) choosing(rec *event.Record, revision uint64, began time.Time) {
	d := event.Decision{Kind: event.DecidedChoosing, Revision: revision, Position: rec.Position.String()}
	if !began.IsZero() {
		d.Time, d.Reason = began, reasonBegan
	}
	l.record(d)
}

// changed notes what was changed by no request of the API: who says who it was
// (kind and name), current are the resources before, stored those that were
// written and gone those that were deleted. What is as it was is passed over.
func (l *decisionLog) changed(who map[string]any, current, stored, gone []resource.Object) {
	if l == nil {
		return
	}
	before := make(map[string]*resource.Object, len(stored)+len(gone))
	for i := range current {
		before[current[i].Kind+"/"+current[i].Metadata.Name] = &current[i]
	}
	note := func(was, is *resource.Object) {
		d := access.Changed(was, is)
		d.Identity = who
		l.record(d)
	}
	for i := range gone {
		note(&gone[i], nil)
		delete(before, gone[i].Kind+"/"+gone[i].Metadata.Name)
	}
	for i := range stored {
		was := before[stored[i].Kind+"/"+stored[i].Metadata.Name]
		if was == nil || was.Metadata.Revision != stored[i].Metadata.Revision {
			note(was, &stored[i])
		}
	}
}

// reasonBegan marks the first note of a dispatcher that takes a partition over;
// its time is when it did.
const reasonBegan = "a dispatcher begins here"

func joinReasons(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
