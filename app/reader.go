package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/gateway"
)

// logReader answers questions about the past by reading the log, and follows
// what is appended.
type logReader struct{ log *eventlog.Log }

// scanLimit bounds the records that one page reads: after that the page ends,
// full or not, with a cursor to go on from.
const scanLimit = 200_000

// found is something that matched, with what it is sorted by.
type found[T any] struct {
	item T
	pos  event.Position
	time time.Time
	// turn is the latest time of what matched in its partition up to it.
	turn time.Time
}

// match turns a record into an item; ok says whether the query asks for it. A
// record that cannot be read is not ok.
type match[T any] func(event.Record) (item T, ok bool)

// Events implements gateway.Reader.
func (r *logReader) Events(ctx context.Context, q gateway.Query) (gateway.Page[event.Record], error) {
	return page(ctx, r.log, eventlog.Events, q, func(rec event.Record) (event.Record, bool) { return rec, q.MatchEvent(&rec) })
}

// Runs implements gateway.Reader.
func (r *logReader) Runs(ctx context.Context, q gateway.Query) (gateway.Page[event.Run], error) {
	return page(ctx, r.log, eventlog.Runs, q, func(rec event.Record) (event.Run, bool) {
		run, err := event.ParseRun(rec.Message)
		return run, err == nil && q.MatchRun(&run)
	})
}

// Lines implements gateway.Reader. Those of one function stand in one partition.
func (r *logReader) Lines(ctx context.Context, q gateway.Query) (gateway.Page[gateway.Line], error) {
	if at, ok := positionOf(q.Run); ok && q.Since.IsZero() && q.Cursor == "" {
		if rec, err := r.log.At(ctx, eventlog.Events, at); err == nil {
			q.Since = rec.Timestamp.Add(-clockSlack) // no line of the run is older than its event
		}
	}
	if q.Function != "" {
		part := r.log.PartitionOf(eventlog.Logs, []byte(q.Function))
		q.Partition = &part
	}
	return page(ctx, r.log, eventlog.Logs, q, func(rec event.Record) (gateway.Line, bool) {
		if q.Function != "" && string(rec.Message.Key) != q.Function {
			return gateway.Line{}, false // most lines of a search end here
		}
		l, err := event.ParseLog(rec.Message)
		line := gateway.Line{Log: l, Position: rec.Position}
		return line, err == nil && q.MatchLine(&line)
	})
}

// Decisions implements gateway.Reader.
func (r *logReader) Decisions(ctx context.Context, q gateway.Query) (gateway.Page[event.Decision], error) {
	return page(ctx, r.log, eventlog.Decisions, q, func(rec event.Record) (event.Decision, bool) {
		d, err := event.ParseDecision(rec.Message)
		return d, err == nil && q.MatchDecision(&d)
	})
}

// Record implements gateway.Reader.
func (r *logReader) Record(ctx context.Context, p event.Position) (event.Record, error) {
	rec, err := r.log.At(ctx, eventlog.Events, p)
	return rec, gatewayError(err)
}

// page reads one page of a topic: from the cursor or from Since on, oldest
// first; with neither, the newest matches there are.
func page[T any](ctx context.Context, log *eventlog.Log, topic eventlog.Topic, q gateway.Query, m match[T]) (gateway.Page[T], error) {
	var p gateway.Page[T]
	var err error
	if q.Since.IsZero() && q.Cursor == "" {
		p.Items, err = newest(ctx, log, topic, q, m)
	} else {
		p, err = oldest(ctx, log, topic, q, m)
	}
	return p, gatewayError(err)
}

// newest looks at ever longer ends of the topic until enough matches.
func newest[T any](ctx context.Context, log *eventlog.Log, topic eventlog.Topic, q gateway.Query, m match[T]) ([]T, error) {
	limit := q.Limit
	for n := int64(max(limit, 100)); ; n *= 10 {
		var all []found[T]
		scanned := int64(0)
		err := log.Read(ctx, topic, eventlog.Last(n), eventlog.ReadOptions{Partition: q.Partition}, func(rec event.Record) error {
			scanned++
			if item, ok := m(rec); ok {
				all = append(all, found[T]{item: item, pos: rec.Position, time: rec.Timestamp})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(all) < limit && scanned < scanLimit && scanned >= n && n < scanLimit {
			continue
		}
		sortFound(all)
		return items(all[max(0, len(all)-limit):]), nil
	}
}

// oldest reads every partition until it has given enough matches, and merges them by time. A page has
// the beginning of what each partition gave: the times of a partition are not in order, since
// several processes write them, and by these alone one record could hold up its partition for ever.
func oldest[T any](ctx context.Context, log *eventlog.Log, topic eventlog.Topic, q gateway.Query, m match[T]) (gateway.Page[T], error) {
	var out gateway.Page[T]
	starts, err := parseCursor(q.Cursor)
	if err != nil {
		return out, err
	}
	partitions := log.Partitions(topic)
	next := make([]int64, partitions) // where the next page begins, per partition; -1: nothing left
	var all []found[T]
	for part := range partitions {
		if q.Partition != nil && *q.Partition != part {
			next[part] = -1
			continue
		}
		from := eventlog.Since(q.Since)
		if q.Cursor != "" {
			at, ok := starts[part]
			if !ok {
				next[part] = -1
				continue
			}
			from = eventlog.FromPositions(event.Position{Partition: part, Offset: at})
		}
		matches, resume, err := readPartition(ctx, log, topic, part, from, q, m)
		if err != nil {
			return out, err
		}
		next[part] = resume
		all = append(all, matches...)
	}
	slices.SortFunc(all, func(a, b found[T]) int { return cmp.Or(a.turn.Compare(b.turn), comparePositions(a.pos, b.pos)) })
	if len(all) > q.Limit {
		for _, f := range all[q.Limit:] { // these come again on the next page
			if n := &next[f.pos.Partition]; *n < 0 || f.pos.Offset < *n {
				*n = f.pos.Offset
			}
		}
		all = all[:q.Limit]
	}
	sortFound(all)
	out.Items, out.Next = items(all), formatCursor(next)
	return out, nil
}

// readPartition returns up to Limit matches and where to go on: -1 at the end.
func readPartition[T any](ctx context.Context, log *eventlog.Log, topic eventlog.Topic, part int32, from eventlog.From, q gateway.Query, m match[T]) (matches []found[T], resume int64, err error) {
	scanned, turn := 0, time.Time{}
	resume = -1
	err = log.Read(ctx, topic, from, eventlog.ReadOptions{Partition: &part}, func(rec event.Record) error {
		scanned++
		if len(matches) == q.Limit || scanned > scanLimit {
			resume = rec.Offset
			return eventlog.ErrStop
		}
		if item, ok := m(rec); ok {
			if rec.Timestamp.After(turn) {
				turn = rec.Timestamp
			}
			matches = append(matches, found[T]{item, rec.Position, rec.Timestamp, turn})
		}
		return nil
	})
	return matches, resume, err
}

func sortFound[T any](all []found[T]) {
	slices.SortStableFunc(all, func(a, b found[T]) int {
		return cmp.Or(a.time.Compare(b.time), comparePositions(a.pos, b.pos))
	})
}

func comparePositions(a, b event.Position) int {
	return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
}

func items[T any](all []found[T]) []T {
	out := make([]T, len(all))
	for i := range all {
		out[i] = all[i].item
	}
	return out
}

// formatCursor writes where each partition goes on, as partition:offset
// separated by commas; "" when none does.
func formatCursor(next []int64) string {
	var parts []string
	for p, offset := range next {
		if offset >= 0 {
			parts = append(parts, event.Position{Partition: int32(p), Offset: offset}.String())
		}
	}
	return strings.Join(parts, ",")
}

func parseCursor(s string) (map[int32]int64, error) {
	at := map[int32]int64{}
	if s == "" {
		return at, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		pos, err := event.ParsePosition(part)
		if err != nil {
			return nil, fmt.Errorf("%w: cursor: %w", gateway.ErrQuery, err)
		}
		at[pos.Partition] = pos.Offset
	}
	return at, nil
}

// Follow implements gateway.Reader.
func (r *logReader) Follow(ctx context.Context, started func(), handle func([]event.Record)) error {
	return r.follow(ctx, eventlog.Events, started, func(rec event.Record) {
		if rec.Event != nil {
			handle([]event.Record{rec})
		}
	})
}

// FollowRuns implements gateway.Reader.
func (r *logReader) FollowRuns(ctx context.Context, started func(), handle func([]event.Run)) error {
	return r.follow(ctx, eventlog.Runs, started, func(rec event.Record) {
		if run, err := event.ParseRun(rec.Message); err == nil {
			handle([]event.Run{run})
		}
	})
}

// FollowLines implements gateway.Reader.
func (r *logReader) FollowLines(ctx context.Context, started func(), handle func([]gateway.Line)) error {
	return r.follow(ctx, eventlog.Logs, started, func(rec event.Record) {
		if l, err := event.ParseLog(rec.Message); err == nil {
			handle([]gateway.Line{{Log: l, Position: rec.Position}})
		}
	})
}

func (r *logReader) follow(ctx context.Context, topic eventlog.Topic, started func(), handle func(event.Record)) error {
	err := r.log.Read(ctx, topic, eventlog.Latest(), eventlog.ReadOptions{Follow: true, Started: started}, func(rec event.Record) error {
		handle(rec)
		return nil
	})
	if errors.Is(err, context.Canceled) {
		return ctx.Err()
	}
	return gatewayError(err)
}
