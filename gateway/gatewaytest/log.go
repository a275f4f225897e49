package gatewaytest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/otel/tracing"
)

// Log is an event log of one partition. It is a gateway.Appender, a
// gateway.Reader, a gateway.Letters, a
// gateway.Deliveries and a gateway.Explainer. The zero value is an empty log; it is
// safe for concurrent use.
type Log struct {
	// Append, unless nil, is called first; an error keeps the events out.
	Append func(ctx context.Context) error

	mu      sync.Mutex
	records []event.Record
	runs    []event.Run
	lines   []history.Line
	dead    []history.Letter
	reports []event.Completion
	decided []event.Decision
	// changed is closed and replaced at each change.
	changed chan struct{}
	// followers is the number of Follow and FollowRuns under way.
	followers int
	broken    error
}

// AppendEvents implements gateway.Appender.
func (l *Log) AppendEvents(ctx context.Context, events []*event.Event, hop tracing.Context) error {
	if l.Append != nil {
		if err := l.Append(ctx); err != nil {
			return err
		}
	}
	l.change(func() {
		for _, e := range events {
			l.records = append(l.records, event.Record{
				Position: event.Position{Offset: int64(len(l.records))}, Event: e, Timestamp: time.Now(),
				TraceParent: hop.TraceParent(), TraceState: hop.State,
			})
		}
	})
	return nil
}

// AddRun appends a run record.
func (l *Log) AddRun(r event.Run) { l.change(func() { l.runs = append(l.runs, r) }) }

// AddLine appends a line of a function.
func (l *Log) AddLine(one event.Log) {
	l.change(func() {
		l.lines = append(l.lines, history.Line{Log: one, Position: event.Position{Offset: int64(len(l.lines))}})
	})
}

// AddDecision appends a record of the decision log.
func (l *Log) AddDecision(d event.Decision) { l.change(func() { l.decided = append(l.decided, d) }) }

// AddDeadLetter appends a dead letter.
func (l *Log) AddDeadLetter(d event.DeadLetter) {
	l.change(func() { l.dead = append(l.dead, history.Letter{DeadLetter: d, State: history.LetterOpen}) })
}

// Break ends everybody's following with an error.
func (l *Log) Break(err error) { l.change(func() { l.broken = err }) }

// Records returns what was appended.
func (l *Log) Records() []event.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records[:len(l.records):len(l.records)]
}

// WaitFollowers waits until n follow the log.
func (l *Log) WaitFollowers(ctx context.Context, n int) error {
	for {
		l.mu.Lock()
		if l.followers == n {
			l.mu.Unlock()
			return nil
		}
		changed := l.changedLocked()
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *Log) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

func (l *Log) changedLocked() chan struct{} {
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// Follow implements gateway.Reader.
func (l *Log) Follow(ctx context.Context, started func(), handle func([]event.Record)) error {
	return follow(l, ctx, started, func() []event.Record { return l.records }, handle)
}

// FollowRuns implements gateway.Reader.
func (l *Log) FollowRuns(ctx context.Context, started func(), handle func([]event.Run)) error {
	return follow(l, ctx, started, func() []event.Run { return l.runs }, handle)
}

// FollowLines implements gateway.Reader.
func (l *Log) FollowLines(ctx context.Context, started func(), handle func([]history.Line)) error {
	return follow(l, ctx, started, func() []history.Line { return l.lines }, handle)
}

func follow[T any](l *Log, ctx context.Context, started func(), all func() []T, handle func([]T)) error {
	var at int
	l.change(func() { l.followers, at, l.broken = l.followers+1, len(all()), nil })
	defer l.change(func() { l.followers-- })
	started()
	for {
		l.mu.Lock()
		fresh := append([]T(nil), all()[at:]...)
		at = len(all())
		broken, changed := l.broken, l.changedLocked()
		l.mu.Unlock()
		if broken != nil {
			return broken
		}
		if len(fresh) > 0 {
			handle(fresh)
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Record implements gateway.Reader.
func (l *Log) Record(_ context.Context, p event.Position) (event.Record, error) {
	all := l.Records()
	if p.Partition != 0 || p.Offset < 0 || p.Offset >= int64(len(all)) {
		return event.Record{}, fmt.Errorf("position %s: %w", p, problem.ErrNotFound)
	}
	return all[p.Offset], nil
}

// Events implements gateway.Reader.
func (l *Log) Events(_ context.Context, q history.Query) (history.Page[event.Record], error) {
	return scan(q, l.Records(), q.MatchEvent)
}

// Runs implements gateway.Reader.
func (l *Log) Runs(_ context.Context, q history.Query) (history.Page[event.Run], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return scan(q, l.runs, q.MatchRun)
}

// Lines implements gateway.Reader.
func (l *Log) Lines(_ context.Context, q history.Query) (history.Page[history.Line], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return scan(q, l.lines, q.MatchLine)
}

// Decisions implements gateway.Reader.
func (l *Log) Decisions(_ context.Context, q history.Query) (history.Page[event.Decision], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return scan(q, l.decided, q.MatchDecision)
}

// scan pages through all; its cursor is the index of the next item.
func scan[T any](q history.Query, all []T, match func(*T) bool) (history.Page[T], error) {
	var p history.Page[T]
	at := 0
	if q.Cursor != "" {
		var err error
		if at, err = strconv.Atoi(q.Cursor); err != nil || at < 0 || at > len(all) {
			return p, fmt.Errorf("cursor: %w", problem.ErrQuery)
		}
	}
	for ; at < len(all); at++ {
		if len(p.Items) == q.Limit {
			p.Next = strconv.Itoa(at)
			break
		}
		if match(&all[at]) {
			p.Items = append(p.Items, all[at])
		}
	}
	return p, nil
}

// Explain implements gateway.Explainer: it finds the event, and knows no links.
func (l *Log) Explain(_ context.Context, source, id string) (history.Explanation, error) {
	var found []event.Record
	var sources []string
	for _, r := range l.Records() {
		if r.Event.ID == id && (source == "" || source == r.Event.Source) {
			found = append(found, r)
			sources = append(sources, r.Event.Source)
		}
	}
	switch len(found) {
	case 0:
		return history.Explanation{}, fmt.Errorf("event: %w", problem.ErrNotFound)
	case 1:
		return history.Explanation{
			Event: found[0].Event, Position: found[0].Position, Revision: 1,
			Dedup: history.Dedup{Verdict: event.FirstSight.String()}, Admission: history.Admission{Allowed: true},
			Links: []history.Link{{Name: "l", Function: "f", Matched: true, Why: "type"}},
		}, nil
	}
	return history.Explanation{}, &history.AmbiguousError{ID: id, Sources: sources}
}
