package dispatcher

import (
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/failpoint"
	"github.com/signalbox-dev/signalbox/resource"
)

// pending is one record with deliveries that have no outcome yet: an event of
// the live stream, or one parked delivery. It is pooled; one that is abandoned
// is left to the garbage collector.
type pending struct {
	// rec is the event's record in the log, also of a parked delivery.
	rec     event.Record
	session *session
	settle  func(offset int64)
	// offset is what is settled: of the event's record, or of the parked one.
	offset   int64
	left     atomic.Int32
	position string
	revision uint64
}

func (d *Dispatcher) newPending(s *session, rec *event.Record, settle func(int64), deliveries int, revision uint64) *pending {
	p := d.pendings.Get().(*pending)
	p.rec, p.session, p.settle, p.offset = *rec, s, settle, rec.Offset
	p.left.Store(int32(deliveries))
	p.position, p.revision = rec.Position.String(), revision
	return p
}

// done counts one durable outcome, and settles the record with the last one.
func (p *pending) done() {
	if p.left.Add(-1) > 0 {
		return
	}
	failpoint.Hit(failpoint.DispatcherSettleBefore)
	settle, offset, d := p.settle, p.offset, p.session.d
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
	traced bool // span was asked for
	// attempt is the number of calls, free how many of them spent no attempt;
	// attempts has the others that failed.
	attempt  int
	free     int
	attempts []event.Attempt
	// putOff counts the times in a row that the function took nothing.
	putOff int
	// due is when the next attempt is made.
	due time.Time
	// since is when it began to wait in the lane.
	since time.Time
	// parked is the record of a delivery that comes from its parked topic; nil
	// is one of the live stream.
	parked *event.Parked
	// letter is the id of the dead letter that a live delivery has become.
	letter string
	// leased is when the call began that was answered with a lease.
	leased time.Time
	// key is the queue that it is at the head of, when its link is ordered.
	key *keyQueue
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

// live reports whether the delivery comes from the live stream, which it holds
// up as long as it has no outcome.
func (dl *delivery) live() bool { return dl.parked == nil }

// redrive is how often the delivery was a dead letter before.
func (dl *delivery) redrive() int {
	if dl.parked == nil {
		return 0
	}
	return dl.parked.Redrive
}

// expires is when no attempt is made any more; zero is never.
func (dl *delivery) expires() time.Time {
	if dl.p.rec.Timestamp.IsZero() {
		return time.Time{}
	}
	return dl.p.rec.Timestamp.Add(dl.spec.MaxAge.D())
}

// chainStart is when the chain of the delivery began: for one that somebody
// asked for, with that.
func (dl *delivery) chainStart() time.Time {
	accepted := dl.p.rec.Timestamp
	if p := dl.parked; p != nil && (p.Redrive > 0 || p.Replay != "" || p.Reason == event.ParkCatchUp) {
		return accepted
	}
	return event.ChainStart(dl.p.rec.Event, accepted)
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
