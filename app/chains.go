package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/history"
)

// The bounds of what is told of a chain.
const (
	maxCauses  = 64
	maxEffects = 100
	maxDepth   = 32
	// maxCauseScan bounds the records of the log that are looked at for one cause.
	maxCauseScan = 500_000
)

// maxChainTime bounds the time that a chain is read for.
const maxChainTime = 3 * time.Second

// addChain follows the event up to the first of its chain, and down to what came
// of it, as far as there is time.
func (x *explainer) addChain(ctx context.Context, c *inquiry, out *gateway.Explanation) error {
	within, cancel := context.WithTimeout(ctx, maxChainTime)
	defer cancel()
	causes, cut, err := x.causes(within, &c.rec)
	out.Chain.Causes, out.Chain.Cut = causes, cut
	if err == nil {
		out.Chain.Effects, cut, err = x.effects(within, c)
		if cut != "" {
			out.Chain.Cut = joinReasons(out.Chain.Cut, cut)
		}
	}
	if within.Err() != nil && ctx.Err() == nil {
		out.Chain.Cut, err = joinReasons(out.Chain.Cut, "there was no time to read all of it"), nil
	}
	return err
}

// causes are those of an event, its own first.
func (x *explainer) causes(ctx context.Context, rec *event.Record) (steps []history.ChainStep, cut string, err error) {
	for depth := 1; ; depth++ {
		id, ok := rec.Event.Extension(event.ExtCausationID)
		if !ok || event.Hops(rec.Event) == 0 {
			return steps, "", nil
		}
		if depth > maxCauses {
			return steps, fmt.Sprintf("more than %d causes", maxCauses), nil
		}
		step := history.ChainStep{Depth: depth, ID: id, Link: lastLink(rec.Event)}
		cause, err := x.cause(ctx, rec, id, step.Link)
		if err != nil {
			return steps, "", err
		}
		if cause == nil {
			return append(steps, step), "the cause " + id + " is not in the log any more, or too far back in it", nil
		}
		of, err := x.records(ctx, cause.Event.Source, cause.Event.ID, cause.Timestamp)
		if err != nil {
			return steps, "", err
		}
		step.Source, step.Type, step.Outcome = cause.Event.Source, cause.Event.Type, summary(of.runs)
		steps = append(steps, step)
		rec = cause
	}
}

// causeWindows are how far back a cause is looked for: mostly it is near.
var causeWindows = [...]time.Duration{time.Minute, time.Hour, searchWindow}

// cause finds the event with an id whose function answered with rec, by link;
// nil when it is not there.
func (x *explainer) cause(ctx context.Context, rec *event.Record, id, link string) (found *event.Record, err error) {
	until := rec.Timestamp.Add(clockSlack)
	scanned := 0
	for _, window := range causeWindows {
		from := eventlog.Since(rec.Timestamp.Add(-window))
		for part := range x.log.Partitions(eventlog.Events) {
			err = x.log.Read(ctx, eventlog.Events, from, eventlog.ReadOptions{Partition: &part}, func(r event.Record) error {
				if scanned++; scanned > maxCauseScan || r.Timestamp.After(until) {
					return eventlog.ErrStop
				}
				if r.Event == nil || r.Event.ID != id || !x.answered(ctx, &r, rec, link) {
					return nil
				}
				found = &r
				return eventlog.ErrStop
			})
			if found != nil || err != nil {
				return found, gatewayError(err)
			}
		}
	}
	return nil, nil
}

// answered reports whether rec may be the answer of a function to cause: several
// events may have one id, but not the same records of runs.
func (x *explainer) answered(ctx context.Context, cause, rec *event.Record, link string) bool {
	if event.Hops(rec.Event) != event.Hops(cause.Event)+1 {
		return false
	}
	of, err := x.records(ctx, cause.Event.Source, cause.Event.ID, cause.Timestamp)
	if err != nil || len(of.runs[link]) == 0 {
		return true // its records are gone: the id must do
	}
	for _, r := range of.runs[link] {
		if slices.ContainsFunc(r.Replies, func(p event.ReplyRef) bool { return p.ID == rec.Event.ID && p.Source == rec.Event.Source }) {
			return true
		}
	}
	return false
}

// summary counts the last outcomes of an event's links.
func summary(runs map[string][]event.Run) string {
	counts := map[event.Outcome]int{}
	for _, list := range runs {
		counts[list[len(list)-1].Outcome]++
	}
	var parts []string
	for _, o := range []event.Outcome{event.Delivered, event.Dead, event.Dropped, event.Retrying, event.Waiting} {
		if counts[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[o], o))
		}
	}
	if len(parts) == 0 {
		return "no deliveries"
	}
	return strings.Join(parts, ", ")
}

// effects are the events that came of one, each behind the one it came of.
func (x *explainer) effects(ctx context.Context, c *inquiry) (steps []history.ChainStep, cut string, err error) {
	t := &tree{x: x, seen: map[string]bool{}}
	err = t.grow(ctx, c.runs, 1)
	return t.steps, t.cut, err
}

// tree collects effects.
type tree struct {
	x     *explainer
	steps []history.ChainStep
	seen  map[string]bool
	cut   string
}

// grow adds what the deliveries of one event answered with, and what came of that.
func (t *tree) grow(ctx context.Context, runs map[string][]event.Run, depth int) error {
	for _, link := range sortedKeys(runs) {
		for _, run := range runs[link] {
			for _, reply := range run.Replies {
				if err := t.add(ctx, link, run.Time, reply, depth); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (t *tree) add(ctx context.Context, link string, at time.Time, reply event.ReplyRef, depth int) error {
	key := reply.Source + "\x00" + reply.ID
	if t.seen[key] {
		return nil // a delivery that was made again
	}
	t.seen[key] = true
	if len(t.steps) >= maxEffects || depth > maxDepth {
		t.cut = fmt.Sprintf("more than %d effects, or %d functions one after the other", maxEffects, maxDepth)
		return nil
	}
	of, err := t.x.records(ctx, reply.Source, reply.ID, at)
	if err != nil {
		return err
	}
	t.steps = append(t.steps, history.ChainStep{
		Depth: depth, Source: reply.Source, ID: reply.ID, Type: reply.Type, Link: link, Outcome: summary(of.runs),
	})
	return t.grow(ctx, of.runs, depth+1)
}
