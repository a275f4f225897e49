package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/otel/tracing"
	"github.com/signalbox-dev/signalbox/resource"
)

// result is what became of one dead letter.
type result struct {
	state   gateway.LetterState
	already bool
	err     error
}

// task is a dead letter that a decision is about.
type task struct {
	letter *gateway.Letter
	result *result
	// function and partition say where message is to be parked; function "":
	// it is an event to append. No message: the decision is all.
	function  string
	partition int32
	message   *event.Message
}

// errDecidedElsewhere: another request has begun to decide about it.
var errDecidedElsewhere = fmt.Errorf("%w: another request decides about this dead letter at the moment", gateway.ErrUnavailable)

// decide carries a decision out for dead letters, whose state is known as of
// now; the results are in the same order. An error is one of all of them. What
// is to be delivered is in the log before the decision is: a crash in between
// lets it be redriven again, but never lost.
func (d *letterDesk) decide(ctx context.Context, letters []gateway.Letter, what gateway.Decision) ([]result, error) {
	results := make([]result, len(letters))
	tasks, others := d.take(letters, results, what)
	defer d.release(tasks)
	if err := d.settled(ctx, tasks); err != nil {
		return nil, err
	}
	if what.Action == event.Redrive {
		if err := d.plan(ctx, tasks, what); err != nil {
			return nil, err
		}
	}
	if what.DryRun {
		return results, nil
	}
	others = append(others, d.claim(ctx, tasks)...)
	d.send(ctx, tasks)
	d.resolve(ctx, tasks, what)
	d.awaitOthers(ctx, others)
	return results, nil
}

// take makes tasks of those about which nothing was decided, and takes those
// among them about which no other request to this process is deciding.
func (d *letterDesk) take(letters []gateway.Letter, results []result, what gateway.Decision) (taken, others []*task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range letters {
		l, r := &letters[i], &results[i]
		t := &task{letter: l, result: r}
		r.state = gateway.StateAfter(what.Action)
		switch {
		case l.State != gateway.LetterOpen:
			r.state, r.already = l.State, true
		case d.busy[l.ID] && writtenTwice(taken, l.ID):
			r.already = true
		case d.busy[l.ID]:
			r.err = errDecidedElsewhere
			others = append(others, t)
		default:
			d.busy[l.ID] = true
			taken = append(taken, t)
		}
	}
	return taken, others
}

func (d *letterDesk) release(taken []*task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range taken {
		delete(d.busy, t.letter.ID)
	}
}

// writtenTwice: a dead letter may stand in the log more than once.
func writtenTwice(tasks []*task, id string) bool {
	for _, t := range tasks {
		if t.letter.ID == id {
			return true
		}
	}
	return false
}

// settled looks again, now that nobody else in this process decides about them.
func (d *letterDesk) settled(ctx context.Context, tasks []*task) error {
	if err := d.index.refresh(ctx); err != nil {
		return err
	}
	ids := make([]string, len(tasks))
	for i, t := range tasks {
		ids[i] = t.letter.ID
	}
	states, err := d.index.states(ctx, ids)
	for i, t := range tasks {
		if s := states[ids[i]]; err == nil && s != gateway.LetterOpen {
			t.result.state, t.result.already = s, true
		}
	}
	return err
}

// open are the tasks that have no result yet.
func open(tasks []*task) func(yield func(*task) bool) {
	return func(yield func(*task) bool) {
		for _, t := range tasks {
			if t.result.err == nil && !t.result.already && !yield(t) {
				return
			}
		}
	}
}

// plan says for each task what has to be delivered where.
func (d *letterDesk) plan(ctx context.Context, tasks []*task, what gateway.Decision) error {
	objects, err := d.functions.List(ctx, resource.KindFunction)
	if err != nil && !errors.Is(err, gateway.ErrUnavailable) {
		return err
	}
	known := err == nil // else the dispatcher finds out
	set, _ := resource.NewSet(0, objects)
	for t := range open(tasks) {
		if known {
			t.result.err = deliverable(&set, t.letter, what.Version)
		}
		if t.result.err == nil {
			t.result.err = d.prepare(t, what)
		}
	}
	return nil
}

// deliverable reports why there is nothing to deliver a dead letter to.
func deliverable(set *resource.Set, l *gateway.Letter, version string) error {
	if l.Function == "" {
		return nil
	}
	r := set.Route(l.Function)
	switch {
	case r == nil:
		return fmt.Errorf("%w: there is no function %s any more: apply it again, or drop the dead letter", gateway.ErrNotRedrivable, l.Function)
	case version != "" && set.Function(l.Function, version) == nil:
		return fmt.Errorf("%w: function %s has no version %q: want %s", gateway.ErrNotRedrivable, l.Function, version, versionsOf(r))
	}
	return nil
}

// versionsOf lists the versions of a function that have names.
func versionsOf(r *resource.Route) string {
	var names []string
	for _, fn := range r.Versions() {
		if fn.Spec.Version != "" {
			names = append(names, strconv.Quote(fn.Spec.Version))
		}
	}
	switch len(names) {
	case 0:
		return "none, it has only one without a name"
	case 1:
		return names[0]
	}
	return "one of " + strings.Join(names, ", ")
}

// prepare makes the message that redrives one. A dead letter that holds its
// key is revived by the dispatcher that holds it, once it reads the decision.
func (d *letterDesk) prepare(t *task, what gateway.Decision) error {
	l := t.letter
	if l.Function == "" {
		return d.prepareEvent(t, what)
	}
	if l.Held {
		return nil
	}
	pos, err := event.ParsePosition(l.Position)
	if err != nil || l.Link == "" || l.Event == nil {
		return fmt.Errorf("%w: it does not say which event of the log it was (position %q, link %q)", gateway.ErrNotRedrivable, l.Position, l.Link)
	}
	p := event.Parked{
		Event: l.Event, Key: l.Key, Link: l.Link, Function: l.Function, Version: what.Version,
		Position: l.Position, Accepted: d.now(), Revision: l.Revision,
		Reason: event.ParkRedrive, Letter: l.ID, Redrive: l.Redrive + 1,
	}
	if what.Event != nil {
		p.Event = what.Event
	}
	m := withTrace(p.Message(), tracing.FromHeaders(l.TraceParent, l.TraceState))
	t.function, t.partition, t.message = l.Function, pos.Partition, &m
	return nil
}

// extRedriveOf is the id that an event had when it became a dead letter before
// any function was chosen for it.
const extRedriveOf = "redriveof"

// prepareEvent sends an event through everything again, for which no function
// was chosen. It gets another id: with its own it would be a duplicate.
func (d *letterDesk) prepareEvent(t *task, what gateway.Decision) error {
	l, e := t.letter, what.Event
	switch {
	case what.Version != "":
		return fmt.Errorf("%w: no function had been chosen for it, so it goes to no version of one", gateway.ErrNotRedrivable)
	case e == nil && l.Event == nil:
		return fmt.Errorf("%w: the record was no event (%s): send an event in its place", gateway.ErrNotRedrivable, l.Reason)
	case e == nil:
		e = l.Event.Clone()
		e.SetExtension(extRedriveOf, e.ID)
		e.SetExtension(event.ExtChainStart, "") // somebody wants the chain to go on
		e.ID = "redrive-" + l.ID
	case l.Event != nil && e.Source == l.Event.Source && e.ID == l.Event.ID:
		return fmt.Errorf("%w: with the same source and id it would be dropped as a duplicate: give the event another id", gateway.ErrNotRedrivable)
	}
	m := withTrace(e.Message(), tracing.FromHeaders(l.TraceParent, l.TraceState))
	t.message = &m
	return nil
}

// send puts what is to be delivered into the log.
func (d *letterDesk) send(ctx context.Context, tasks []*task) {
	type ack struct {
		task *task
		err  error
	}
	acks := make(chan ack, len(tasks))
	waiting := map[*task]bool{}
	for t := range open(tasks) {
		if t.message == nil {
			continue
		}
		waiting[t] = true
		done := func(_ event.Position, err error) { acks <- ack{t, err} }
		if t.function == "" {
			d.log.AppendAsync(eventlog.Events, *t.message, done)
		} else {
			d.parked.Park(t.function, t.partition, *t.message, done)
		}
	}
	for len(waiting) > 0 {
		select {
		case a := <-acks:
			delete(waiting, a.task)
			a.task.result.err = gatewayError(a.err)
		case <-ctx.Done():
			for t := range waiting {
				t.result.err = fmt.Errorf("%w: the log did not answer in time; it may be redriven all the same", gateway.ErrUnavailable)
			}
			return
		}
	}
}

// resolve writes the decisions down.
func (d *letterDesk) resolve(ctx context.Context, tasks []*task, what gateway.Decision) {
	var messages []event.Message
	for t := range open(tasks) {
		r := event.Resolution{Letter: t.letter.ID, Action: what.Action, Version: what.Version, Event: what.Event, Time: d.now()}
		messages = append(messages, r.Message())
	}
	_, err := d.log.Append(ctx, eventlog.Dead, messages)
	if err == nil {
		return
	}
	for t := range open(tasks) {
		t.result.err = fmt.Errorf("it may be %s, but that could not be written down: %w", t.result.state, gatewayError(err))
	}
}

// The claims: a process that decides about a dead letter claims it for this
// slice of time and the next, so for claimSlice to twice that. Two that claim
// at about the same time meet in at least one of the slices.
const (
	claimSource = "/signalbox/deadletters"
	claimSlice  = 10 * time.Second
)

// claim returns those that another process has claimed. Without the ledger
// everything is ours, and two processes may redrive the same dead letter.
func (d *letterDesk) claim(ctx context.Context, tasks []*task) (lost []*task) {
	if d.claims == nil {
		return nil
	}
	slice := d.now().UnixNano() / int64(claimSlice)
	var owners []*task
	var recs []event.Record
	for t := range open(tasks) {
		for n := range int64(2) {
			id := fmt.Sprintf("%s/%d", t.letter.ID, slice+n)
			recs = append(recs, event.Record{Position: d.nonce, Event: &event.Event{Source: claimSource, ID: id}})
			owners = append(owners, t)
		}
	}
	verdicts := make([]event.Verdict, len(recs))
	if err := d.claims.Claim(ctx, recs, verdicts); err != nil {
		d.logger.Warn("dead letters are not claimed: one may be redriven twice if another process redrives it too", "error", err)
		return nil
	}
	for i, v := range verdicts {
		if t := owners[i]; v == event.Duplicate && t.result.err == nil {
			t.result.err = errDecidedElsewhere
			lost = append(lost, t)
		}
	}
	return lost
}

// otherWait is how long is waited for what another request decides.
const otherWait = 2 * time.Second

// awaitOthers waits shortly for what others decide about dead letters.
func (d *letterDesk) awaitOthers(ctx context.Context, lost []*task) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for until := d.now().Add(otherWait); len(lost) > 0 && d.now().Before(until); {
		if d.settled(ctx, lost) != nil {
			return
		}
		left := lost[:0]
		for _, t := range lost {
			if t.result.already {
				t.result.err = nil
				continue
			}
			left = append(left, t)
		}
		lost = left
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
