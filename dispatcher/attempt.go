package dispatcher

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// attempt makes the next call of dl and sees to what follows from it: dl is
// over, or waits in the lane again, when it returns.
func (l *lane) attempt(w *worker, dl *delivery) {
	defer w.forget()
	start := l.d.parts.Now()
	rawURL, err := l.d.parts.Endpoints.URL(dl.target.Function)
	var e *endpoint
	if err == nil {
		e, err = l.endpoint(rawURL, dl.spec.Timeout.D())
	}
	if err != nil {
		l.notReady(w, dl, start, err)
		return
	}
	dl.attempt++
	if dl.attempt == 1 && dl.notReady == 0 {
		l.startSpan(dl)
	}
	trace, took, fail := l.call(w, dl, e, start)
	if fail != nil && dl.p.session.grace.Err() != nil {
		l.d.cutOff(dl) // maybe the call failed because of that: no outcome
		return
	}
	l.record(w, dl, start, took, trace)
	if fail != nil {
		l.failed(w, dl, fail, bodyStart(w, fail))
		return
	}
	w.run.Outcome, w.run.Status = event.Delivered, w.resp.StatusCode()
	l.finish(w, dl, "")
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
	err := e.call(w)
	took = l.d.parts.Now().Sub(start)
	fail = l.d.failure(&w.resp, err)
	if fail == nil && err == nil && judge(w.resp.StatusCode()) == verdictReply {
		fail = l.takeReplies(w, dl, traceparent, tracestate)
	}
	status := w.resp.StatusCode()
	if fail != nil {
		fail.Function, fail.Attempt = l.name, dl.attempt
		status = fail.Status
	}
	if span != nil {
		span.End(status, fail)
	}
	return traceID(traceparent), took, fail
}

func (l *lane) startSpan(dl *delivery) {
	if t := l.d.parts.Tracer; t != nil {
		dl.span = t.Delivery(&dl.p.rec, dl.target, dl.p.revision)
	}
}

// record fills in what the run record of every outcome has.
func (l *lane) record(w *worker, dl *delivery, start time.Time, took time.Duration, trace string) {
	rec, link := &dl.p.rec, dl.target.Link.Metadata.Name
	replies := w.run.Replies
	w.run = event.Run{
		ID:          event.RunID(rec.Position, link, dl.attempt),
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

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// bodyLimit is how much of an answer's body is kept of a failed attempt.
const bodyLimit = 1024

// bodyStart is the start of the answer's body, when there was an answer.
func bodyStart(w *worker, fail *DeliveryError) string {
	if fail.Status == 0 {
		return ""
	}
	b := w.resp.Body()
	return strings.ToValidUTF8(string(b[:min(len(b), bodyLimit)]), "\uFFFD")
}

// finish reports the outcome that w.run has, which is durable, and settles
// unless the session's time is over.
func (l *lane) finish(w *worker, dl *delivery, class Class) {
	if dl.span != nil {
		dl.span.End(w.run.Outcome, w.run.Reason, dl.attempt)
	}
	l.d.report(&dl.p.rec, &w.run, class)
	p := dl.p
	l.d.freeDelivery(dl)
	if p.session.grace.Err() == nil {
		p.done()
	}
}

// notReady puts a delivery off whose function has no endpoint. That spends
// attempts only once it has lasted NotReadyGrace.
func (l *lane) notReady(w *worker, dl *delivery, now time.Time, cause error) {
	if dl.attempt == 0 && dl.notReady == 0 {
		l.startSpan(dl)
	}
	if dl.notReady == 0 {
		dl.notReadySince = now
	}
	dl.notReady++
	if now.Sub(dl.notReadySince) < l.d.cfg.NotReadyGrace {
		limit := min(dl.spec.Backoff.Max.D(), l.d.cfg.RetryMax)
		wait := backoff(min(dl.spec.Backoff.Initial.D(), limit), limit, dl.notReady, l.d.parts.Rand())
		l.retry(dl, now.Add(max(wait, time.Millisecond)))
		return
	}
	dl.attempt++
	fail := &DeliveryError{Function: l.name, Attempt: dl.attempt, Class: ClassNotReady, Cause: cause}
	l.record(w, dl, now, 0, traceID(dl.p.rec.TraceParent))
	l.failed(w, dl, fail, "")
}

// failed repeats a delivery later, or makes it a dead letter.
func (l *lane) failed(w *worker, dl *delivery, fail *DeliveryError, body string) {
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
	dl.attempts = append(dl.attempts, a)
	w.run.Status = fail.Status
	due, spent := l.nextAttempt(dl, fail)
	if spent == "" {
		w.run.Outcome, w.run.Reason = event.Retrying, fail.reason()
		l.d.report(&dl.p.rec, &w.run, fail.Class)
		l.retry(dl, due)
		return
	}
	w.run.Outcome, w.run.Reason = event.Dead, spent
	l.bury(w, dl, fail.Class)
}

// nextAttempt is when a failed delivery is tried again, or why it is not.
func (l *lane) nextAttempt(dl *delivery, fail *DeliveryError) (due time.Time, spent string) {
	now := l.d.parts.Now()
	end := dl.p.rec.Timestamp.Add(dl.spec.MaxAge.D())
	aged := !dl.p.rec.Timestamp.IsZero()
	switch {
	case fail.Permanent:
		return now, fail.reason()
	case dl.attempt >= dl.spec.Attempts:
		return now, strconv.Itoa(dl.attempt) + " attempts spent, the last: " + fail.reason()
	case aged && !now.Before(end):
		return now, fmt.Sprintf("older than maxAge %s after %d attempts, the last: %s", dl.spec.MaxAge, dl.attempt, fail.reason())
	}
	wait := backoff(dl.spec.Backoff.Initial.D(), dl.spec.Backoff.Max.D(), dl.attempt, l.d.parts.Rand())
	due = now.Add(max(wait, fail.RetryAfter))
	if aged && due.After(end) {
		due = end
	}
	return due, ""
}

// bury writes the dead letter and settles. Without a durable dead letter
// the delivery has no outcome and stays unsettled.
func (l *lane) bury(w *worker, dl *delivery, class Class) {
	rec := &dl.p.rec
	letter := &event.DeadLetter{
		ID:       event.DeadLetterID(rec.Position, w.run.Link, 0),
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
	}
	if !l.d.writeDeadLetter(dl.p.session, l, letter) {
		l.d.cutOff(dl)
		return
	}
	l.finish(w, dl, class)
}
