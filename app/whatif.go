package app

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
)

const (
	// whatIfTime is how long one request reads the log; its cursor goes on from there.
	whatIfTime = 2 * time.Second
	// whatIfWait is how long a request waits for others.
	whatIfWait = 5 * time.Second
	// whatIfYield is after how many events a reader lets others have the processor.
	whatIfYield = 16
	// outOfOrder is how much earlier than the one before it a record's time may
	// be: what comes later than that behind the end of the range is not read.
	outOfOrder = 10 * time.Minute
)

// whatIfs computes what other links and policies would have made of recorded
// events. One request at a time is worked on, the others wait, in their order,
// and it uses half of the processors: with a reader on each the runtime would
// look at the network every 10 ms only, and each step of a delivery wait for
// that. With one processor a reader rests as long as it works. A reader steps
// behind whatever else is ready to run after every few events.
type whatIfs struct {
	log       *eventlog.Log
	resources interface {
		Snapshot(ctx context.Context) (revision uint64, objects []resource.Object, err error)
	}
	cfg policies.Config
	now func() time.Time
	// turn holds one token.
	turn chan struct{}
	// time is whatIfTime but in tests.
	time time.Duration
}

func newWhatIfs(a *App) *whatIfs {
	w := &whatIfs{log: a.events, resources: a.ledger, cfg: whatIfConfig(a.opts.PolicyTimeout), now: time.Now, turn: make(chan struct{}, 1), time: whatIfTime}
	w.turn <- struct{}{}
	return w
}

// whatIfConfig gives evaluations ten times the time: a reader that steps behind
// everything else must not count that as a failure of the policy. For the same
// reason policies that take long are always asked.
func whatIfConfig(budget time.Duration) policies.Config {
	cfg := policies.DefaultConfig()
	cfg.Budget = min(10*budget, 10*time.Second)
	cfg.BreakAfter = -1
	return cfg
}

// WhatIf implements gateway.WhatIfs.
func (w *whatIfs) WhatIf(ctx context.Context, q gateway.WhatIf) (gateway.WhatIfAnswer, error) {
	at, err := w.resume(&q)
	if err != nil {
		return gateway.WhatIfAnswer{}, err
	}
	if err := w.wait(ctx); err != nil {
		return gateway.WhatIfAnswer{}, err
	}
	defer func() { w.turn <- struct{}{} }()
	c, err := w.compare(ctx, &q, &at)
	if err != nil {
		return gateway.WhatIfAnswer{}, err
	}
	c.deadline = w.until(ctx)
	if err := c.run(ctx, w.log); err != nil {
		return gateway.WhatIfAnswer{}, gatewayError(err)
	}
	out := c.sum()
	out.Next = at.String()
	return out, nil
}

var errBusy = fmt.Errorf("%w: other what-if requests are being worked on: try again", gateway.ErrUnavailable)

func (w *whatIfs) wait(ctx context.Context) error {
	late := time.NewTimer(whatIfWait)
	defer late.Stop()
	select {
	case <-w.turn:
		return nil
	case <-late.C:
		return errBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

// until is how long the log is read, now that everything is compiled: a tenth of
// what ctx leaves is for the answer.
func (w *whatIfs) until(ctx context.Context) time.Time {
	t := w.now().Add(w.time)
	if d, ok := ctx.Deadline(); ok {
		if last := w.now().Add(time.Until(d) * 9 / 10); last.Before(t) {
			return last
		}
	}
	return t
}

// comparison is one request at work.
type comparison struct {
	query         *gateway.WhatIf
	at            *whatIfCursor
	before, after *policies.Snapshot
	// split: some function has traffic for several versions.
	split    bool
	deadline time.Time
	// compared counts events against the limit.
	compared atomic.Int64
	counts   []*counting
}

// compare compiles what is in force and the candidate.
func (w *whatIfs) compare(ctx context.Context, q *gateway.WhatIf, at *whatIfCursor) (*comparison, error) {
	revision, objects, err := w.resources.Snapshot(ctx)
	if err != nil {
		return nil, ledgerError(err)
	}
	switch at.revision {
	case revision:
	case 0:
		at.revision = revision
	default:
		return nil, fmt.Errorf("%w: resources are at revision %d now, they were at %d when this began: begin again", gateway.ErrConflict, revision, at.revision)
	}
	if at.offsets == nil {
		at.begin(w.log.Partitions(eventlog.Events))
	}
	c := &comparison{query: q, at: at}
	var faults resource.Faults
	if c.before, faults = w.compile(revision, objects, &c.split); len(faults) > 0 {
		return nil, fmt.Errorf("what is in force does not compile: %w", faults)
	}
	other, err := candidate(objects, q)
	if err != nil {
		return nil, err
	}
	if c.after, faults = w.compile(revision, other, &c.split); len(faults) > 0 {
		return nil, faults
	}
	for range min(max(1, runtime.GOMAXPROCS(0)/2), len(at.offsets)) {
		one, err := newCounting(c)
		if err != nil {
			return nil, err
		}
		c.counts = append(c.counts, one)
	}
	return c, nil
}

func (w *whatIfs) compile(revision uint64, objects []resource.Object, split *bool) (*policies.Snapshot, resource.Faults) {
	set, faults := resource.NewSet(revision, objects)
	if len(faults) > 0 {
		return nil, faults
	}
	set.Policies = slices.DeleteFunc(set.Policies, func(p *resource.Policy) bool { return p.Spec.Shadow() }) // they decide nothing
	for _, fn := range set.Functions {
		*split = *split || set.Route(fn.Metadata.Name).Split()
	}
	return policies.Compile(set, w.cfg)
}

// candidate is what would be in force: the objects written as apply does, and
// without what is to be removed.
func candidate(current []resource.Object, q *gateway.WhatIf) ([]resource.Object, error) {
	var faults resource.Faults
	for i := range q.Objects {
		q.Objects[i].Metadata.Revision = 0 // whatever is there is replaced
	}
	plan, err := planWrite(current, q.Objects, gateway.Condition{})
	if err != nil {
		return nil, err
	}
	var gone []resource.Object
	for _, e := range plan.edits {
		if e.Delete {
			gone = append(gone, e.Object)
		}
	}
	objects := append(others(others(slices.Clone(current), gone), plan.after), plan.after...)
	for _, r := range q.Remove {
		n := len(objects)
		objects = slices.DeleteFunc(objects, func(o resource.Object) bool {
			name := o.Metadata.Name
			if fn, _, kept := resource.CutVersion(name); kept && o.Kind == resource.KindFunction && r.Name == fn {
				name = fn // a function goes with its versions
			}
			return o.Kind == r.Kind && name == r.Name
		})
		if len(objects) == n {
			faults = append(faults, resource.Fault{Resource: r.Kind + "/" + r.Name, Problem: "is not there: nothing to remove"})
		}
	}
	return objects, faults.Err()
}

// run reads the log with all readers until it is read, or time is up.
func (c *comparison) run(ctx context.Context, log *eventlog.Log) error {
	parts := c.at.partitions()
	resumed := make([]int64, len(parts))
	errs := make([]error, len(c.counts))
	var next atomic.Int64
	var wg sync.WaitGroup
	for i, one := range c.counts {
		wg.Go(func() {
			for errs[i] == nil {
				n := int(next.Add(1)) - 1
				if n >= len(parts) {
					return
				}
				if resumed[n] = c.at.offsets[parts[n]]; n > 0 && (c.late() || c.full()) {
					continue // the first one is always read: each request gets on
				}
				resumed[n], errs[i] = c.read(ctx, log, one, parts[n])
			}
		})
	}
	wg.Wait()
	for n, p := range parts {
		c.at.offsets[p] = resumed[n]
		if resumed[n] == done {
			delete(c.at.offsets, p)
		}
	}
	return errors.Join(errs...)
}

// read compares the events of one partition, and returns where to go on.
func (c *comparison) read(ctx context.Context, log *eventlog.Log, count *counting, part int32) (resume int64, err error) {
	start := c.at.offsets[part]
	from := eventlog.FromPositions(event.Position{Partition: part, Offset: start})
	switch {
	case start == fromSince && c.at.since.IsZero():
		from = eventlog.Earliest()
	case start == fromSince:
		from = eventlog.Since(c.at.since)
	}
	resume = done
	n := 0
	err = log.Read(ctx, eventlog.Events, from, eventlog.ReadOptions{Partition: &part}, func(rec event.Record) error {
		if n++; n%whatIfYield == 0 {
			if c.late() {
				resume = rec.Offset
				return eventlog.ErrStop
			}
			count.rest()
		}
		if rec.Timestamp.After(c.at.until.Add(outOfOrder)) {
			return eventlog.ErrStop
		}
		if rec.Event == nil || rec.Timestamp.Before(c.at.since) || !rec.Timestamp.Before(c.at.until) || !count.asked(rec.Event) {
			return nil
		}
		if !c.take() {
			resume = rec.Offset
			return eventlog.ErrStop
		}
		return count.event(ctx, &rec)
	})
	return resume, err
}

// whatIfRest is how long a reader works and rests in turns where it has the
// only processor.
const whatIfRest = 2 * time.Millisecond

// rest lets others run.
func (n *counting) rest() {
	if runtime.GOMAXPROCS(0) > 1 {
		runtime.Gosched()
	} else if time.Since(n.rested) > whatIfRest {
		time.Sleep(whatIfRest)
		n.rested = time.Now()
	}
}

func (c *comparison) late() bool { return !time.Now().Before(c.deadline) }

// full reports whether the limit is reached, take counts one event against it.
func (c *comparison) full() bool {
	return c.query.Limit > 0 && c.compared.Load() >= int64(c.query.Limit)
}

func (c *comparison) take() bool {
	return c.compared.Add(1) <= int64(c.query.Limit) || c.query.Limit == 0
}

// The offsets of a cursor that are none.
const (
	// fromSince: the partition was not begun.
	fromSince = -1
	// done: it was read to the end.
	done = -2
)

// whatIfCursor is where a request goes on, and what it began with.
type whatIfCursor struct {
	revision     uint64
	since, until time.Time
	// offsets are those of the partitions that are not done.
	offsets map[int32]int64
}

// resume reads the cursor of a query; without one it begins.
func (w *whatIfs) resume(q *gateway.WhatIf) (whatIfCursor, error) {
	c := whatIfCursor{since: q.Since, until: q.Until}
	if q.Cursor == "" {
		if now := w.now(); c.until.IsZero() || c.until.After(now) {
			c.until = now
		}
		return c, nil
	}
	var err error
	parts := strings.Split(q.Cursor, "/")
	if len(parts) == 4 {
		c.revision, err = strconv.ParseUint(parts[0], 10, 64)
		if err == nil && parts[1] != "" {
			c.since, err = time.Parse(time.RFC3339Nano, parts[1])
		}
		if err == nil {
			c.until, err = time.Parse(time.RFC3339Nano, parts[2])
		}
		if err == nil {
			c.offsets, err = parseCursor(parts[3])
		}
	}
	if len(parts) != 4 || err != nil || c.revision == 0 {
		return c, fmt.Errorf("%w: cursor: want next of the answer before", gateway.ErrQuery)
	}
	return c, nil
}

func (c *whatIfCursor) begin(partitions int32) {
	c.offsets = make(map[int32]int64, partitions)
	for p := range partitions {
		c.offsets[p] = fromSince
	}
}

// partitions are those that are not done, in order.
func (c *whatIfCursor) partitions() []int32 {
	parts := make([]int32, 0, len(c.offsets))
	for p := range c.offsets {
		parts = append(parts, p)
	}
	slices.Sort(parts)
	return parts
}

// String is "" at the end.
func (c *whatIfCursor) String() string {
	if len(c.offsets) == 0 {
		return ""
	}
	places := make([]string, 0, len(c.offsets))
	for _, p := range c.partitions() {
		places = append(places, event.Position{Partition: p, Offset: c.offsets[p]}.String())
	}
	since := ""
	if !c.since.IsZero() {
		since = c.since.Format(time.RFC3339Nano)
	}
	return strings.Join([]string{strconv.FormatUint(c.revision, 10), since, c.until.Format(time.RFC3339Nano), strings.Join(places, ",")}, "/")
}
