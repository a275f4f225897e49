package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/gateway/history"
	"github.com/signalbox-dev/signalbox/policies"
)

// deduper claims events and says where the first copy of one is.
type deduper interface {
	dispatcher.Deduper
	Lookup(ctx context.Context, source, id string) (event.Position, bool, error)
}

// explainer joins what the log, deduplication, the policies and the run
// records say about one event.
type explainer struct {
	log    *eventlog.Log
	dedup  deduper
	engine *policies.Engine
	reader *logReader
}

// Explain implements gateway.Explainer.
func (x *explainer) Explain(ctx context.Context, source, id string) (gateway.Explanation, error) {
	rec, dedup, err := x.find(ctx, source, id)
	if err != nil {
		return gateway.Explanation{}, err
	}
	judged, err := x.engine.Snapshot().Explain(ctx, rec.Event, rec.Key(), time.Time{})
	if err != nil {
		return gateway.Explanation{}, err
	}
	runs, err := x.runs(ctx, rec)
	if err != nil {
		return gateway.Explanation{}, err
	}
	admitted, err := admitter{x.engine}.Admit(ctx, gateway.Admission{Event: rec.Event, Route: "/events"})
	if err != nil {
		admitted = gateway.Verdict{Denied: true, Reason: err.Error()}
	}
	out := gateway.Explanation{
		Event: rec.Event, Position: rec.Position, Revision: judged.Revision, Dedup: dedup, Error: judged.Error,
		Admission: history.Admission{Allowed: !admitted.Denied, Reason: admitted.Reason},
	}
	for _, l := range judged.Links {
		out.Links = append(out.Links, history.Link{Name: l.Name, Function: l.Function, Matched: l.Matched, Chosen: l.Chosen, Why: l.Why, Deliveries: runs[l.Name]})
		delete(runs, l.Name)
	}
	out.Links = append(out.Links, gone(runs)...)
	slices.SortFunc(out.Links, func(a, b history.Link) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// gone are the links that delivered the event and do not stand any more.
func gone(runs map[string][]event.Run) []history.Link {
	var links []history.Link
	for name, r := range runs {
		links = append(links, history.Link{
			Name: name, Function: r[0].Function, Matched: true, Deliveries: r,
			Why: fmt.Sprintf("matched at revision %d; the link is gone since", r[0].Revision),
		})
	}
	return links
}

// find reads the event's first copy: where the claim says, else by looking
// through the log.
func (x *explainer) find(ctx context.Context, source, id string) (event.Record, history.Dedup, error) {
	unknown := history.Dedup{Verdict: "unknown"}
	if source == "" {
		rec, err := x.search(ctx, source, id)
		if err != nil {
			return rec, unknown, err
		}
		source = rec.Event.Source
	}
	pos, claimed, err := x.dedup.Lookup(ctx, source, id)
	if err == nil && claimed {
		if rec, err := x.log.At(ctx, eventlog.Events, pos); err == nil && rec.Event != nil {
			return rec, history.Dedup{Verdict: event.FirstSight.String(), First: pos.String()}, nil
		}
	}
	rec, err := x.search(ctx, source, id)
	return rec, unknown, err
}

// searchWindow is how far back an event without a claim is looked for.
const searchWindow = 7 * 24 * time.Hour

// search looks for an event by id; source "" is any, if there is only one.
func (x *explainer) search(ctx context.Context, source, id string) (event.Record, error) {
	q := gateway.Query{Source: source, ID: id, Limit: 10, Since: time.Now().Add(-searchWindow)}
	for {
		p, err := x.reader.Events(ctx, q)
		if err != nil {
			return event.Record{}, err
		}
		if len(p.Items) > 0 {
			return p.Items[0], ambiguous(id, p.Items)
		}
		if p.Next == "" {
			return event.Record{}, fmt.Errorf("event %q: %w", id, gateway.ErrNotFound)
		}
		q.Cursor = p.Next
	}
}

func ambiguous(id string, recs []event.Record) error {
	var sources []string
	for _, r := range recs {
		if !slices.Contains(sources, r.Event.Source) {
			sources = append(sources, r.Event.Source)
		}
	}
	if len(sources) > 1 {
		return &gateway.AmbiguousError{ID: id, Sources: sources}
	}
	return nil
}

// clockSlack is how far the clocks of a broker and of this machine may differ.
const clockSlack = time.Minute

// runs are the event's run records by link, oldest first. They all stand in
// the partition that the event's key leads to.
func (x *explainer) runs(ctx context.Context, rec event.Record) (map[string][]event.Run, error) {
	key := (&event.Run{EventSource: rec.Event.Source, EventID: rec.Event.ID}).Message().Key
	part := x.log.PartitionOf(eventlog.Runs, key)
	runs := map[string][]event.Run{}
	from := eventlog.Since(rec.Timestamp.Add(-clockSlack))
	err := x.log.Read(ctx, eventlog.Runs, from, eventlog.ReadOptions{Partition: &part}, func(r event.Record) error {
		if string(r.Message.Key) != string(key) {
			return nil
		}
		if run, err := event.ParseRun(r.Message); err == nil {
			runs[run.Link] = append(runs[run.Link], run)
		}
		return nil
	})
	return runs, gatewayError(err)
}
