package dispatcher

import (
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// pending is one event with deliveries that have no outcome yet. It is pooled;
// one that is abandoned is left to the garbage collector.
type pending struct {
	rec      event.Record
	session  *session
	settle   func(offset int64)
	left     atomic.Int32
	position string
	revision uint64
}

func (d *Dispatcher) newPending(s *session, rec *event.Record, settle func(int64), deliveries int, revision uint64) *pending {
	p := d.pendings.Get().(*pending)
	p.rec, p.session, p.settle = *rec, s, settle
	p.left.Store(int32(deliveries))
	p.position, p.revision = rec.Position.String(), revision
	return p
}

// done counts one durable outcome, and settles the record with the last one.
func (p *pending) done() {
	if p.left.Add(-1) > 0 {
		return
	}
	settle, offset, d := p.settle, p.rec.Offset, p.session.d
	p.rec, p.session, p.settle = event.Record{}, nil, nil
	d.pendings.Put(p)
	settle(offset)
}

// delivery is one event on its way to one function for one link. It belongs
// to its lane while it waits and to a worker while it is called.
type delivery struct {
	next   *delivery // in its link's queue
	p      *pending
	target resource.Target
	spec   resource.Delivery // with defaults
	link   *linkQueue
	span   Span
	// attempt is the number of calls made; attempts has those that failed.
	attempt  int
	attempts []event.Attempt
	// notReady counts the times that the function had no endpoint, since notReadySince.
	notReady      int
	notReadySince time.Time
	// due is when the next attempt is made.
	due time.Time
}

func (d *Dispatcher) newDelivery(p *pending, t resource.Target) *delivery {
	dl := d.deliveries.Get().(*delivery)
	dl.p, dl.target, dl.spec = p, t, t.Link.Spec.Delivery.WithDefaults()
	return dl
}

func (d *Dispatcher) freeDelivery(dl *delivery) {
	*dl = delivery{}
	d.deliveries.Put(dl)
}

// abandon forgets a delivery without an outcome: its record stays unsettled
// and will be delivered again.
func (d *Dispatcher) abandon(dl *delivery) {
	if dl.span != nil {
		dl.span.End(event.Retrying, "abandoned: the partition went elsewhere, or the dispatcher stops", dl.attempt)
	}
	d.freeDelivery(dl)
}

// cutOff abandons a delivery that was in flight.
func (d *Dispatcher) cutOff(dl *delivery) {
	dl.p.session.cutOff.Store(true)
	d.abandon(dl)
}

// traceID is the trace id of a W3C traceparent, "" when it has none.
func traceID(traceparent string) string {
	if len(traceparent) < 55 {
		return ""
	}
	return traceparent[3:35]
}
