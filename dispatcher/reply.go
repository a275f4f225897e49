package dispatcher

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/failpoint"
)

// claimsEvent reports whether an answer says that it is an event: by its
// content type or by a ce- header.
func claimsEvent(h *fasthttp.ResponseHeader) bool {
	if hasPrefixFold(h.ContentType(), "application/cloudevents") {
		return true
	}
	found := false
	h.VisitAll(func(name, _ []byte) {
		found = found || hasPrefixFold(name, "ce-")
	})
	return found
}

func hasPrefixFold(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && bytes.EqualFold(b[:len(prefix)], []byte(prefix))
}

// replies reads the events of a 200. An answer that does not claim to be an
// event is none; one that does, and is not well formed, is an error.
func (d *Dispatcher) replies(resp *fasthttp.Response) ([]*event.Event, error) {
	if !claimsEvent(&resp.Header) {
		return nil, nil
	}
	events, err := event.Parse(string(resp.Header.ContentType()), resp.Header.VisitAll, resp.Body(), d.cfg.MaxReplies)
	if errors.Is(err, event.ErrNotEvent) {
		return nil, nil
	}
	return events, err
}

// headerSent names events that a function has sent during the call, by other
// means than its answer: a JSON list of source, id and type. They are only named
// in the run record.
const headerSent = "Signalbox-Sent"

// noteSent reads that header; what is no such list is left out.
func (w *worker) noteSent() {
	list := w.resp.Header.Peek(headerSent)
	if len(list) == 0 {
		return
	}
	var sent []event.ReplyRef
	if json.Unmarshal(list, &sent) == nil {
		w.run.Replies = append(w.run.Replies, sent...)
	}
}

// takeReplies appends the events of a 200 to the log and names them in
// w.run.Replies. Their ids are derived, so that a delivery made twice appends
// the same events.
func (l *lane) takeReplies(w *worker, dl *delivery, traceparent, tracestate string) *DeliveryError {
	events, err := l.d.replies(&w.resp)
	if err != nil {
		class := ClassBadReply
		if errors.Is(err, event.ErrBatchTooLong) {
			class = ClassTooLarge
		}
		return &DeliveryError{Class: class, Status: w.resp.StatusCode(), Cause: err}
	}
	return l.appendAnswer(w, dl, events, w.resp.StatusCode(), traceparent, tracestate)
}

// hop is what the events that come of dl are derived by, the first of them.
func (l *lane) hop(dl *delivery) event.Hop {
	return event.Hop{Link: dl.target.Link.Metadata.Name, Version: dl.target.Function.Spec.Version, Began: dl.chainStart(), Now: l.d.parts.Now()}
}

// appendAnswer appends the events that a function answered with, at status.
func (l *lane) appendAnswer(w *worker, dl *delivery, events []*event.Event, status int, traceparent, tracestate string) *DeliveryError {
	if len(events) == 0 {
		return nil
	}
	out := make([]Outgoing, len(events))
	hop := l.hop(dl)
	for i, ev := range events {
		hop.Index = i
		out[i] = Outgoing{Event: event.Derive(dl.p.rec.Event, ev, hop), TraceParent: traceparent, TraceState: tracestate}
	}
	if err := l.d.countChain(out); err != nil {
		return &DeliveryError{Class: ClassChain, Status: status, Permanent: true, Cause: err}
	}
	if err := l.d.appendReplies(dl.p.session, out); err != nil {
		// The log's trouble spends no attempt of the function's.
		return &DeliveryError{Class: ClassAppend, Status: status, PutOff: true, Cause: err}
	}
	for i := range out {
		ev := out[i].Event
		w.run.Replies = append(w.run.Replies, event.ReplyRef{Source: ev.Source, ID: ev.ID, Type: ev.Type})
	}
	return nil
}

// Uncounted is the generation up to which chains are not counted: most are
// shorter, and a chain that loops gets beyond it soon.
const Uncounted = 8

// countChain counts the events against the budget of their chain. An error
// means that it is spent.
func (d *Dispatcher) countChain(out []Outgoing) error {
	ev := out[0].Event
	hops := event.Hops(ev)
	if d.parts.Chains == nil || d.cfg.MaxChain == 0 || hops <= Uncounted {
		return nil
	}
	chain, _ := ev.Extension(event.ExtCorrelationID)
	total, err := d.parts.Chains.Count(d.life, chain, len(out))
	if err != nil || total <= int64(d.cfg.MaxChain) {
		return nil // when nobody counts, the hop limit still ends loops
	}
	return fmt.Errorf("chain budget: the chain of correlationid %q has %d events, %d functions one after the other, and the limit is %d%s", chain, total, hops, d.cfg.MaxChain, pathOf(ev))
}

// chainAge reports an event that a function answered with whose chain began
// too long ago. The first event of a chain may be as old as it likes.
func (d *Dispatcher) chainAge(rec *event.Record) error {
	if d.cfg.MaxChainAge == 0 || rec.Timestamp.IsZero() || event.Hops(rec.Event) == 0 {
		return nil
	}
	began := event.ChainStart(rec.Event, rec.Timestamp)
	if age := d.parts.Now().Sub(began); age > d.cfg.MaxChainAge {
		return errAged(rec.Event, began, age, d.cfg.MaxChainAge)
	}
	return nil
}

func (d *Dispatcher) appendReplies(s *session, out []Outgoing) error {
	ctx, cancel := context.WithTimeout(s.grace, d.cfg.AppendTimeout)
	defer cancel()
	failpoint.Hit(failpoint.DispatcherReplyBefore)
	err := d.parts.Log.AppendEvents(ctx, out)
	failpoint.Hit(failpoint.DispatcherReplyAfter)
	if err != nil {
		d.writeFailed("reply", err)
	}
	return err
}

func (d *Dispatcher) writeFailed(what string, err error) {
	if f := d.parts.Observer.WriteFailed; f != nil {
		f(what, err)
	}
}
