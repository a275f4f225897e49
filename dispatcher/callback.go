package dispatcher

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// The headers of a callback beside its event, as OpenFaaS names them.
const (
	headerCallID   = "X-Call-Id"
	headerFunction = "X-Function-Name"
	headerStatus   = "X-Function-Status"
	headerSeconds  = "X-Duration-Seconds"
)

// A call through the log whose caller wants to know what comes of it is answered by
// an event of its own, event.TypeAnswer, which is delivered to the caller as any
// event is to a function: it is kept, and tried again. It is appended before the call's
// delivery is settled, under an id that stays the same when that is repeated.

// answered appends what the function answered to a call. Nothing is to be
// done for any other event.
func (l *lane) answered(w *worker, dl *delivery, traceparent, tracestate string) *DeliveryError {
	if !event.WantsAnswer(dl.p.rec.Event) {
		return nil
	}
	return l.appendCallback(dl, &event.Answer{
		Status: w.resp.StatusCode(), ContentType: string(w.resp.Header.ContentType()), Data: append([]byte(nil), w.resp.Body()...), MS: milliseconds(w.took),
	}, traceparent, tracestate)
}

// reported is answered for a function that had the delivery under a lease. Its one
// reply, if it is one, is the answer.
func (l *lane) reported(dl *delivery, r *report) *DeliveryError {
	if !event.WantsAnswer(dl.p.rec.Event) {
		return nil
	}
	a := &event.Answer{Status: r.Status}
	if !dl.leased.IsZero() {
		a.MS = milliseconds(max(0, l.d.parts.Now().Sub(dl.leased)))
	}
	if len(r.Replies) == 1 {
		a.ContentType, a.Data = r.Replies[0].DataContentType, r.Replies[0].Data
	}
	return l.appendCallback(dl, a, dl.p.rec.TraceParent, dl.p.rec.TraceState)
}

// gaveUp tells the caller that no answer will come. It tries until that is
// durable; false means that the session is over and nothing may be settled.
func (l *lane) gaveUp(dl *delivery, status int, text string) bool {
	if !event.WantsAnswer(dl.p.rec.Event) {
		return true
	}
	if status == 0 {
		status = http.StatusBadGateway
	}
	a := &event.Answer{Status: status, ContentType: "text/plain; charset=utf-8", Data: []byte(text), Final: true}
	for n := 1; ; n++ {
		fail := l.appendCallback(dl, a, dl.p.rec.TraceParent, dl.p.rec.TraceState)
		if fail == nil || fail.Class != ClassAppend {
			return true
		}
		if !l.d.pause(dl.p.session.grace, n) {
			return false
		}
	}
}

// lastWords are the function's at its last attempt, or the reason where it said nothing.
func lastWords(dl *delivery, reason string) string {
	if n := len(dl.attempts); n > 0 && dl.attempts[n-1].Body != "" {
		return dl.attempts[n-1].Body
	}
	return reason
}

// appendCallback appends an answer to the log.
func (l *lane) appendCallback(dl *delivery, a *event.Answer, traceparent, tracestate string) *DeliveryError {
	a.Function = l.name
	out := []Outgoing{{Event: event.DeriveAnswer(dl.p.rec.Event, a, dl.redrive(), l.hop(dl)), TraceParent: traceparent, TraceState: tracestate}}
	if err := l.d.appendReplies(dl.p.session, out); err != nil {
		return &DeliveryError{Class: ClassAppend, Status: a.Status, PutOff: true, Cause: err}
	}
	return nil
}

// toCaller makes w.req a callback: to the whole URL that the answer names, with what
// callers look for, and without what is for functions.
func (w *worker) toCaller(ev *event.Event) {
	w.goTo(url.Parse(event.Callback(ev)))
	h := &w.req.Header
	for _, name := range []string{"ce-" + event.ExtCallbackURL, headerDelivery, "Prefer"} {
		h.Del(name)
	}
	id, _ := ev.Extension(event.ExtCallID)
	status, _ := ev.Extension(event.ExtCallStatus)
	ms, _ := ev.Extension(event.ExtCallMS)
	took, _ := strconv.ParseFloat(ms, 64)
	h.Add(headerCallID, id)
	h.Add(headerFunction, ev.Subject)
	h.Add(headerStatus, status)
	h.Add(headerSeconds, strconv.FormatFloat(took/1000, 'f', 6, 64))
}

// dialer opens the lane's connections.
func (l *lane) dialer() Dial {
	if l.key.callsBack() {
		return l.d.parts.DialCallback
	}
	return l.d.parts.Dial
}

// callsBack reports whether the lane delivers answers to callers. What those answer is
// an outcome and nothing else: they are strangers, and get no events in by it.
func (k laneKey) callsBack() bool { return k.name == resource.CallbackFunction }
