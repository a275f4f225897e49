package verify

import (
	"hash/maphash"
	"sync"
	"time"
)

// history is what was sent, what the deployment said to it, and every call of a
// function: enough to judge the run by. Events are kept by number, deliveries
// in a few words each, so that a soak of millions fits. It is safe for
// concurrent use.
type history struct {
	plan *plan
	seed maphash.Seed

	mu sync.Mutex
	// clock counts what happened: a smaller number was before a larger one.
	clock  int64
	events []sent
	// deliveries of event n begin at n*fanout; the replies to them have the same indexes.
	deliveries []delivery
	replies    map[int]*delivery
	// owed is the number of deliveries, replies among them, that accepted events still want.
	owed int
	// idle is closed when nothing is owed; nil until somebody waits.
	idle chan struct{}
	// settled is when the last delivery that was owed came to its end, moved when
	// that or a 202 was the last time.
	settled, moved time.Time
	// took are the times from the sending to the first success, admitted those to the 202; in microseconds.
	took, admitted []uint32

	counts counts
	// doubledEvents and doubledReplies came again after a success.
	doubledEvents, doubledReplies doubles
	faultsMet                     map[Fault]int
	findings                      findings
}

// counts are totals of what happened so far.
type counts struct {
	accepted, resent, throttled     int
	calls, unexpected, foreign      int
	changed, deadPlanned, delivered int
}

type doubles struct{ redelivered, copied int }

// fate is what became of an event at the door.
type fate uint8

const (
	// underWay: no answer yet that decides.
	underWay fate = iota
	// accepted: a 202 was seen.
	accepted
	// unknown: never a 202, but it may have got in.
	unknown
	// unsent: never a 202, and it cannot have got in.
	unsent
)

// sent is one event.
type sent struct {
	at   time.Duration // when it was to be sent, since the run began
	key  int32
	fate fate
	// doubtful: one of its requests may have got in without a 202.
	doubtful bool
}

// delivery is one event at one link.
type delivery struct {
	// begun and answered say when the first success began, and when its answer did.
	begun, answered int64
	// identity is the hash of the Idempotency-Key of the first success.
	identity uint64
	calls    int32
	// owed: it counts in history.owed.
	owed            bool
	delivered, dead bool
}

func (d *delivery) settled() bool { return d.delivered || d.dead }

// ended: it is a dead letter and never succeeded.
func (d *delivery) ended() bool { return d.dead && !d.delivered }

func newHistory(p *plan) *history {
	return &history{plan: p, seed: maphash.MakeSeed(), replies: map[int]*delivery{}, faultsMet: map[Fault]int{}, findings: findings{plan: p}}
}

// sending notes that event n, the next one, is to be sent at that time since the run began.
func (h *history) sending(n int, at time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.events) <= n {
		h.events = append(h.events, sent{})
		for range h.plan.fanout {
			h.deliveries = append(h.deliveries, delivery{})
		}
	}
	h.events[n] = sent{at: at, key: int32(h.plan.key(n)), fate: underWay}
}

// again notes that an event is to be sent once more: doubtful when the request
// before may have got in, throttled when it was answered 429.
func (h *history) again(n int, doubtful, throttled bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.resent++
	if throttled {
		h.counts.throttled++
	}
	h.events[n].doubtful = h.events[n].doubtful || doubtful
}

// accept notes a 202, which came since after the run began: from here on the deliveries of n are owed.
func (h *history) accept(n int, since time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.accepted++
	h.moved = time.Now()
	h.admitted = append(h.admitted, h.micros(n, since))
	h.events[n].fate = accepted
	for k := range h.plan.fanout {
		d := h.at(n, k)
		h.owe(d)
		if r := h.reply(n, k); r != nil && !d.ended() {
			h.owe(r)
		}
	}
}

// giveUp notes that an event is not sent any more without having been accepted.
func (h *history) giveUp(n int, doubtful bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events[n].fate = unsent
	if doubtful || h.events[n].doubtful {
		h.events[n].fate = unknown
	}
}

func (h *history) owe(d *delivery) {
	if !d.settled() && !d.owed {
		d.owed = true
		h.owed++
	}
}

// acquit takes a delivery from what is owed, if it is.
func (h *history) acquit(d *delivery, now time.Time) {
	if !d.owed {
		return
	}
	d.owed = false
	h.owed--
	h.settled, h.moved = now, now
	h.signal()
}

// at is the delivery of event n at its slot k.
func (h *history) at(n, k int) *delivery { return &h.deliveries[n*h.plan.fanout+k] }

// reply is the delivery of the reply that event n gets at its slot k; nil when
// it is not answered with one.
func (h *history) reply(n, k int) *delivery {
	if !h.plan.answers(h.plan.link(n, k), n) {
		return nil
	}
	i := n*h.plan.fanout + k
	if h.replies[i] == nil {
		h.replies[i] = new(delivery)
	}
	return h.replies[i]
}

// find returns the delivery that r names; nil when there is to be none such.
func (h *history) find(r ref) *delivery {
	isReply, link := r.link == h.plan.replyLink(), r.link
	if isReply {
		link = r.cause
	}
	if r.n < 0 || r.n >= len(h.events) || link < 0 {
		return nil
	}
	k, ok := h.plan.slot(r.n, link)
	switch {
	case !ok:
		return nil
	case isReply:
		return h.reply(r.n, k)
	}
	return h.at(r.n, k)
}

// call is one call of a function.
type call struct {
	ref
	// number counts the calls of the delivery from 1, over restarts of the deployment too.
	number   int
	identity uint64
	// attempt is what the deployment calls it (Signalbox-Attempt).
	attempt         string
	begun, answered int64
	// late: the delivery had succeeded before this call began.
	late bool
}

// begin notes a call as it comes in, with its Idempotency-Key and
// Signalbox-Attempt; intact says that the event is as it was sent. ok is false
// when no such event was sent to that function.
func (h *history) begin(r ref, idempotencyKey, attempt string, intact bool) (c call, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.calls++
	d := h.find(r)
	if d == nil {
		h.counts.unexpected++
		h.findings.add("unexpected", r, "attempt "+attempt)
		return call{}, false
	}
	if !intact {
		h.counts.changed++
		h.findings.add("changed", r, "attempt "+attempt)
	}
	d.calls++
	h.clock++
	c = call{ref: r, number: int(d.calls), identity: maphash.String(h.seed, idempotencyKey), attempt: attempt, begun: h.clock, late: d.delivered}
	if c.late {
		h.doubled(d, &c)
	}
	return c, true
}

// doubled counts a call that repeats a success: of the same delivery, or of a
// copy of its event at another place in the log.
func (h *history) doubled(d *delivery, c *call) {
	t := &h.doubledEvents
	if c.link == h.plan.replyLink() {
		t = &h.doubledReplies
	}
	if c.identity != d.identity {
		t.copied++
		h.findings.add("copied", c.ref, "attempt "+c.attempt+" with another Idempotency-Key")
		return
	}
	t.redelivered++
	h.findings.add("redelivered", c.ref, "attempt "+c.attempt+", "+redelivery(c.attempt))
}

// redelivery says what the number of a needless attempt tells.
func redelivery(attempt string) string {
	if attempt == "1" {
		return "begun anew: that it was done was not kept, or not yet"
	}
	return "as if it had failed: the answer of success came too late, or was not read to its end"
}

// answering notes that an answer of success is about to be written: what comes
// in from here on may come because of it.
func (h *history) answering(c *call) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	c.answered = h.clock
}

// succeed notes that the answer of success was sent to its end, at now, which
// is since after the run began.
func (h *history) succeed(c *call, now time.Time, since time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.late {
		return
	}
	d := h.find(c.ref)
	if d.delivered { // two calls at a time, and both succeeded
		h.doubled(d, c)
		return
	}
	d.delivered, d.begun, d.answered, d.identity = true, c.begun, c.answered, c.identity
	h.counts.delivered++
	h.acquit(d, now)
	if c.link != h.plan.replyLink() {
		h.took = append(h.took, h.micros(c.n, since))
	}
}

// micros is the time since event n was to be sent, an hour at most.
func (h *history) micros(n int, since time.Duration) uint32 {
	return uint32(max(0, min(since-h.events[n].at, time.Hour)).Microseconds())
}

// bury notes that a delivery is among the dead letters; a second time has no effect.
func (h *history) bury(r ref, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.find(r)
	if d == nil || d.dead {
		return
	}
	d.dead = true
	if h.plan.poisoned(r) {
		h.counts.deadPlanned++
	} else {
		h.findings.add("dead", r, "")
	}
	if d.delivered {
		return
	}
	h.acquit(d, now)
	if k, ok := h.plan.slot(r.n, r.link); ok {
		if reply := h.reply(r.n, k); reply != nil {
			h.acquit(reply, now)
		}
	}
}

// met counts a fault.
func (h *history) met(f Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faultsMet[f]++
}

// stray counts a call that is none of this run's.
func (h *history) stray() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.foreign++
}

// done returns a channel that is closed as soon as nothing is owed. It is for
// the time after the last event was accepted or given up.
func (h *history) done() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.idle == nil {
		h.idle = make(chan struct{})
		h.signal()
	}
	return h.idle
}

func (h *history) signal() {
	if h.idle == nil || h.owed > 0 {
		return
	}
	select {
	case <-h.idle:
	default:
		close(h.idle)
	}
}

// lastSettled is when the last delivery that was owed came to its end.
func (h *history) lastSettled() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.settled
}

// whenStill calls fn, once and on a goroutine of its own, when no event was
// accepted and nothing that was owed arrived for as long as d. stop may be
// called at any time.
func (h *history) whenStill(d time.Duration, fn func()) (stop func() bool) {
	begun := time.Now()
	var t *time.Timer
	armed := make(chan struct{})
	t = time.AfterFunc(d, func() {
		<-armed
		h.mu.Lock()
		last := h.moved
		h.mu.Unlock()
		if last.Before(begun) {
			last = begun
		}
		if left := d - time.Since(last); left > 0 {
			t.Reset(left)
			return
		}
		fn()
	})
	close(armed)
	return t.Stop
}
