package dispatcher

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/failpoint"
)

// attempt makes the next call of dl and sees to what follows from it: dl is
// over, or waits again, when it returns. The session is held.
func (l *lane) attempt(w *worker, dl *delivery) {
	defer w.forget()
	start := l.d.parts.Now()
	if plan := planOf(dl.p.rec.Event); plan.expired(start) {
		if !l.gaveUp(dl, http.StatusGatewayTimeout, plan.why()) {
			l.d.cutOff(dl)
			return
		}
		l.d.discard(dl, ClassExpired, plan.why())
		return
	}
	rawURL, err := l.d.parts.Endpoints.URL(dl.target.Function)
	if l.d.moves(l, dl, err == nil) {
		return
	}
	var e *endpoint
	if err == nil {
		err = l.authenticate(w, dl, rawURL)
	}
	if err == nil {
		e, err = l.endpoint(rawURL, dl.spec.Timeout.D(), w.identity())
	}
	l.startSpan(dl)
	dl.attempt++
	if err != nil {
		fail := &DeliveryError{Function: l.name, Attempt: dl.attempt, Class: ClassNotReady, PutOff: true, Cause: err}
		l.record(w, dl, start, 0, traceID(dl.p.rec.TraceParent))
		l.putOff(w, dl, fail)
		return
	}
	trace, took, fail := l.call(w, dl, e, start)
	if fail != nil && dl.p.session.grace.Err() != nil {
		l.d.cutOff(dl) // maybe the call failed because of that: no outcome
		return
	}
	l.record(w, dl, start, took, trace)
	l.follow(w, dl, fail)
}

// follow sees to what follows from a call.
func (l *lane) follow(w *worker, dl *delivery, fail *DeliveryError) {
	switch {
	case fail == nil && w.lease > 0:
		l.good()
		l.lend(w, dl)
	case fail == nil:
		l.good()
		w.run.Outcome, w.run.Status = event.Delivered, w.resp.StatusCode()
		l.finish(w, dl, "")
	case fail.PutOff:
		l.putOff(w, dl, fail)
	case fail.Permanent:
		l.good() // it is there, and said no
		l.failed(w, dl, fail, bodyStart(w, fail))
	default:
		l.faulty(dl.p.position, w.run.Time)
		l.failed(w, dl, fail, bodyStart(w, fail))
	}
}

// call makes one call within its span and appends what it answers with. It
// returns the trace id, how long the call alone took, and its failure.
func (l *lane) call(w *worker, dl *delivery, e *endpoint, start time.Time) (trace string, took time.Duration, fail *DeliveryError) {
	traceparent, tracestate := dl.p.rec.TraceParent, dl.p.rec.TraceState
	var span AttemptSpan
	if dl.span != nil {
		if span = dl.span.Attempt(dl.attempt, e.url); span != nil {
			traceparent, tracestate = span.Context()
		}
	}
	w.prepare(dl, e, traceparent, tracestate)
	if l.key.callsBack() {
		w.toCaller(dl.p.rec.Event)
	}
	w.present(start)
	failpoint.Hit(failpoint.DispatcherCallBefore)
	err := e.call(w)
	failpoint.Hit(failpoint.DispatcherCallAfter)
	took = l.d.parts.Now().Sub(start)
	w.took = took
	fail = l.d.failure(&w.resp, err)
	w.lease = 0
	if err == nil && !l.key.callsBack() {
		w.noteSent()
	}
	switch {
	case fail != nil || err != nil || l.key.callsBack():
	case judge(w.resp.StatusCode()) == verdictReply:
		fail = l.takeReplies(w, dl, traceparent, tracestate)
	default:
		w.lease, fail = leaseOf(&w.resp)
	}
	if fail == nil && w.lease == 0 {
		fail = l.answered(w, dl, traceparent, tracestate)
	}
	status := w.resp.StatusCode()
	if fail = w.presented(fail); fail != nil {
		fail.Function, fail.Attempt = l.name, dl.attempt
		status = fail.Status
	}
	if span != nil {
		span.End(status, fail)
	}
	return traceID(traceparent), took, fail
}

func (l *lane) startSpan(dl *delivery) {
	if t := l.d.parts.Tracer; t != nil && !dl.traced {
		dl.traced = true
		dl.span = t.Delivery(&dl.p.rec, dl.target, dl.p.revision)
	}
}

// record fills in what the run record of every outcome has.
func (l *lane) record(w *worker, dl *delivery, start time.Time, took time.Duration, trace string) {
	rec, link := &dl.p.rec, dl.target.Link.Metadata.Name
	replies, id := w.run.Replies, w.runID
	if id == "" { // no call was made by this worker
		id = runID(dl)
	}
	w.run = event.Run{
		ID:          id,
		Link:        link,
		Function:    l.key.name,
		Version:     l.key.version,
		EventSource: rec.Event.Source,
		EventID:     rec.Event.ID,
		EventType:   rec.Event.Type,
		Position:    dl.p.position,
		Attempt:     dl.attempt,
		Time:        start,
		DurationMS:  milliseconds(took),
		TraceID:     trace,
		Revision:    dl.p.revision,
		Replies:     replies,
	}
}

// runID names the run of the delivery's present attempt.
func runID(dl *delivery) string {
	id := event.RunID(dl.p.rec.Position, dl.target.Link.Metadata.Name, dl.attempt)
	if dl.parked != nil && dl.parked.Replay != "" {
		id += "-" + dl.parked.Replay
	}
	if n := dl.redrive(); n > 0 {
		id += "-r" + strconv.Itoa(n)
	}
	return id
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// bodyLimit is how much of an answer's body is kept of a failed attempt.
const bodyLimit = 1024

// bodyStart is the start of the answer's body, when there was an answer.
func bodyStart(w *worker, fail *DeliveryError) string {
	if fail.Status == 0 {
		return ""
	}
	b := w.resp.Body()
	if w.caller != nil {
		b = w.caller.Redact(b)
	}
	return strings.ToValidUTF8(string(b[:min(len(b), bodyLimit)]), "\uFFFD")
}

// finish reports the outcome that w.run has, which is durable, and settles
// unless the session's time is over.
func (l *lane) finish(w *worker, dl *delivery, class Class) {
	if dl.span != nil {
		dl.span.End(w.run.Outcome, w.run.Reason, dl.attempt)
	}
	l.d.ended(dl, &w.run, class)
	l.d.settleDelivery(dl)
}

// putOff keeps a delivery for later that the function did not take. That
// spends no attempt; only maxAge ends it.
func (l *lane) putOff(w *worker, dl *delivery, fail *DeliveryError) {
	wait := fail.RetryAfter
	if fail.Class == ClassNotReady { // asking again is cheap, and it may start at any moment
		wait = notReadyWait
	}
	l.refused(w.run.Time, wait)
	now := l.d.parts.Now()
	end := dl.expires()
	if !end.IsZero() && !now.Before(end) {
		dl.attempts = append(dl.attempts, attemptOf(w, dl, fail, bodyStart(w, fail)))
		w.run.Status, w.run.Outcome = fail.Status, event.Dead
		w.run.Reason = fmt.Sprintf("older than maxAge %s, and the function did not take it, the last time: %s", dl.spec.MaxAge, fail.reason())
		l.bury(w, dl, fail.Class)
		return
	}
	if fail.Class == ClassNotReady {
		dl.attempt-- // there was no call
	} else {
		dl.free++
	}
	dl.putOff++
	limit := min(dl.spec.Backoff.Max.D(), l.d.cfg.BreakerMax)
	if wait == 0 {
		wait = max(time.Millisecond, backoff(min(dl.spec.Backoff.Initial.D(), limit), limit, dl.putOff, l.d.parts.Rand()))
	}
	l.again(w, dl, fail, l.within(dl, now.Add(wait)))
}

// notReadyWait is the time between questions for the endpoint of a function
// that has none.
const notReadyWait = 100 * time.Millisecond

// within is at, or when the delivery's time is over if that is earlier.
func (l *lane) within(dl *delivery, at time.Time) time.Time {
	if end := dl.expires(); !end.IsZero() && at.After(end) {
		return end
	}
	return at
}

// again reports a failed call that will be repeated when due, and keeps the
// delivery until then: in the lane, or parked when it would hold up the live
// stream, or others behind it in the parked topic.
func (l *lane) again(w *worker, dl *delivery, fail *DeliveryError, due time.Time) {
	w.run.Status, w.run.Outcome, w.run.Reason = fail.Status, event.Retrying, fail.reason()
	if fail.Class != ClassNotReady { // no call was made
		l.d.report(&dl.p.rec, &w.run, fail.Class)
	}
	wait := max(due.Sub(l.d.parts.Now()), l.shutFor())
	switch {
	case l.d.parts.Parking == nil:
	case dl.live() && wait > l.d.cfg.ParkAfter,
		!dl.live() && dl.key == nil && wait > rotateAfter && l.crowded():
		l.d.putAway(dl, event.ParkRetry, due)
		return
	}
	l.retry(dl, due)
}

// failed repeats a delivery later, or makes it a dead letter.
func (l *lane) failed(w *worker, dl *delivery, fail *DeliveryError, body string) {
	dl.attempts = append(dl.attempts, attemptOf(w, dl, fail, body))
	due, spent := l.nextAttempt(dl, fail)
	if spent == "" {
		dl.putOff = 0
		l.again(w, dl, fail, due)
		return
	}
	w.run.Status, w.run.Outcome, w.run.Reason = fail.Status, event.Dead, spent
	l.bury(w, dl, fail.Class)
}

// attemptOf is what a dead letter says of a call that failed.
func attemptOf(w *worker, dl *delivery, fail *DeliveryError, body string) event.Attempt {
	a := event.Attempt{
		Number:     dl.attempt,
		Time:       w.run.Time,
		DurationMS: w.run.DurationMS,
		Status:     fail.Status,
		Class:      string(fail.Class),
		Body:       body,
	}
	if fail.Cause != nil {
		a.Error = fail.Cause.Error()
	}
	return a
}

// nextAttempt is when a failed delivery is tried again, or why it is not.
func (l *lane) nextAttempt(dl *delivery, fail *DeliveryError) (due time.Time, spent string) {
	now := l.d.parts.Now()
	end := dl.expires()
	switch {
	case fail.Permanent:
		return now, fail.reason()
	case dl.attempt-dl.free >= dl.spec.Attempts:
		return now, strconv.Itoa(dl.attempt-dl.free) + " attempts spent, the last: " + fail.reason()
	case !end.IsZero() && !now.Before(end):
		return now, fmt.Sprintf("older than maxAge %s after %d attempts, the last: %s", dl.spec.MaxAge, dl.attempt, fail.reason())
	}
	wait := backoff(dl.spec.Backoff.Initial.D(), dl.spec.Backoff.Max.D(), dl.attempt, l.d.parts.Rand())
	return l.within(dl, now.Add(max(wait, fail.RetryAfter))), ""
}

// bury writes the dead letter and settles, unless it holds its key. Without a
// durable dead letter the delivery has no outcome and stays unsettled.
func (l *lane) bury(w *worker, dl *delivery, class Class) {
	if !l.gaveUp(dl, w.run.Status, lastWords(dl, w.run.Reason)) {
		l.d.cutOff(dl)
		return
	}
	rec, holds := &dl.p.rec, l.d.holdsKey(dl)
	letter := &event.DeadLetter{
		ID:       letterID(dl),
		Event:    rec.Event,
		Link:     w.run.Link,
		Function: w.run.Function,
		Version:  w.run.Version,
		Reason:   w.run.Reason,
		Attempts: dl.attempts,
		Revision: dl.p.revision,
		Position: dl.p.position,
		Time:     l.d.parts.Now(),
		TraceID:  w.run.TraceID,
		Accepted: rec.Timestamp,
		Key:      rec.Message.Key,
		Held:     holds,
		Redrive:  dl.redrive(),

		TraceParent: rec.TraceParent, TraceState: rec.TraceState,
	}
	if !l.d.writeDeadLetter(dl.p.session, l, letter) {
		l.d.cutOff(dl)
		return
	}
	if !holds {
		l.finish(w, dl, class)
		return
	}
	if dl.span != nil {
		dl.span.End(w.run.Outcome, w.run.Reason, dl.attempt)
		dl.span = nil
	}
	l.d.ended(dl, &w.run, class)
	l.d.keep(dl, letter.ID)
}
