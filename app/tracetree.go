package app

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/history"
)

// The bounds of what is told of a trace.
const (
	maxRoots = 20
	maxLines = 2000
	// maxTraceScan bounds the records that are looked at for a trace's id, and for lines.
	maxTraceScan = 500_000
	// lineGrace is how long after a run's end its lines may come.
	lineGrace = time.Minute
)

// traceDesk follows chains by what the log keeps of them. It is safe for concurrent use.
type traceDesk struct {
	*explainer
	// url is where people look at a trace, with {trace} for its id; "" is nowhere.
	url string
}

// traceSearch is one question on its way.
type traceSearch struct {
	d     *traceDesk
	q     history.TraceQuery
	out   history.Trace
	seen  map[string]bool
	count int
	runs  []*history.TraceRun
	// event and run are what was asked for.
	event, run string
}

// Trace implements gateway.Tracer.
func (d *traceDesk) Trace(ctx context.Context, q gateway.TraceQuery) (history.Trace, error) {
	within, cancel := context.WithTimeout(ctx, 3*maxChainTime)
	defer cancel()
	s := &traceSearch{d: d, q: q, seen: map[string]bool{}, out: history.Trace{Traces: []history.TraceRef{}, Roots: []*history.TraceEvent{}}}
	roots, err := s.roots(within)
	if err != nil {
		return history.Trace{}, err
	}
	for _, root := range roots {
		if err = s.grow(within, root, 0); err != nil {
			break
		}
		s.out.Roots = append(s.out.Roots, root)
	}
	if err == nil && q.Lines {
		err = s.lines(within)
	}
	if within.Err() != nil && ctx.Err() == nil {
		s.cut("there was no time to read all of it")
		err = nil
	}
	s.traces()
	return s.out, err
}

func (s *traceSearch) cut(why string) { s.out.Cut = joinReasons(s.out.Cut, why) }

// runPosition is the position at the beginning of a run's id.
var runPosition = regexp.MustCompile(`^([0-9]+)-([0-9]+)-[0-9a-f]{16}-`)

// positionOf is that of the event that a run's id names.
func positionOf(run string) (at event.Position, ok bool) {
	parts := runPosition.FindStringSubmatch(run)
	if parts == nil {
		return at, false
	}
	part, err1 := strconv.ParseInt(parts[1], 10, 32)
	offset, err2 := strconv.ParseInt(parts[2], 10, 64)
	return event.Position{Partition: int32(part), Offset: offset}, err1 == nil && err2 == nil
}

// roots finds what the id names, and the first events of its chain.
func (s *traceSearch) roots(ctx context.Context) ([]*history.TraceEvent, error) {
	id := s.q.ID
	if at, ok := positionOf(id); ok {
		if rec, err := s.d.log.At(ctx, eventlog.Events, at); err == nil && rec.Event != nil {
			s.out.Asked, s.run = "run", id
			return s.climb(ctx, &rec)
		}
	}
	if strings.HasPrefix(id, "invoke-") {
		return s.called(ctx, "run", gateway.Query{Run: id})
	}
	if isTraceID(id) {
		roots, err := s.ofTrace(ctx, id)
		if err != nil || len(roots) > 0 {
			return roots, err
		}
		if roots, err = s.called(ctx, "trace", gateway.Query{Trace: id}); err == nil || len(s.q.Source) == 0 {
			return roots, err
		}
	}
	c, err := s.d.find(ctx, s.q.Source, id)
	if err != nil {
		return nil, err
	}
	s.out.Asked, s.event = "event", eventKey(c.rec.Event.Source, c.rec.Event.ID)
	return s.climb(ctx, &c.rec)
}

func isTraceID(id string) bool {
	return len(id) == 32 && strings.Trim(id, "0123456789abcdef") == ""
}

func eventKey(source, id string) string { return source + "\x00" + id }

// climb goes up from an event to the first one of its chain.
func (s *traceSearch) climb(ctx context.Context, rec *event.Record) ([]*history.TraceEvent, error) {
	for depth := 0; event.Hops(rec.Event) > 0; depth++ {
		id, ok := rec.Event.Extension(event.ExtCausationID)
		if !ok {
			break
		}
		if depth >= maxCauses {
			s.cut(fmt.Sprintf("more than %d causes", maxCauses))
			break
		}
		cause, err := s.d.cause(ctx, rec, id, lastLink(rec.Event))
		if err != nil {
			return nil, err
		}
		if cause == nil {
			s.cut("the cause " + id + " is not in the log any more, or too far back in it")
			break
		}
		rec = cause
	}
	return []*history.TraceEvent{traceEvent(rec)}, nil
}

func traceEvent(rec *event.Record) *history.TraceEvent {
	e := rec.Event
	return &history.TraceEvent{Source: e.Source, ID: e.ID, Type: e.Type, Subject: e.Subject, Accepted: rec.Timestamp, Position: rec.Position.String(), Runs: []history.TraceRun{}}
}

// traceWindows are how far back a trace's id is looked for: mostly it is near.
var traceWindows = [...]time.Duration{10 * time.Minute, 24 * time.Hour, searchWindow}

// ofTrace finds the first events of a trace.
func (s *traceSearch) ofTrace(ctx context.Context, id string) ([]*history.TraceEvent, error) {
	for _, window := range traceWindows {
		var found []event.Record
		scanned := 0
		err := s.d.log.Read(ctx, eventlog.Events, eventlog.Since(s.d.now().Add(-window)), eventlog.ReadOptions{}, func(r event.Record) error {
			if scanned++; scanned > maxTraceScan {
				s.cut(fmt.Sprintf("only %d events of the last %s were looked at", maxTraceScan, window))
				return eventlog.ErrStop
			}
			if r.Event != nil && (inTrace(r.TraceParent, id) || inTrace(extension(r.Event, event.ExtTraceParent), id)) {
				found = append(found, r)
			}
			return nil
		})
		if err != nil {
			return nil, gatewayError(err)
		}
		if len(found) > 0 {
			s.out.Asked = "trace"
			return s.firstOf(ctx, found)
		}
	}
	return nil, nil
}

func extension(e *event.Event, name string) string { v, _ := e.Extension(name); return v }

func inTrace(traceparent, id string) bool { return len(traceparent) >= 55 && traceparent[3:35] == id }

// firstOf are those that no other event led to; where the log has none of them,
// the one that the oldest comes from.
func (s *traceSearch) firstOf(ctx context.Context, found []event.Record) (roots []*history.TraceEvent, err error) {
	slices.SortStableFunc(found, func(a, b event.Record) int {
		return cmp.Or(cmp.Compare(event.Hops(a.Event), event.Hops(b.Event)), a.Timestamp.Compare(b.Timestamp))
	})
	for i := range found {
		if event.Hops(found[i].Event) > 0 {
			break
		}
		if len(roots) == maxRoots {
			s.cut(fmt.Sprintf("more than %d events began this trace", maxRoots))
			break
		}
		roots = append(roots, traceEvent(&found[i]))
	}
	if len(roots) > 0 {
		return roots, nil
	}
	return s.climb(ctx, &found[0])
}

// called finds a synchronous call, whose event is not in the log.
func (s *traceSearch) called(ctx context.Context, asked string, q gateway.Query) ([]*history.TraceEvent, error) {
	q.Limit, q.Since = maxRoots, s.d.now().Add(-searchWindow)
	for {
		p, err := s.d.reader.Runs(ctx, q)
		if err != nil {
			return nil, err
		}
		if len(p.Items) > 0 {
			s.out.Asked = asked
			r := &p.Items[0]
			if asked == "run" {
				s.run = r.ID
			}
			return []*history.TraceEvent{{Source: r.EventSource, ID: r.EventID, Type: r.EventType, Accepted: r.Time, Runs: []history.TraceRun{}}}, nil
		}
		if q.Cursor = p.Next; p.Next == "" {
			return nil, fmt.Errorf("%s %q: %w (looked at the log of the last 7 days)", asked, s.q.ID, gateway.ErrNotFound)
		}
	}
}

// grow adds the runs of an event, and what they led to.
func (s *traceSearch) grow(ctx context.Context, e *history.TraceEvent, depth int) error {
	s.seen[eventKey(e.Source, e.ID)] = true
	s.count++
	e.Asked = s.event == eventKey(e.Source, e.ID)
	of, err := s.d.records(ctx, e.Source, e.ID, e.Accepted)
	if err != nil {
		return err
	}
	var all []event.Run
	for _, link := range sortedKeys(of.runs) {
		all = append(all, of.runs[link]...)
	}
	slices.SortStableFunc(all, func(a, b event.Run) int { return a.Time.Compare(b.Time) })
	e.Runs = make([]history.TraceRun, len(all))
	for i, r := range all {
		run := &e.Runs[i]
		run.Run, run.Asked = r, s.run != "" && r.ID == s.run
		s.runs = append(s.runs, run)
		if e.Position == "" {
			e.Position = r.Position
		}
		if err := s.effects(ctx, run, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (s *traceSearch) effects(ctx context.Context, run *history.TraceRun, depth int) error {
	for _, reply := range run.Replies {
		if s.seen[eventKey(reply.Source, reply.ID)] {
			continue // a delivery that was made again
		}
		if s.count >= maxEffects || depth > maxDepth {
			s.cut(fmt.Sprintf("more than %d events, or %d functions one after the other", maxEffects, maxDepth))
			return nil
		}
		effect := &history.TraceEvent{Source: reply.Source, ID: reply.ID, Type: reply.Type, Accepted: run.Time, Runs: []history.TraceRun{}}
		if pos, ok, err := s.d.dedup.Lookup(ctx, reply.Source, reply.ID); err == nil && ok {
			if rec, err := s.d.log.At(ctx, eventlog.Events, pos); err == nil && rec.Event != nil && rec.Event.ID == reply.ID {
				effect = traceEvent(&rec)
			}
		}
		if err := s.grow(ctx, effect, depth); err != nil {
			return err
		}
		run.Effects = append(run.Effects, effect)
	}
	return nil
}

// lines adds what the runs printed, each line to its run.
func (s *traceSearch) lines(ctx context.Context) error {
	if len(s.runs) == 0 {
		return nil
	}
	byID := map[string]*history.TraceRun{}
	partitions := map[int32]bool{}
	first, last := s.runs[0].Time, s.runs[0].Time
	for _, r := range s.runs {
		if byID[r.ID] == nil { // a delivery under a lease has several records of one run
			byID[r.ID] = r
		}
		partitions[s.d.log.PartitionOf(eventlog.Logs, []byte(r.Function))] = true
		if r.Time.Before(first) {
			first = r.Time
		}
		if end := r.Time.Add(time.Duration(r.DurationMS * float64(time.Millisecond))); end.After(last) {
			last = end
		}
	}
	kept, scanned := 0, 0
	for part := range partitions {
		err := s.d.log.Read(ctx, eventlog.Logs, eventlog.Since(first.Add(-clockSlack)), eventlog.ReadOptions{Partition: &part}, func(r event.Record) error {
			if scanned++; scanned > maxTraceScan || r.Timestamp.After(last.Add(lineGrace)) {
				return eventlog.ErrStop
			}
			l, err := event.ParseLog(r.Message)
			if err != nil || byID[l.Run] == nil || l.Run == "" {
				return nil
			}
			if kept++; kept > maxLines {
				s.cut(fmt.Sprintf("more than %d lines", maxLines))
				return eventlog.ErrStop
			}
			byID[l.Run].Lines = append(byID[l.Run].Lines, l)
			return nil
		})
		if err != nil {
			return gatewayError(err)
		}
	}
	return nil
}

// traces names the distributed traces of the runs.
func (s *traceSearch) traces() {
	seen := map[string]bool{"": true}
	for _, r := range s.runs {
		if seen[r.TraceID] {
			continue
		}
		seen[r.TraceID] = true
		ref := history.TraceRef{ID: r.TraceID}
		if s.d.url != "" {
			ref.URL = strings.ReplaceAll(s.d.url, "{trace}", r.TraceID)
		}
		s.out.Traces = append(s.out.Traces, ref)
	}
}
