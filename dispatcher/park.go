package dispatcher

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/failpoint"
)

// parks are the deliveries of one session on their way to a parked topic.
type parks struct {
	s *session
	// sending is held over each call of Park, so that what was parked first for
	// a key stands first in the log.
	sending sync.Mutex
	count   atomic.Int64 // on their way

	mu sync.Mutex
	// failed are to be sent again, in the order of their numbers; while there
	// are any, others line up behind them.
	failed  []*parkJob
	number  uint64 // of the last job
	resends int    // in a row
	room    chan struct{}
}

type parkJob struct {
	dl     *delivery
	what   *event.Parked
	number uint64
}

// parkWaiting parks a delivery of the live stream that was taken out of its
// lane; its session may have ended meanwhile.
func (d *Dispatcher) parkWaiting(dl *delivery) {
	s := dl.p.session
	if !s.acquire() {
		d.forsake(dl)
		return
	}
	defer s.release()
	why := event.ParkSlow
	if dl.attempt > 0 {
		why = event.ParkRetry
	}
	d.putAway(dl, why, dl.due)
}

// putAway parks a delivery that is in no lane, and what waits behind it for
// its key. The caller holds its session.
func (d *Dispatcher) putAway(dl *delivery, why event.ParkReason, notBefore time.Time) {
	if dl.key != nil {
		d.parkKey(dl, why, notBefore)
		return
	}
	d.park(dl, why, notBefore)
}

// park appends a delivery that is in no lane to its function's parked topic.
// Then its record is settled; if it came from that topic, the record it had
// there. It does not wait. The caller holds the session.
func (d *Dispatcher) park(dl *delivery, why event.ParkReason, notBefore time.Time) {
	s := dl.p.session
	s.holds.Add(1)
	s.parks.count.Add(1)
	s.parks.send(&parkJob{dl: dl, what: parkedOf(dl, why, notBefore)})
}

// parkedOf is what the log keeps of a delivery.
func parkedOf(dl *delivery, why event.ParkReason, notBefore time.Time) *event.Parked {
	p := &event.Parked{
		Event: dl.p.rec.Event, Key: dl.p.rec.Message.Key,
		Link: dl.target.Link.Metadata.Name, Function: dl.target.Function.Metadata.Name,
		Position: dl.p.position, Accepted: dl.p.rec.Timestamp, Revision: dl.p.revision,
		Attempt: dl.attempt, Free: dl.free, Attempts: dl.attempts, NotBefore: notBefore, Reason: why, Letter: dl.letter,
	}
	if why == event.ParkLease {
		p.Leased = dl.leased
	}
	if from := dl.parked; from != nil {
		p.Version, p.Letter, p.Redrive, p.Replay = from.Version, from.Letter, from.Redrive, from.Replay
	}
	return p
}

func (ps *parks) send(j *parkJob) {
	ps.sending.Lock()
	defer ps.sending.Unlock()
	ps.mu.Lock()
	ps.number++
	j.number = ps.number
	if len(ps.failed) > 0 {
		ps.failed = append(ps.failed, j)
		ps.mu.Unlock()
		return
	}
	ps.mu.Unlock()
	ps.call(j)
}

func (ps *parks) call(j *parkJob) {
	failpoint.Hit(failpoint.DispatcherParkBefore)
	rec, stream := &j.dl.p.rec, j.what.Function
	if j.what.Reason == event.ParkLease && j.dl.key == nil { // with a key it holds its place in the order
		stream = event.LeaseStream(stream)
	}
	ps.s.d.parts.Parking.Park(stream, rec.Partition, j.what, rec.TraceParent, rec.TraceState,
		func(err error) { ps.done(j, err) })
}

// done ends a delivery that is durably parked, or sends it again.
func (ps *parks) done(j *parkJob, err error) {
	s, d := ps.s, ps.s.d
	if err != nil && s.grace.Err() == nil {
		d.writeFailed("parked delivery", err)
		ps.again(j)
		return
	}
	if err != nil {
		d.cutOff(j.dl)
	} else {
		d.parked(j)
	}
	ps.leave()
	s.release()
}

// parked settles a delivery that the log keeps now.
func (d *Dispatcher) parked(j *parkJob) {
	failpoint.Hit(failpoint.DispatcherParkAfter)
	dl := j.dl
	if f := d.parts.Observer.Parked; f != nil {
		f(&dl.p.rec, j.what)
	}
	if dl.span != nil {
		dl.span.End(event.Retrying, "parked: "+string(j.what.Reason), dl.attempt)
	}
	switch j.what.Reason {
	case event.ParkRetry, event.ParkDead, event.ParkLease: // those have a run that says more
	default:
		d.report(&dl.p.rec, waitingRun(dl, j.what, d.parts.Now()), "")
	}
	p, live := dl.p, dl.p.session.grace.Err() == nil
	d.freeDelivery(dl)
	if live {
		p.done()
	}
}

// waitingRun says that a delivery was parked, and why.
func waitingRun(dl *delivery, what *event.Parked, now time.Time) *event.Run {
	rec := &dl.p.rec
	return &event.Run{
		ID: runID(dl) + "-" + string(what.Reason), Link: what.Link,
		Function: what.Function, Version: dl.target.Function.Spec.Version,
		EventSource: rec.Event.Source, EventID: rec.Event.ID, EventType: rec.Event.Type, Position: dl.p.position,
		Attempt: dl.attempt, Outcome: event.Waiting, Reason: "parked: " + string(what.Reason),
		Time: now, TraceID: traceID(rec.TraceParent), Revision: dl.p.revision,
	}
}

// again lines a delivery up that could not be parked.
func (ps *parks) again(j *parkJob) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.failed = append(ps.failed, j)
	if len(ps.failed) > 1 {
		return // somebody is about to send them
	}
	d := ps.s.d
	ps.resends++
	full := backoff(d.cfg.RetryInitial, d.cfg.RetryMax, ps.resends, 1)
	time.AfterFunc(full/2+time.Duration(d.parts.Rand()*float64(full/2)), ps.resend)
}

// resend sends what failed, in order.
func (ps *parks) resend() {
	ps.sending.Lock()
	defer ps.sending.Unlock()
	ps.mu.Lock()
	jobs := ps.failed
	ps.failed = nil
	ps.mu.Unlock()
	slices.SortFunc(jobs, func(a, b *parkJob) int { return cmp.Compare(a.number, b.number) })
	for i, j := range jobs {
		ps.mu.Lock()
		if len(ps.failed) > 0 { // one of them failed at once
			ps.failed = append(ps.failed, jobs[i:]...)
			ps.mu.Unlock()
			return
		}
		ps.mu.Unlock()
		ps.call(j)
	}
}

func (ps *parks) leave() {
	n := ps.count.Add(-1)
	ps.mu.Lock()
	ps.resends = 0
	if ps.room != nil && n <= int64(ps.s.d.cfg.ParkWindow)*3/4 {
		close(ps.room)
		ps.room = nil
	}
	ps.mu.Unlock()
}

// wait blocks while too many deliveries are on their way; false when the
// session ended meanwhile.
func (ps *parks) wait() bool {
	limit := int64(ps.s.d.cfg.ParkWindow)
	for ps.count.Load() > limit {
		ps.mu.Lock()
		if ps.room == nil {
			ps.room = make(chan struct{})
		}
		room := ps.room
		ps.mu.Unlock()
		if ps.count.Load() <= limit*3/4 { // the last one left before room was there
			return ps.s.ctx.Err() == nil
		}
		select {
		case <-room:
		case <-ps.s.ctx.Done():
			return false
		}
	}
	return ps.s.ctx.Err() == nil
}
