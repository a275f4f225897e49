package dispatcher

import (
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// orderKey names a queue of deliveries that succeed one after the other.
type orderKey struct{ link, key string }

// keyQueue holds the deliveries of one key of one ordered link. The one at
// its head waits in its lane, is called, or is held; those behind wait here.
type keyQueue struct {
	id      orderKey
	head    *delivery
	waiting []*delivery
	// fromLog: the head comes from the parked topic. Then what comes live is
	// parked behind it, since the head may take long.
	fromLog bool
	// copied: the head is a live one of which there is a copy in the parked
	// topic, before everything of its key that is parked.
	copied bool
	// done are the offsets of events of the key that had their outcome while the
	// queue was there; at most maxDone.
	done map[int64]struct{}
}

// maxDone bounds what a queue remembers: a repetition beyond it is delivered again.
const maxDone = 4096

// book keeps the order of one session: nothing of it outlives the ownership
// of the partition, since all of a key's events and parked deliveries belong
// to one partition.
type book struct {
	mu   sync.Mutex
	keys map[orderKey]*keyQueue
	// held are the deliveries that are dead letters and hold their keys, by the
	// dead letter's id.
	held map[string]*delivery
	// dead are dead letters of live heads whose copies were not read yet.
	dead map[string]struct{}
}

// maxBehind bounds the live deliveries that wait behind one key's head in
// memory; more are parked.
const maxBehind = 64

// ordered returns the queue that the delivery belongs to; ok is false for one
// without order.
func ordered(dl *delivery) (id orderKey, ok bool) {
	key := dl.p.rec.Message.Key
	if key == nil || !dl.target.Link.Spec.Ordered() {
		return orderKey{}, false
	}
	return orderKey{dl.target.Link.Metadata.Name, string(key)}, true
}

// holdsKey reports whether a dead letter of dl holds its key.
func (d *Dispatcher) holdsKey(dl *delivery) bool {
	return dl.key != nil && d.parts.Parking != nil && d.parts.Letters != nil && dl.spec.AfterDead == resource.AfterDeadHold
}

// enqueueOrdered brings a live delivery of an ordered link to its lane, to the
// queue of its key, or behind what is parked. It is false when the session ended.
//
// While a live delivery of the key has no outcome, nothing of the key is parked
// unless that delivery is parked first: after a crash the parked ones would
// overtake it.
func (d *Dispatcher) enqueueOrdered(s *session, dl *delivery, id orderKey) bool {
	b := &s.book
	b.mu.Lock()
	q := b.keys[id]
	switch {
	case q != nil && !q.fromLog && (len(q.waiting) < maxBehind || d.parts.Parking == nil):
		q.waiting = append(q.waiting, dl)
		b.mu.Unlock()
		return true
	case q != nil && !q.fromLog:
		d.evacuate(q)
		fallthrough
	case q != nil, d.parts.Parking != nil && d.parts.Parking.Behind(dl.target.Function.Metadata.Name, dl.p.rec.Partition):
		d.park(dl, event.ParkOrder, dl.due)
		b.mu.Unlock()
		return s.parks.wait()
	}
	d.freshen(dl)
	b.open(dl, id)
	b.mu.Unlock()
	return d.enqueue(s, dl, true)
}

// evacuate parks everything of a key whose head, a live one, is waiting in its
// lane or being called: a copy of the head goes first. b.mu is held.
func (d *Dispatcher) evacuate(q *keyQueue) {
	if q.head != nil { // else it has its outcome
		p := q.head.p
		p.left.Add(1) // the record is settled when the head has its outcome, and the copy is durable
		d.park(d.newDelivery(p, q.head.target), event.ParkOrder, time.Time{})
	}
	d.parkBehind(q)
	q.fromLog, q.copied = true, true
}

// parkBehind parks what waits behind the head of a key, in order. The book's
// mutex is held.
func (d *Dispatcher) parkBehind(q *keyQueue) {
	for _, dl := range q.waiting {
		d.park(dl, event.ParkOrder, dl.due)
	}
	q.waiting = nil
}

// open makes dl the head of a new queue.
func (b *book) open(dl *delivery, id orderKey) {
	if b.keys == nil {
		b.keys = map[orderKey]*keyQueue{}
	}
	dl.key = &keyQueue{id: id, head: dl, fromLog: !dl.live()}
	b.keys[id] = dl.key
}

// parkKey parks the head of a key and everything behind it, in order.
func (d *Dispatcher) parkKey(head *delivery, why event.ParkReason, notBefore time.Time) {
	q, s := head.key, head.p.session
	s.book.mu.Lock()
	if q.copied { // its copy stands where the head belongs
		s.book.mu.Unlock()
		d.replace(s, head)
		return
	}
	defer s.book.mu.Unlock()
	delete(s.book.keys, q.id)
	d.park(head, why, notBefore)
	d.parkBehind(q)
}

// replace lets the copy in the parked topic take the place of a live head.
func (d *Dispatcher) replace(s *session, head *delivery) {
	q := head.key
	s.book.mu.Lock()
	if head.letter != "" {
		if s.book.dead == nil {
			s.book.dead = map[string]struct{}{}
		}
		s.book.dead[head.letter] = struct{}{}
	}
	q.head = nil
	s.book.mu.Unlock()
	d.forget(head)
	d.advance(s, q, -1)
}

// advance ends the head of a key, whose outcome is durable, and starts the
// next one. The caller holds the session.
func (d *Dispatcher) advance(s *session, q *keyQueue, offset int64) {
	next := d.nextOfKey(s, q, offset)
	switch {
	case next == nil:
	case next.live():
		d.enqueue(s, next, false)
	default:
		d.startParked(s, next, false)
	}
}

// nextOfKey takes the next delivery that is to be started; nil when there is none.
func (d *Dispatcher) nextOfKey(s *session, q *keyQueue, offset int64) *delivery {
	b := &s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	q.note(offset)
	for len(q.waiting) > 0 {
		next := q.waiting[0]
		q.waiting = q.waiting[1:]
		if repeats(next, q) {
			d.forget(next)
			continue
		}
		if s.ended.Load() {
			d.parkRest(s, next, q)
			return nil
		}
		next.key, q.head, q.copied = q, next, false
		if q.fromLog = !next.live(); !q.fromLog {
			d.freshen(next)
		}
		return next
	}
	delete(b.keys, q.id)
	return nil
}

// parkRest puts away what waits of a key when the session has ended.
func (d *Dispatcher) parkRest(s *session, next *delivery, q *keyQueue) {
	delete(s.book.keys, q.id)
	for _, dl := range append([]*delivery{next}, q.waiting...) {
		if s.parksAtEnd(dl) {
			d.park(dl, event.ParkStop, dl.due)
		} else {
			d.abandon(dl)
		}
	}
	q.waiting = nil
}

// repeats reports whether the outcome of dl is known already: after a crash an
// event stands both in the log and behind its key in the parked topic. What was
// put there to be delivered (again) is no such copy.
func repeats(dl *delivery, q *keyQueue) bool {
	if p := dl.parked; p != nil {
		switch p.Reason {
		case event.ParkRedrive, event.ParkReplay, event.ParkCatchUp:
			return false
		}
		if p.Redrive > 0 || p.Replay != "" {
			return false
		}
	}
	_, known := q.done[dl.p.rec.Offset]
	return known
}

func (q *keyQueue) note(offset int64) {
	if len(q.waiting) == 0 || len(q.done) >= maxDone {
		return // nothing is here that could repeat it
	}
	if q.done == nil {
		q.done = map[int64]struct{}{}
	}
	q.done[offset] = struct{}{}
}

// forget counts the durable outcome of a delivery, unless its session is over.
func (d *Dispatcher) forget(dl *delivery) {
	p := dl.p
	d.freeDelivery(dl)
	if p.session.grace.Err() == nil {
		p.done()
	}
}
