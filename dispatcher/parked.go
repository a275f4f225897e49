package dispatcher

import (
	"context"
	"fmt"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/failpoint"
	"github.com/signalbox-dev/signalbox/resource"
)

// HandleParked takes records of the function's parked topic, in the order of
// their offsets, on the goroutine of that topic's partition. It blocks while
// the function's lane has no room for them. For ctx and settle see Handle.
func (d *Dispatcher) HandleParked(ctx context.Context, function string, recs []event.Record, settle func(offset int64)) {
	if len(recs) == 0 {
		return
	}
	s := d.session(ctx, recs[0].Partition)
	if s == nil || !s.acquire() {
		return
	}
	defer s.release()
	for i := range recs {
		if s.ctx.Err() != nil || !d.handleParked(s, function, &recs[i], settle) {
			return
		}
	}
}

// handleParked takes one record as far as its lane. It is false when the session ended.
func (d *Dispatcher) handleParked(s *session, function string, rec *event.Record, settle func(int64)) bool {
	failpoint.Hit(failpoint.DispatcherParkedTaken)
	c, reports, err := event.ParseCompletion(rec.Message, maxReported)
	if reports && err == nil {
		d.handleCompletion(s, rec, c, settle)
		return true
	}
	var what event.Parked
	if !reports {
		what, err = event.ParseParked(rec.Message)
	}
	if err != nil {
		return d.refuse(s, rec, 0, fmt.Errorf("topic of %s: %w", function, err), settle)
	}
	pos, _ := event.ParsePosition(what.Position) // ParseParked has read it
	ev := event.Record{
		Position: pos, Event: what.Event, Timestamp: what.Accepted,
		TraceParent: rec.TraceParent, TraceState: rec.TraceState, Message: event.Message{Key: what.Key},
	}
	p := d.newPending(s, &ev, settle, 1, what.Revision)
	p.offset = rec.Offset
	dl := d.newDelivery(p, d.parts.Targets.Target(&what))
	dl.parked, dl.attempt, dl.free, dl.attempts, dl.due = &what, what.Attempt, what.Free, what.Attempts, what.NotBefore
	dl.leased = what.Leased
	id, inOrder := ordered(dl)
	if !inOrder {
		return d.startParked(s, dl, true)
	}
	b := &s.book
	b.mu.Lock()
	if q := b.keys[id]; q != nil {
		if repeats(dl, q) {
			b.mu.Unlock()
			d.forget(dl)
			return true
		}
		q.waiting = append(q.waiting, dl)
		b.mu.Unlock()
		return true
	}
	b.open(dl, id)
	b.mu.Unlock()
	return d.startParked(s, dl, true)
}

// startParked brings a parked delivery, the head of its key if it has one, to
// its lane, unless it is a dead letter or its link is paused. With wait it
// blocks while the lane has no room. It is false when the session ended.
func (d *Dispatcher) startParked(s *session, dl *delivery, wait bool) bool {
	dl.target = d.retarget(dl) // it may have waited for long
	dl.spec = dl.target.Link.Spec.Delivery.WithDefaults()
	if d.holdsKey(dl) && d.hold(s, dl, dl.parked.Letter == letterID(dl)) {
		return s.ctx.Err() == nil
	}
	if d.leased(s, dl) {
		return s.ctx.Err() == nil
	}
	if dl.target.Link.Spec.Paused || d.mayBeLeased(s, dl) {
		s.pause(dl)
		return true
	}
	return d.toLane(s, dl, wait)
}

func (d *Dispatcher) toLane(s *session, dl *delivery, wait bool) bool {
	dl.since = d.parts.Now()
	for s.ctx.Err() == nil {
		l := d.lane(keyOf(dl.target))
		if !wait {
			if l.force(dl) {
				return true
			}
			continue
		}
		if d.rotates(s, l, dl) {
			return true
		}
		a, space := l.push(dl)
		if a == admitted {
			return true
		}
		if space != nil {
			select {
			case <-space:
			case <-s.ctx.Done():
			}
		}
	}
	d.forsake(dl)
	return false
}

// What is due later than rotateAfter makes room for what stands behind it in
// the log, when many wait: it goes to the end, at most one each rotatePace.
const (
	rotateAfter = 10 * time.Second
	rotatePace  = 10 * time.Millisecond
)

func (d *Dispatcher) rotates(s *session, l *lane, dl *delivery) bool {
	if dl.key != nil || dl.due.Sub(d.parts.Now()) < rotateAfter || !l.crowded() {
		return false
	}
	t := time.NewTimer(rotatePace)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
		return false
	}
	d.park(dl, dl.parked.Reason, dl.due)
	return true
}

// keep holds the key of a delivery that has just become a dead letter.
func (d *Dispatcher) keep(dl *delivery, letter string) {
	if !dl.live() {
		d.hold(dl.p.session, dl, true)
		return
	}
	dl.letter = letter
	d.putAway(dl, event.ParkDead, time.Time{})
}

// hold keeps a delivery that is a dead letter, with its key, until something
// is decided about it; buried says that it is known to be one. It is false when
// the delivery is to be made: it is no dead letter, or was sent again.
func (d *Dispatcher) hold(s *session, dl *delivery, buried bool) bool {
	id := letterID(dl)
	b := &s.book
	b.mu.Lock()
	if b.held == nil {
		b.held = map[string]*delivery{}
	}
	b.held[id] = dl // before asking: what is decided from now on is not missed
	if _, known := b.dead[id]; known {
		buried = true
		delete(b.dead, id)
	}
	b.mu.Unlock()
	r, state, err := d.parts.Letters.State(s.ctx, id)
	switch {
	case err != nil: // the session has ended
		return true
	case state == LetterResolved:
		d.decide(s, r)
		return true
	case state == LetterOpen || buried:
		return true
	}
	b.mu.Lock()
	_, mine := b.held[id]
	delete(b.held, id)
	b.mu.Unlock()
	return !mine // else somebody has decided meanwhile, and took it
}

func letterID(dl *delivery) string {
	return event.DeadLetterID(dl.p.rec.Position, dl.target.Link.Metadata.Name, dl.redrive())
}

// Resolve acts on a decision about a dead letter that holds its key. It is
// called for each decision that the log has, in any process; it blocks no
// longer than it takes to start a delivery.
func (d *Dispatcher) Resolve(r event.Resolution) {
	for _, s := range d.owned() {
		d.decide(s, r)
	}
}

func (d *Dispatcher) decide(s *session, r event.Resolution) {
	if !s.acquire() {
		return
	}
	defer s.release()
	s.book.mu.Lock()
	dl := s.book.held[r.Letter]
	delete(s.book.held, r.Letter)
	s.book.mu.Unlock()
	if dl == nil {
		return
	}
	if r.Action == event.Drop {
		d.discard(dl, ClassDropped, "dropped as dead letter "+r.Letter)
		return
	}
	again := *dl.parked
	again.Redrive++
	again.Letter, again.Reason = r.Letter, event.ParkRedrive
	if r.Version != "" {
		again.Version = r.Version
	}
	if r.Event != nil {
		again.Event, dl.p.rec.Event = r.Event, r.Event
	}
	dl.parked, dl.attempt, dl.free, dl.attempts, dl.due = &again, 0, 0, nil, time.Time{}
	dl.p.rec.Timestamp = r.Time // its age counts anew
	d.startParked(s, dl, false)
}

// discard ends a delivery on purpose and reports why.
func (d *Dispatcher) discard(dl *delivery, class Class, why string) {
	p, rec := dl.p, &dl.p.rec
	run := event.Run{
		ID: runID(dl), Link: dl.target.Link.Metadata.Name,
		Function: dl.target.Function.Metadata.Name, Version: dl.target.Function.Spec.Version,
		EventSource: rec.Event.Source, EventID: rec.Event.ID, EventType: rec.Event.Type,
		Position: p.position, Attempt: dl.attempt, Outcome: event.Dropped, Reason: why,
		Time: d.parts.Now(), TraceID: traceID(rec.TraceParent), Revision: p.revision,
	}
	if dl.span != nil {
		dl.span.End(event.Dropped, why, dl.attempt)
	}
	d.ended(dl, &run, class)
	d.settleDelivery(dl)
}

// settleDelivery ends a delivery with a durable outcome, and starts the next
// of its key. The caller holds the session.
func (d *Dispatcher) settleDelivery(dl *delivery) {
	q, s, offset := dl.key, dl.p.session, dl.p.rec.Offset
	if q != nil {
		s.book.mu.Lock()
		q.head = nil // nobody may take it for unfinished from here on
		s.book.mu.Unlock()
	}
	d.forget(dl)
	if q != nil {
		d.advance(s, q, offset)
	}
}

// unpause starts the parked deliveries whose links are no longer paused, and
// those of which it is known now that they are under no lease.
func (d *Dispatcher) unpause(s *session) {
	if !s.acquire() {
		return
	}
	defer s.release()
	for _, dl := range s.takePaused() {
		dl.target = d.retarget(dl)
		dl.spec = dl.target.Link.Spec.Delivery.WithDefaults()
		switch {
		case d.leased(s, dl):
		case dl.target.Link.Spec.Paused || d.mayBeLeased(s, dl):
			s.pause(dl)
		default:
			d.toLane(s, dl, false)
		}
	}
}

// retarget finds the resources of a parked delivery as they are now.
func (d *Dispatcher) retarget(dl *delivery) resource.Target {
	return d.parts.Targets.Target(dl.parked)
}

// freshen gives a live delivery that becomes the head of its key the version
// of its function as of now. What came before it from the parked topic had that
// version, and a key must not go back to an older one.
func (d *Dispatcher) freshen(dl *delivery) {
	if d.parts.Targets != nil {
		dl.target = d.parts.Targets.Again(dl.target, &dl.p.rec, dl.p.revision)
	}
}

// moves brings a delivery whose call is due to another lane, when its function
// or the version of it is another one by now: one that comes from the parked
// topic always, one of the live stream when its version cannot be called. The
// caller holds the session.
func (d *Dispatcher) moves(l *lane, dl *delivery, callable bool) bool {
	if d.parts.Targets == nil || dl.live() && callable {
		return false
	}
	if !dl.live() {
		t := d.retarget(dl)
		if keyOf(t) == l.key {
			return false
		}
		dl.due = time.Time{}
		d.toTarget(dl.p.session, dl, t)
		return true
	}
	t := d.parts.Targets.Again(dl.target, &dl.p.rec, dl.p.revision)
	if keyOf(t) == l.key {
		return false
	}
	dl.target, dl.due = t, time.Time{}
	d.toLane(dl.p.session, dl, false)
	return true
}

// Reroute brings parked deliveries that wait for a function, or for a version
// of one, to which they do not go any more, to where they go now. They do not
// wait any longer: what one has refused says nothing of the other. It is to be
// called when Targets answer by something newer.
func (d *Dispatcher) Reroute() {
	if d.parts.Targets == nil {
		return
	}
	for _, l := range d.snapshot() {
		gone := l.remove(func(dl *delivery) bool { return !dl.live() && keyOf(d.retarget(dl)) != l.key })
		for _, dl := range gone {
			d.reroute(dl)
		}
	}
}

// reroute starts a parked delivery that was taken out of its lane; its session
// may have ended meanwhile.
func (d *Dispatcher) reroute(dl *delivery) {
	s := dl.p.session
	if !s.acquire() {
		d.forsake(dl)
		return
	}
	defer s.release()
	dl.due = planOf(dl.p.rec.Event).after
	d.toTarget(s, dl, d.retarget(dl))
}

// toTarget brings a parked delivery to the lane of a target, unless its link is paused.
func (d *Dispatcher) toTarget(s *session, dl *delivery, t resource.Target) {
	dl.target, dl.spec = t, t.Link.Spec.Delivery.WithDefaults()
	if t.Link.Spec.Paused {
		s.pause(dl)
		return
	}
	d.toLane(s, dl, false)
}
