package app

import (
	"context"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/history"
)

// noteAge is how long a note of a revision may be the last one of its
// partition: the dispatcher repeats it after 12 hours.
const noteAge = 12*time.Hour + 10*time.Minute

// note says that the events of a partition from an offset on were chosen for by
// a revision, until the next note of the partition.
type note struct {
	offset   int64
	revision uint64
	at       time.Time
	// began: a dispatcher took the partition over at that time.
	began bool
}

// decided is what the decision log says that may concern an event.
type decided struct {
	// notes are of its partition, in the order of writing.
	notes []note
	// refused are the times that an event with its source and id was refused, oldest first.
	refused []event.Decision
	// cut: there were too many decisions to read all of them.
	cut bool
}

// decisions reads what concerns an event, from a time on; source "" is any. A
// partition below 0 has no notes.
func (x *explainer) decisions(ctx context.Context, source, id string, partition int32, since time.Time) (decided, error) {
	var out decided
	scanned := 0
	err := x.log.Read(ctx, eventlog.Decisions, eventlog.Since(since), eventlog.ReadOptions{}, func(rec event.Record) error {
		if scanned++; scanned > scanLimit {
			out.cut = true
			return eventlog.ErrStop
		}
		kind, _ := rec.Message.Header("ce_subject")
		switch event.DecisionKind(kind) {
		case event.DecidedChoosing:
			out.addNote(rec.Message, partition)
		case event.DecidedAdmission, event.DecidedSchema:
			out.addRefusal(rec.Message, source, id)
		}
		return nil
	})
	slices.SortStableFunc(out.notes, func(a, b note) int { return a.at.Compare(b.at) })
	slices.SortStableFunc(out.refused, func(a, b event.Decision) int { return a.Time.Compare(b.Time) })
	return out, gatewayError(err)
}

func (d *decided) addNote(m event.Message, partition int32) {
	n, err := event.ParseDecision(m)
	if err != nil {
		return
	}
	if pos, err := event.ParsePosition(n.Position); err == nil && pos.Partition == partition {
		d.notes = append(d.notes, note{pos.Offset, n.Revision, n.Time, n.Reason == reasonBegan})
	}
}

func (d *decided) addRefusal(m event.Message, source, id string) {
	r, err := event.ParseDecision(m)
	if err == nil && !r.Allowed && r.Event != nil && r.Event.ID == id && (source == "" || source == r.Event.Source) {
		d.refused = append(d.refused, r)
	}
}

// noted are the revisions by which the event at an offset may have been chosen
// for, the likeliest first: that of the last note up to it. There are others
// when the event was there before a dispatcher took the partition over: if it had
// been settled before, it was not chosen for again.
func noted(notes []note, offset int64, accepted time.Time) (revisions []uint64) {
	for i := len(notes) - 1; i >= 0; i-- {
		n := &notes[i]
		if n.offset > offset {
			continue
		}
		if !slices.Contains(revisions, n.revision) {
			revisions = append(revisions, n.revision)
		}
		if !n.began || !accepted.Before(n.at) {
			break
		}
	}
	return revisions
}

// chosenBy is the revision by which an event was chosen for.
type chosenBy struct {
	revision uint64
	known    history.Known
	// at is the time at which policies are asked again.
	at time.Time
	// doubt says what is not sure about it; "" is nothing. other is a revision by
	// which it may have been chosen for instead; 0 is none.
	doubt string
	other uint64
}

// chosenBy finds it: run records say it for each delivery, and a dead letter for
// what was refused as a whole; the notes in the decision log say it of every
// event. When the notes leave a choice the records decide.
func (x *explainer) chosenBy(ctx context.Context, c *inquiry) (chosenBy, error) {
	by := chosenBy{at: c.chosenAt()}
	found := noted(c.decided.notes, c.rec.Offset, c.rec.Timestamp)
	recorded := c.recordedRevisions()
	for _, r := range recorded {
		if len(found) == 0 || slices.Contains(found, r) {
			by.revision, by.known = r, history.KnownByRun
			return by, nil
		}
	}
	switch {
	case c.refused != nil && c.refused.Revision > 0:
		by.revision, by.known = c.refused.Revision, history.KnownByLetter
	case !c.taken:
		by.revision, by.known, by.at = x.engine.Revision(), history.KnownPresent, x.now()
	case len(found) > 0:
		by.revision, by.known = found[0], history.KnownByNote
		if len(found) > 1 {
			by.other = found[1]
		}
	default:
		estimate, err := x.revisions.before(ctx, c.rec.Timestamp)
		if err != nil {
			return by, err
		}
		by.revision, by.known = estimate.revision, history.KnownEstimated
		by.doubt = "the decision log has no note of the revision it was chosen by"
		if c.decided.cut {
			by.doubt = "the decision log of that time is too long to be searched for the revision it was chosen by"
		}
	}
	return by, nil
}
