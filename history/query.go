package history

import (
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// Query selects from the past; zero fields do not restrict. Answers are in the
// order of the log, oldest first.
type Query struct {
	Source string
	ID     string
	// Type is an event type, or a prefix ending in '*'.
	Type string
	// Function, Link, Outcome and Reason apply to runs and dead letters only;
	// Reason matches a part of the reason.
	Function string
	Link     string
	Outcome  event.Outcome
	Reason   string
	// Version (of the function), Run (its id) and Trace (its id) apply to runs and
	// lines of functions.
	Version string
	Run     string
	Trace   string
	// State and Where apply to dead letters only. One that was no event matches
	// no Where.
	State LetterState
	Where func(*event.Event) bool
	// Kind applies to decisions only.
	Kind event.DecisionKind
	// Since is included, Until is not; both are the log's time. With neither
	// Since nor Cursor a reader may begin at the newest part of the log instead
	// of reading all of it.
	Since time.Time
	Until time.Time
	// Partition, unless nil, is the only one that a reader looks at; it is set by the
	// reader that knows where all there is to find stands.
	Partition *int32
	// Limit bounds the items of one page; at least 1.
	Limit int
	// Cursor is the Next of the page before; opaque to everybody but the reader.
	Cursor string
}

// Page is one page of an answer. Next is "" on the last one; a page may have
// fewer items than asked for, or none, and still a Next.
type Page[T any] struct {
	Items []T
	Next  string
}

// MatchEvent reports whether a record is an event that the query asks for.
func (q *Query) MatchEvent(r *event.Record) bool {
	e := r.Event
	return e != nil && q.matchTime(r.Timestamp) && q.matchIdentity(e.Source, e.ID, e.Type)
}

// MatchRun reports whether the query asks for a run.
func (q *Query) MatchRun(r *event.Run) bool {
	return q.matchTime(r.Time) && q.matchIdentity(r.EventSource, r.EventID, r.EventType) &&
		(q.Function == "" || q.Function == r.Function) &&
		(q.Link == "" || q.Link == r.Link) &&
		(q.Outcome == "" || q.Outcome == r.Outcome) &&
		(q.Version == "" || q.Version == r.Version) &&
		(q.Run == "" || q.Run == r.ID) &&
		(q.Trace == "" || q.Trace == r.TraceID) &&
		strings.Contains(r.Reason, q.Reason)
}

// MatchLine reports whether the query asks for a line of a function.
func (q *Query) MatchLine(l *Line) bool {
	return q.matchTime(l.Time) &&
		(q.Function == "" || q.Function == l.Function) &&
		(q.Version == "" || q.Version == l.Version) &&
		(q.Run == "" || q.Run == l.Run) &&
		(q.Trace == "" || q.Trace == l.TraceID)
}

// MatchDeadLetter reports whether the query asks for a dead letter. One that
// was no event has neither source, id nor type.
func (q *Query) MatchDeadLetter(d *Letter) bool {
	var source, id, typ string
	if d.Event != nil {
		source, id, typ = d.Event.Source, d.Event.ID, d.Event.Type
	}
	return q.matchTime(d.Time) && q.matchIdentity(source, id, typ) &&
		(q.Function == "" || q.Function == d.Function) &&
		(q.Link == "" || q.Link == d.Link) &&
		(q.State == "" || q.State == d.State) &&
		strings.Contains(d.Reason, q.Reason) &&
		(q.Where == nil || d.Event != nil && q.Where(d.Event))
}

// MatchDecision reports whether the query asks for a record of the decision
// log. One that is about no event has neither source, id nor type.
func (q *Query) MatchDecision(d *event.Decision) bool {
	var ev event.DecidedEvent
	if d.Event != nil {
		ev = *d.Event
	}
	return q.matchTime(d.Time) && q.matchIdentity(ev.Source, ev.ID, ev.Type) && (q.Kind == "" || q.Kind == d.Kind)
}

func (q *Query) matchTime(t time.Time) bool {
	return (q.Since.IsZero() || !t.Before(q.Since)) && (q.Until.IsZero() || t.Before(q.Until))
}

func (q *Query) matchIdentity(source, id, typ string) bool {
	return (q.Source == "" || q.Source == source) && (q.ID == "" || q.ID == id) && (q.Type == "" || MatchType(q.Type, typ))
}

// MatchType reports whether typ is pattern, or begins with it up to its final '*'.
func MatchType(pattern, typ string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(typ, prefix)
	}
	return pattern == typ
}
