package dispatcher

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/event"
)

// leaseOf is for how long a function wants the delivery that it has answered:
// 0 for an answer that is the end of it.
func leaseOf(resp *fasthttp.Response) (time.Duration, *DeliveryError) {
	if resp.StatusCode() != http.StatusAccepted {
		return 0, nil
	}
	v := resp.Header.Peek(headerLease)
	if len(v) == 0 {
		return 0, nil
	}
	lease, err := event.ParseLease(string(v))
	if err != nil {
		// Not the end of it: the function says that its work is not done.
		return 0, &DeliveryError{Class: ClassBadAnswer, Status: http.StatusAccepted, Cause: err}
	}
	return lease, nil
}

// leaseKey names a delivery, whatever the attempt.
type leaseKey event.DeliveryToken

func leaseKeyOf(t event.DeliveryToken) leaseKey {
	t.Attempt = 0
	return leaseKey(t)
}

// tokenOf names the delivery's present call.
func tokenOf(dl *delivery) event.DeliveryToken {
	t := event.DeliveryToken{
		Function: dl.target.Function.Metadata.Name, Link: dl.target.Link.Metadata.Name,
		Position: dl.p.rec.Position, Attempt: dl.attempt,
	}
	if dl.parked != nil {
		t.Redrive, t.Replay = dl.parked.Redrive, dl.parked.Replay
	}
	return t
}

// lease is a delivery that its function works on, until it reports or the time is over.
type lease struct {
	dl    *delivery
	key   leaseKey
	lane  *lane
	until time.Time
	timer *time.Timer
}

// leases are those of one session, and what was reported of others.
type leases struct {
	mu   sync.Mutex
	open map[leaseKey]*lease
	// early was reported of what is under no lease, oldest first: the function
	// may be quicker than its lease's way through the log. At most maxEarly.
	early []*report
	// granted are those whose records are on their way to the log and back. With
	// a key, an older copy may come back in their place.
	granted map[leaseKey]grant
}

// grant is what is known of a lease on its way: what the delivery was, and the
// lane that it counts to.
type grant struct {
	delivery
	lane *lane
}

// report is a completion on its way to its delivery.
type report struct {
	event.Completion
	settle func()
	timer  *time.Timer // while it is early
}

// What was reported of no lease is kept so long, and at most so much of it.
const (
	earlyKept = 5 * time.Minute
	maxEarly  = 128
)

// maxReported is the most events that a report may bring: whoever took it into
// the log had a limit of its own.
const maxReported = 10000

// After the hand-over of a partition a lease ends at the earliest after
// handOverGrace, and one that is read from the log too late after lateGrace:
// what the function reported meanwhile may be read after it.
const (
	handOverGrace = 5 * time.Second
	lateGrace     = time.Second
)

// lend lets the function keep the delivery that it has answered with a lease.
// It is parked as leased, and the live stream goes on. One whose place in the
// order of its key is a record that was read already stays where it is: there
// the lease stands in the log as if the function had asked for it once more.
func (l *lane) lend(w *worker, dl *delivery) {
	d, s := l.d, dl.p.session
	until := d.parts.Now().Add(w.lease)
	w.run.ID += "-" + string(event.ParkLease)
	w.run.Status, w.run.Outcome = http.StatusAccepted, event.Waiting
	w.run.Reason = "leased until " + until.UTC().Format(time.RFC3339)
	d.report(&dl.p.rec, &w.run, "")
	dl.leased, dl.due, dl.putOff = w.run.Time, until, 0
	switch {
	case d.parts.Parking == nil:
		d.keepLease(s, dl, until)
	case dl.key != nil && !dl.live():
		token, partition := tokenOf(dl), dl.p.rec.Partition
		d.keepLease(s, dl, until)
		d.parts.Parking.Report(partition, &event.Completion{Delivery: token, Extend: w.lease, Time: until.Add(-w.lease)})
	default:
		s.grant(dl)
		d.putAway(dl, event.ParkLease, until)
	}
}

// grant notes a lease whose record is about to go to the log.
func (s *session) grant(dl *delivery) {
	g := grant{delivery{attempt: dl.attempt, free: dl.free, attempts: dl.attempts, leased: dl.leased, due: dl.due}, s.d.lendingLane(dl)}
	key, ls := leaseKeyOf(tokenOf(dl)), &s.leases
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if s.ended.Load() { // its record is for the next owner
		g.lane.returned()
		return
	}
	if ls.granted == nil {
		ls.granted = map[leaseKey]grant{}
	}
	if twice, ok := ls.granted[key]; ok { // the event was read again after a crash
		twice.lane.returned()
	}
	ls.granted[key] = g
}

// leased keeps a delivery that comes from the log if its function works on it.
func (d *Dispatcher) leased(s *session, dl *delivery) bool {
	ls := &s.leases
	ls.mu.Lock()
	if len(ls.granted) > 0 {
		key := leaseKeyOf(tokenOf(dl))
		if g, ok := ls.granted[key]; ok {
			delete(ls.granted, key)
			defer g.lane.returned() // once it is counted again
			dl.attempt, dl.free, dl.attempts, dl.leased, dl.due = g.attempt, g.free, g.attempts, g.leased, g.due
			dl.asLeased()
		}
	}
	ls.adopt(dl)
	ls.mu.Unlock()
	if dl.parked.Reason != event.ParkLease {
		return false
	}
	now, until := d.parts.Now(), dl.due
	if until.Before(now.Add(lateGrace)) {
		until = now.Add(lateGrace)
	}
	if grace := s.began.Add(handOverGrace); until.Before(grace) {
		until = grace
	}
	d.keepLease(s, dl, until)
	return true
}

func (dl *delivery) asLeased() {
	again := *dl.parked
	again.Reason = event.ParkLease
	dl.parked = &again
}

// adopt takes a delivery for one under a lease, of which the record says
// nothing, if its function reported of a later call. ls.mu is held.
func (ls *leases) adopt(dl *delivery) {
	if len(ls.early) == 0 {
		return
	}
	key := leaseKeyOf(tokenOf(dl))
	for _, r := range ls.early {
		if leaseKeyOf(r.Delivery) == key && r.Delivery.Attempt > dl.attempt {
			dl.attempt, dl.leased, dl.due = r.Delivery.Attempt, r.Time, r.Time.Add(r.Extend)
			dl.asLeased()
		}
	}
}

// mayBeLeased reports whether the lease of a delivery, which keeps its place in
// the order of its key, may stand in what was not read yet after a hand-over.
func (d *Dispatcher) mayBeLeased(s *session, dl *delivery) bool {
	return dl.key != nil && dl.parked.Reason != event.ParkLease && d.parts.Now().Before(s.began.Add(handOverGrace)) &&
		d.parts.Parking != nil && d.parts.Parking.Behind(event.LeaseStream(dl.target.Function.Metadata.Name), dl.p.rec.Partition)
}

// keepLease waits for what the function reports. The caller holds the session.
func (d *Dispatcher) keepLease(s *session, dl *delivery, until time.Time) {
	e := &lease{dl: dl, key: leaseKeyOf(tokenOf(dl)), lane: d.lendingLane(dl), until: until}
	ls := &s.leases
	ls.mu.Lock()
	if s.ended.Load() {
		ls.mu.Unlock()
		e.lane.returned()
		d.forsake(dl)
		return
	}
	if ls.open == nil {
		ls.open = map[leaseKey]*lease{}
	}
	twice := ls.open[e.key] // the same delivery, read from an older record after a crash
	if twice != nil {
		twice.timer.Stop()
		e.until = later(e.until, twice.until)
	}
	ls.open[e.key] = e
	e.timer = time.AfterFunc(e.until.Sub(d.parts.Now()), func() { d.leaseOver(s, e) })
	early := ls.takeEarly(e.key)
	ls.mu.Unlock()
	if twice != nil {
		twice.lane.returned()
		d.settleDelivery(twice.dl)
	}
	for _, r := range early {
		d.reported(s, r)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (ls *leases) takeLocked(e *lease) bool {
	if ls.open[e.key] != e {
		return false
	}
	delete(ls.open, e.key)
	e.timer.Stop()
	e.lane.returned()
	return true
}

// takeAll ends all leases and forgets what was reported, when the session has ended.
func (ls *leases) takeAll() (all []*delivery) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, e := range ls.open {
		ls.takeLocked(e)
		all = append(all, e.dl)
	}
	for _, r := range ls.early {
		r.timer.Stop()
	}
	for _, g := range ls.granted {
		g.lane.returned()
	}
	ls.early, ls.granted = nil, nil
	return all
}

// leaseOver is a failed attempt: the time is over and nothing was reported.
func (d *Dispatcher) leaseOver(s *session, e *lease) {
	if !s.acquire() {
		return // it is abandoned with the session
	}
	defer s.release()
	ls := &s.leases
	ls.mu.Lock()
	if left := e.until.Sub(d.parts.Now()); left > 0 && ls.open[e.key] == e { // it was extended while the timer fired
		e.timer.Reset(left)
		ls.mu.Unlock()
		return
	}
	mine := ls.takeLocked(e)
	ls.mu.Unlock()
	if !mine {
		return
	}
	cause := errors.New("the lease ended at " + e.until.UTC().Format(time.RFC3339) + " and nothing was reported")
	d.lentFailed(e.dl, &DeliveryError{Class: ClassLease, Cause: cause}, "")
}

// handleCompletion takes a record of a lease stream in which a function reports.
func (d *Dispatcher) handleCompletion(s *session, rec *event.Record, c event.Completion, settle func(int64)) {
	offset := rec.Offset
	r := &report{Completion: c, settle: func() {
		if s.grace.Err() == nil {
			settle(offset)
		}
	}}
	d.reported(s, r)
}

// reported brings a report to its delivery, if that is under a lease, or keeps
// it for a while. It is settled with the delivery, so that after a crash both
// are read again. The caller holds the session.
func (d *Dispatcher) reported(s *session, r *report) {
	ls := &s.leases
	ls.mu.Lock()
	e := ls.open[leaseKeyOf(r.Delivery)]
	switch {
	case e == nil:
		gone := d.keepEarly(s, r)
		ls.mu.Unlock()
		if gone != nil {
			gone.settle()
		}
		return
	case !r.Done() && r.Delivery.Attempt != e.dl.attempt:
		ls.mu.Unlock()
		r.settle() // an earlier attempt may be done, but says nothing else of this one
		return
	case r.Extend > 0 && (e.dl.live() || e.dl.key != nil):
		e.until = later(e.until, r.Time.Add(r.Extend))
		e.dl.due = e.until
		e.timer.Reset(max(0, e.until.Sub(d.parts.Now())))
		e.dl.p.also(r.settle)
		ls.mu.Unlock()
		return
	}
	ls.takeLocked(e)
	e.dl.p.also(r.settle)
	ls.mu.Unlock()
	if r.Extend > 0 { // at the end of the log nothing holds up what comes after it
		d.park(e.dl, event.ParkLease, later(e.until, r.Time.Add(r.Extend)))
		return
	}
	s.holds.Add(1) // the caller's hold keeps this one valid
	go func() {
		defer s.release()
		d.lentReported(e.dl, r)
	}()
}

// also has f called when the record is settled.
func (p *pending) also(f func()) {
	settle := p.settle
	p.settle = func(offset int64) {
		settle(offset)
		f()
	}
}

// keepEarly keeps a report of no lease; it returns one that is to be settled
// because there are too many. ls.mu is held.
func (d *Dispatcher) keepEarly(s *session, r *report) (gone *report) {
	ls := &s.leases
	if s.ended.Load() {
		return nil
	}
	if len(ls.early) == maxEarly {
		gone = ls.early[0]
		gone.timer.Stop()
		ls.early = append(ls.early[:0], ls.early[1:]...)
	}
	ls.early = append(ls.early, r)
	r.timer = time.AfterFunc(earlyKept, func() { d.tooEarly(s, r) })
	return gone
}

// tooEarly gives up a report that belongs to no lease.
func (d *Dispatcher) tooEarly(s *session, r *report) {
	if !s.acquire() {
		return
	}
	defer s.release()
	if s.leases.dropEarly(r) {
		r.settle()
	}
}

func (ls *leases) dropEarly(r *report) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for i, other := range ls.early {
		if other == r {
			ls.early = append(ls.early[:i], ls.early[i+1:]...)
			return true
		}
	}
	return false
}

// takeEarly takes what was reported of a delivery before its lease was known.
func (ls *leases) takeEarly(key leaseKey) (taken []*report) {
	kept := ls.early[:0]
	for _, r := range ls.early {
		if leaseKeyOf(r.Delivery) == key {
			r.timer.Stop()
			taken = append(taken, r)
			continue
		}
		kept = append(kept, r)
	}
	clear(ls.early[len(kept):])
	ls.early = kept
	return taken
}
