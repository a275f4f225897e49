package dispatcher

import (
	"context"
	"fmt"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/failpoint"
	"github.com/signalbox-dev/signalbox/resource"
)

// scratch is what Handle needs for one batch; it is pooled.
type scratch struct {
	recs     []event.Record // the events of a batch that holds other records too
	verdicts []event.Verdict
	targets  []resource.Target
	run      event.Run
	now      time.Time // when the batch was taken up
}

// Handle takes the records of one partition in the order of their offsets, on
// that partition's goroutine. It blocks while a lane is full (or, with parked
// topics, while ParkWindow deliveries are on their way there). settle is called
// once for each record, from any goroutine, when every delivery of it has a
// durable outcome. When ctx ends Handle returns soon; what then has no outcome
// within DrainTimeout is never settled. ctx must be the same for all batches of
// one time of owning the partition. The slice may be used again after Handle
// returned, what its records point at may not.
func (d *Dispatcher) Handle(ctx context.Context, recs []event.Record, settle func(offset int64)) {
	if len(recs) == 0 {
		return
	}
	s := d.session(ctx, recs[0].Partition)
	if s == nil || !s.acquire() {
		return
	}
	defer s.release()
	sc := d.scratches.Get().(*scratch)
	defer d.freeScratch(sc)
	if !d.claim(s, recs, sc) {
		return
	}
	failpoint.Hit(failpoint.DispatcherClaimed)
	events := 0
	sc.now = d.parts.Now()
	if sc.now.Sub(s.toldAt) >= retellChoosing {
		s.chosenBy = noRevision
	}
	for i := range recs {
		if s.ctx.Err() != nil {
			return
		}
		v := event.FirstSight
		if recs[i].Event != nil {
			v = sc.verdicts[events]
			events++
		}
		if !d.handle(s, sc, &recs[i], v, settle) {
			return
		}
	}
}

func (d *Dispatcher) freeScratch(sc *scratch) {
	clear(sc.recs)
	clear(sc.targets[:cap(sc.targets)])
	sc.run = event.Run{}
	d.scratches.Put(sc)
}

// claim fills sc.verdicts, one for each event of recs. It is false when the
// session ended before that was possible.
func (d *Dispatcher) claim(s *session, recs []event.Record, sc *scratch) bool {
	events := sc.events(recs)
	sc.verdicts = append(sc.verdicts[:0], make([]event.Verdict, len(events))...)
	if len(events) == 0 {
		return true
	}
	for n := 1; ; n++ {
		start := d.parts.Now()
		err := d.parts.Deduper.Claim(s.ctx, events, sc.verdicts)
		if f := d.parts.Observer.Claimed; f != nil {
			f(len(events), d.parts.Now().Sub(start), err)
		}
		if s.ctx.Err() != nil {
			return false
		}
		d.noteClaim(err)
		if err == nil {
			return true
		}
		if d.cfg.Dedup == DedupDeliver {
			clear(sc.verdicts)
			return true
		}
		if !d.pause(s.ctx, n) {
			return false
		}
	}
}

// noteClaim logs when claims begin to fail, and when they work again.
func (d *Dispatcher) noteClaim(err error) {
	failing := err != nil
	if d.unclaimed.Load() == failing || d.unclaimed.Swap(failing) == failing {
		return
	}
	if failing {
		d.log.Warn("events cannot be claimed: duplicates are not recognised", "mode", d.cfg.Dedup, "error", err)
		return
	}
	d.log.Info("events can be claimed again", "mode", d.cfg.Dedup)
}

// events returns the records that are events: recs itself when all are.
func (sc *scratch) events(recs []event.Record) []event.Record {
	sc.recs = sc.recs[:0]
	for i := range recs {
		if recs[i].Event == nil {
			sc.recs = append(sc.recs, recs[:i]...)
			for _, r := range recs[i:] {
				if r.Event != nil {
					sc.recs = append(sc.recs, r)
				}
			}
			return sc.recs
		}
	}
	return recs
}

// handle takes one record as far as its lanes. It is false when the session ended.
func (d *Dispatcher) handle(s *session, sc *scratch, rec *event.Record, v event.Verdict, settle func(int64)) bool {
	if rec.Event == nil {
		return d.refuse(s, rec, 0, noEvent(rec), settle)
	}
	if v == event.Duplicate {
		if f := d.parts.Observer.Duplicate; f != nil {
			f(rec)
		}
		settle(rec.Offset)
		return true
	}
	if hops := event.Hops(rec.Event); hops > d.cfg.MaxHops {
		return d.refuse(s, rec, 0, errLooped(rec.Event, hops, d.cfg.MaxHops), settle)
	}
	if err := d.chainAge(rec); err != nil {
		return d.refuse(s, rec, 0, err, settle)
	}
	choice, err := d.choose(s, rec, sc.targets[:0])
	if s.ctx.Err() != nil {
		return false
	}
	if choice.Revision != s.chosenBy {
		s.chose(rec, choice.Revision, sc.now)
	}
	if err != nil {
		return d.refuse(s, rec, choice.Revision, fmt.Errorf("choosing functions: %w", err), settle)
	}
	failpoint.Hit(failpoint.DispatcherChosen)
	if n := len(choice.Targets); n > cap(sc.targets) {
		sc.targets = make([]resource.Target, 0, 2*n) // for the next event; choice's may belong to the Chooser
	}
	return d.fanOut(s, sc, rec, choice, settle)
}

func noEvent(rec *event.Record) error {
	if rec.Fault == nil {
		return event.ErrNotEvent
	}
	return rec.Fault
}

// choose asks the Chooser, several times if need be.
func (d *Dispatcher) choose(s *session, rec *event.Record, buf []resource.Target) (Choice, error) {
	start := d.parts.Now()
	for n := 1; ; n++ {
		choice, err := d.parts.Chooser.Choose(s.ctx, rec, buf)
		if err != nil {
			if !isFinal(err) && n < d.cfg.ChooseAttempts && d.pause(s.ctx, n) {
				continue
			}
			return choice, err
		}
		if f := d.parts.Observer.Chosen; f != nil {
			f(rec, len(choice.Targets), len(choice.Denied), d.parts.Now().Sub(start))
		}
		return choice, nil
	}
}

// refuse makes the record itself a dead letter. It is false when the session
// ended before that was written.
func (d *Dispatcher) refuse(s *session, rec *event.Record, revision uint64, why error, settle func(int64)) bool {
	dl := &event.DeadLetter{
		ID:       event.DeadLetterID(rec.Position, "", 0),
		Event:    rec.Event,
		Reason:   why.Error(),
		Attempts: []event.Attempt{},
		Revision: revision,
		Position: rec.Position.String(),
		Time:     d.parts.Now(),
		TraceID:  traceID(rec.TraceParent),

		TraceParent: rec.TraceParent, TraceState: rec.TraceState,
	}
	if rec.Event == nil {
		dl.Raw = rec.Message
	}
	if !d.writeDeadLetter(s, nil, dl) {
		return false
	}
	settle(rec.Offset)
	return true
}

// fanOut hands one delivery for each target to its lane.
func (d *Dispatcher) fanOut(s *session, sc *scratch, rec *event.Record, choice Choice, settle func(int64)) bool {
	for _, den := range choice.Denied {
		d.drop(sc, rec, choice.Revision, laneKey{name: den.Function}, den.Link, ClassPolicy, "denied: "+den.Reason)
	}
	if len(choice.Targets) == 0 {
		settle(rec.Offset)
		return true
	}
	p := d.newPending(s, rec, settle, len(choice.Targets), choice.Revision)
	plan := planOf(rec.Event)
	for _, t := range choice.Targets {
		if !d.deliver(s, sc, p, t, plan) {
			return false
		}
	}
	return true
}

// deliver starts one delivery of p, or decides that it is not made, or later.
// It is false when the session ended.
func (d *Dispatcher) deliver(s *session, sc *scratch, p *pending, t resource.Target, plan plan) bool {
	if d.parts.Cursors != nil {
		skip, err := d.parts.Cursors.Skip(s.ctx, t.Link, p.rec.Position)
		if err != nil {
			return false // the session has ended
		}
		if skip {
			p.done()
			return true
		}
	} else if t.Link.Spec.Paused {
		d.drop(sc, &p.rec, p.revision, keyOf(t), t.Link.Metadata.Name, ClassPaused, "the link is paused")
		p.done()
		return true
	}
	if plan.expired(sc.now) {
		d.drop(sc, &p.rec, p.revision, keyOf(t), t.Link.Metadata.Name, ClassExpired, plan.why())
		p.done()
		return true
	}
	dl := d.newDelivery(p, t)
	dl.since = sc.now
	if plan.after.After(sc.now) {
		dl.due = plan.after
	}
	if id, inOrder := ordered(dl); inOrder {
		return d.enqueueOrdered(s, dl, id)
	}
	return d.enqueue(s, dl, true)
}

// enqueue brings a delivery of the live stream to its lane. One that finds no
// room, or would have to wait there for long, is parked, unless wait is set and
// waiting is better (see overload); without parked topics it waits, and the
// partition with it. It is false when the session ended.
func (d *Dispatcher) enqueue(s *session, dl *delivery, wait bool) bool {
	parks := d.parts.Parking != nil
	if parks && dl.due.Sub(dl.since) > d.cfg.ParkAfter {
		d.putAway(dl, event.ParkDelay, dl.due)
		return s.parks.wait()
	}
	var since time.Time // when it found no room
	for {
		l := d.lane(keyOf(dl.target))
		a, space := l.push(dl)
		switch {
		case a == admitted:
			return true
		case a == laneClosed:
			d.putAway(dl, event.ParkClosed, time.Time{})
			return s.parks.wait()
		case a == laneFull && parks:
			if since.IsZero() {
				since = d.parts.Now()
			}
			if !wait || !d.waitForRoom(s, l, dl, space, since) {
				d.putAway(dl, event.ParkFull, time.Time{})
				return s.parks.wait()
			}
		case a == laneFull:
			select {
			case <-space:
			case <-s.ctx.Done():
			}
		}
		if s.ended.Load() || s.ctx.Err() != nil {
			d.forsake(dl)
			return false
		}
	}
}

// drop records that a delivery was not made, on purpose.
func (d *Dispatcher) drop(sc *scratch, rec *event.Record, revision uint64, fn laneKey, link string, class Class, why string) {
	sc.run = event.Run{
		ID:          event.RunID(rec.Position, link, 0),
		Link:        link,
		Function:    fn.name,
		Version:     fn.version,
		EventSource: rec.Event.Source,
		EventID:     rec.Event.ID,
		EventType:   rec.Event.Type,
		Position:    rec.Position.String(),
		Outcome:     event.Dropped,
		Reason:      why,
		Time:        d.parts.Now(),
		TraceID:     traceID(rec.TraceParent),
		Revision:    revision,
	}
	d.report(rec, &sc.run, class)
}

// report passes a run record on to whoever wants it.
func (d *Dispatcher) report(rec *event.Record, run *event.Run, class Class) {
	d.parts.Log.Run(run)
	if f := d.parts.Observer.Delivered; f != nil {
		f(rec, run, string(class))
	}
}

// ended reports the outcome of a delivery.
func (d *Dispatcher) ended(dl *delivery, run *event.Run, class Class) {
	d.report(&dl.p.rec, run, class)
	if f := d.parts.Observer.Redriven; f != nil && dl.redrive() > 0 {
		f(run)
	}
}
