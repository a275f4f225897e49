package dispatcher

import (
	"errors"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// lentReported ends a lease by what the function reports: as its answer would
// have ended the call. The session is held.
func (d *Dispatcher) lentReported(dl *delivery, r *report) {
	l := d.lane(keyOf(dl.target))
	l.good()
	if !r.Done() {
		fail := &DeliveryError{Class: statusClass(r.Status), Status: r.Status, Permanent: judge(r.Status) == verdictDead && !r.PutOff, PutOff: r.PutOff}
		if r.Reason != "" {
			fail.Cause = errors.New(r.Reason)
		}
		d.lentFailed(dl, fail, r.Body)
		return
	}
	w := &worker{}
	if fail := d.lentReplies(w, dl, r); fail != nil {
		if dl.p.session.grace.Err() != nil {
			d.cutOff(dl)
			return
		}
		d.lentFailed(dl, fail, "")
		return
	}
	d.recordLent(w, dl)
	w.run.Outcome, w.run.Status = event.Delivered, r.Status
	l.finish(w, dl, "")
}

// lentReplies appends the events that were reported. The function was told
// that they are kept: they are tried until it is so.
func (d *Dispatcher) lentReplies(w *worker, dl *delivery, r *report) *DeliveryError {
	l := d.lane(keyOf(dl.target))
	for n := 1; ; n++ {
		fail := l.appendAnswer(w, dl, r.Replies, r.Status, dl.p.rec.TraceParent, dl.p.rec.TraceState)
		if fail == nil {
			fail = l.reported(dl, r)
		}
		if fail == nil || fail.Class != ClassAppend || !d.pause(dl.p.session.grace, n) {
			return fail
		}
	}
}

// lentFailed repeats a delivery whose lease ended without success, by the
// link's rules, or makes it a dead letter. The session is held.
func (d *Dispatcher) lentFailed(dl *delivery, fail *DeliveryError, body string) {
	l, w := d.lane(keyOf(dl.target)), &worker{}
	fail.Function, fail.Attempt = l.name, dl.attempt
	d.recordLent(w, dl)
	a := attemptOf(w, dl, fail, body)
	if !dl.leased.IsZero() {
		a.Time = dl.leased
	}
	dl.attempts = append(dl.attempts, a)
	if fail.PutOff {
		dl.free++
	}
	due, spent := l.nextAttempt(dl, fail)
	w.run.Status = fail.Status
	if spent != "" {
		w.run.Outcome, w.run.Reason = event.Dead, spent
		l.bury(w, dl, fail.Class)
		return
	}
	w.run.Outcome, w.run.Reason = event.Retrying, fail.reason()
	d.report(&dl.p.rec, &w.run, fail.Class)
	d.callAgain(dl, due)
}

// callAgain keeps a delivery whose lease has ended until its next call.
func (d *Dispatcher) callAgain(dl *delivery, due time.Time) {
	s := dl.p.session
	dl.due, dl.putOff, dl.leased = due, 0, time.Time{}
	if dl.live() {
		d.toLane(s, dl, false)
		return
	}
	again := *dl.parked
	again.Reason, again.NotBefore, again.Leased = event.ParkRetry, due, time.Time{}
	dl.parked = &again
	if dl.key == nil && due.Sub(d.parts.Now()) > d.cfg.ParkAfter {
		d.park(dl, event.ParkRetry, due)
		return
	}
	d.startParked(s, dl, false)
}

// recordLent fills in the run record of a lease's end: of now, and as long as
// the function had the delivery.
func (d *Dispatcher) recordLent(w *worker, dl *delivery) {
	now, took := d.parts.Now(), time.Duration(0)
	if !dl.leased.IsZero() {
		took = max(0, now.Sub(dl.leased))
	}
	l := d.lane(keyOf(dl.target))
	l.record(w, dl, now, took, traceID(dl.p.rec.TraceParent))
}

// lendingLane counts a lease to its function's lane.
func (d *Dispatcher) lendingLane(dl *delivery) *lane {
	for {
		if l := d.lane(keyOf(dl.target)); l.lent() {
			return l
		}
	}
}

// lent counts a lease; false when the lane is gone.
func (l *lane) lent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired {
		return false
	}
	l.leased++
	return true
}

// returned undoes lent.
func (l *lane) returned() {
	l.mu.Lock()
	l.leased--
	full := l.leased == l.d.cfg.MaxLeases-1
	l.mu.Unlock()
	if full {
		l.wake()
	}
}
