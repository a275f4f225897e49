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
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
)

// maxExplained is how many events one reader explains in a request: an
// explanation looks at every link.
const maxExplained = 100

// counting is what one reader of a what-if has counted. It allocates nothing
// for an event but where something is seen for the first time.
type counting struct {
	*comparison
	where *policies.Filter // nil is every event
	// number counts the events; rows remember by it what they saw last.
	number                     uint64
	functions, links, versions map[string]*row
	// touched are the rows of this event.
	touched                          []*row
	targets                          [2][]resource.Target
	changed, failedBefore, failedNow int64
	failures                         []placed[gateway.WhatIfFailure]
	// rested is when the reader rested last.
	rested time.Time
	// explained counts them; why is that of the event of that number.
	explained  int
	whyOf      uint64
	whyB, whyA map[string]string
}

// row counts for one function, link or version.
type row struct {
	gateway.Difference
	before, after, touched  uint64
	linkBefore, linkAfter   string
	newlyFires, stopsFiring []placed[gateway.WhatIfExample]
}

// placed is something with its position, to be sorted by.
type placed[T any] struct {
	at   event.Position
	item T
}

func newCounting(c *comparison) (*counting, error) {
	n := &counting{comparison: c, functions: map[string]*row{}, links: map[string]*row{}, versions: map[string]*row{}}
	if c.query.Where == "" {
		return n, nil
	}
	f, faults := policies.NewFilter("where", []resource.Filter{{SQL: c.query.Where}})
	if len(faults) > 0 {
		return nil, fmt.Errorf("%w: where: %s", gateway.ErrQuery, faults[0].Problem)
	}
	n.where = f
	return n, nil
}

func (n *counting) asked(e *event.Event) bool { return n.where == nil || n.where.Match(e) }

// event chooses twice and counts what differs.
func (n *counting) event(ctx context.Context, rec *event.Record) error {
	n.number++
	key := ""
	if n.split {
		key = string(rec.Message.Key)
	}
	var errs [2]error
	for i, s := range [...]*policies.Snapshot{n.before, n.after} {
		var chosen policies.Choice
		chosen, errs[i] = s.Choose(ctx, rec.Event, key, rec.Timestamp, n.targets[i][:0])
		if errs[i] != nil && !errors.Is(errs[i], policies.ErrPolicy) {
			return errs[i]
		}
		n.targets[i] = chosen.Targets[:0]
		if errs[i] == nil {
			n.mark(chosen.Targets, i == 1)
		}
	}
	n.settle(ctx, rec, key)
	n.fail(rec, errs[0], "before", &n.failedBefore)
	n.fail(rec, errs[1], "after", &n.failedNow)
	return nil
}

// mark counts the targets of one side. What a paused link would get does not fire.
func (n *counting) mark(targets []resource.Target, after bool) {
	for _, t := range targets {
		if t.Link.Spec.Paused {
			continue
		}
		link := t.Link.Metadata.Name
		n.touch(n.links, link, link, after)
		n.touch(n.functions, t.Function.Metadata.Name, link, after)
		if n.split {
			n.touch(n.versions, resource.VersionName(t.Function.Metadata.Name, t.Function.Spec.Version), link, after)
		}
	}
}

func (n *counting) touch(rows map[string]*row, name, link string, after bool) {
	r := rows[name]
	if r == nil {
		r = &row{Difference: gateway.Difference{Name: name}}
		rows[name] = r
	}
	if r.touched != n.number {
		r.touched = n.number
		n.touched = append(n.touched, r)
	}
	switch {
	case after && r.after != n.number:
		r.after, r.linkAfter = n.number, link
		r.After++
	case !after && r.before != n.number:
		r.before, r.linkBefore = n.number, link
		r.Before++
	}
}

// settle counts what differs between the sides of this event.
func (n *counting) settle(ctx context.Context, rec *event.Record, key string) {
	differs := false
	for _, r := range n.touched {
		before, after := r.before == n.number, r.after == n.number
		switch {
		case before == after:
			continue
		case after:
			r.Newly++
			if len(r.newlyFires) < n.query.Examples {
				r.newlyFires = append(r.newlyFires, n.example(ctx, rec, key, history.Newly, r.linkAfter))
			}
		default:
			r.Stops++
			if len(r.stopsFiring) < n.query.Examples {
				r.stopsFiring = append(r.stopsFiring, n.example(ctx, rec, key, history.Stops, r.linkBefore))
			}
		}
		differs = true
	}
	n.touched = n.touched[:0]
	if differs {
		n.changed++
	}
}

// example copies what it keeps: the strings of an event keep a part of the log in memory.
func (n *counting) example(ctx context.Context, rec *event.Record, key, change, link string) placed[gateway.WhatIfExample] {
	e := rec.Event
	x := gateway.WhatIfExample{
		Change: change, Source: strings.Clone(e.Source), ID: strings.Clone(e.ID), Type: strings.Clone(e.Type),
		Position: rec.Position.String(), Link: link,
	}
	if n.whyOf != n.number && n.explained < maxExplained {
		n.explained++
		n.whyOf = n.number
		n.whyB, n.whyA = why(ctx, n.comparison.before, rec, key), why(ctx, n.comparison.after, rec, key)
	}
	if n.whyOf == n.number {
		x.Before, x.After = n.whyB[link], n.whyA[link]
	}
	return placed[gateway.WhatIfExample]{rec.Position, x}
}

// noLink is why a link that there is not does not fire.
const noLink = "there is no such link"

// why says of every link why it fires or not.
func why(ctx context.Context, s *policies.Snapshot, rec *event.Record, key string) map[string]string {
	x, err := s.Explain(ctx, rec.Event, key, rec.Timestamp)
	if err != nil {
		return nil
	}
	reasons := make(map[string]string, len(x.Links))
	for _, l := range x.Links {
		reasons[l.Name] = l.Why
	}
	return reasons
}

// maxWhatIfFailures is how many failures an answer names.
const maxWhatIfFailures = 10

func (n *counting) fail(rec *event.Record, err error, when string, count *int64) {
	if err == nil {
		return
	}
	*count++
	if len(n.failures) < maxWhatIfFailures {
		e := rec.Event
		n.failures = append(n.failures, placed[gateway.WhatIfFailure]{rec.Position, gateway.WhatIfFailure{
			When: when, Source: strings.Clone(e.Source), ID: strings.Clone(e.ID), Type: strings.Clone(e.Type), Position: rec.Position.String(), Error: err.Error(),
		}})
	}
}

// sum joins what the readers have counted.
func (c *comparison) sum() gateway.WhatIfAnswer {
	out := gateway.WhatIfAnswer{Revision: c.at.revision}
	functions, links, versions := map[string]*row{}, map[string]*row{}, map[string]*row{}
	var failures []placed[gateway.WhatIfFailure]
	for _, n := range c.counts {
		out.Events += int64(n.number)
		out.Changed += n.changed
		out.FailedBefore += n.failedBefore
		out.FailedAfter += n.failedNow
		addRows(functions, n.functions)
		addRows(links, n.links)
		addRows(versions, n.versions)
		failures = append(failures, n.failures...)
	}
	out.Functions = differences(functions, c.query.Examples)
	out.Links = differences(links, c.query.Examples)
	if c.split {
		out.Versions = differences(versions, c.query.Examples)
	}
	out.Failures = first(failures, maxWhatIfFailures)
	return out
}

func addRows(sum, more map[string]*row) {
	for name, r := range more {
		s := sum[name]
		if s == nil {
			sum[name] = r
			continue
		}
		s.Before += r.Before
		s.After += r.After
		s.Newly += r.Newly
		s.Stops += r.Stops
		s.newlyFires = append(s.newlyFires, r.newlyFires...)
		s.stopsFiring = append(s.stopsFiring, r.stopsFiring...)
	}
}

// differences are the rows by name, with so many examples of each change.
func differences(rows map[string]*row, examples int) []gateway.Difference {
	out := make([]gateway.Difference, 0, len(rows))
	for _, r := range rows {
		r.Examples = append(first(r.newlyFires, examples), first(r.stopsFiring, examples)...)
		for i := range r.Examples {
			x := &r.Examples[i]
			if x.Before == "" && x.After != "" {
				x.Before = noLink
			} else if x.After == "" && x.Before != "" {
				x.After = noLink
			}
		}
		out = append(out, r.Difference)
	}
	slices.SortFunc(out, func(a, b gateway.Difference) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// first are the n that stand first in the log.
func first[T any](all []placed[T], n int) []T {
	slices.SortFunc(all, func(a, b placed[T]) int {
		return cmp.Or(cmp.Compare(a.at.Offset, b.at.Offset), cmp.Compare(a.at.Partition, b.at.Partition))
	})
	var out []T
	for _, x := range all[:min(n, len(all))] {
		out = append(out, x.item)
	}
	return out
}
