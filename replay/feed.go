package replay

import (
	"context"
	"errors"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// feed sends events of one partition to one link. It is used by one goroutine.
type feed struct {
	p       *Player
	session *session
	// link is its name; reason and replay stand in the deliveries.
	link   string
	reason event.ParkReason
	replay string
	// where narrows the events; nil takes all.
	where func(*event.Event) bool
	pace  *pacer
	// stopped is asked before each delivery.
	stopped func() bool
	// save commits that everything before offset was parked.
	save func(ctx context.Context, offset int64) error
	// counts are what a replay shows.
	counts counts

	out     []*sending
	savedAt time.Time
	// broken is set when something was sent whose fate is not known: nothing
	// behind it may be committed.
	broken bool
	// hurry, when set, is for how long to try without waiting for rate and room;
	// late is called when it is over before what is on its way was acknowledged.
	// That is waited for all the same: who does not know its fate sends it twice.
	hurry context.Context
	late  func()
}

// counts are of one partition of a replay.
type counts struct {
	Parked  int64 `json:"parked,omitempty"`
	Missing int64 `json:"missing,omitempty"`
	Unsent  int64 `json:"unsent,omitempty"`
}

// send parks what the link gets of the records from an offset on, up to to at
// most or as much as makes a chunk, and returns where to go on: everything
// before is parked durably. After an error nothing is known of what was sent;
// errStopped is one, and what was committed may be further. It returns at once, with from, when there is nothing to read.
func (f *feed) send(ctx context.Context, from, to int64) (next int64, err error) {
	recs, first, next, err := f.read(ctx, from, to)
	if err != nil {
		return from, err
	}
	if first > from {
		f.missed(from, first)
	}
	f.out, f.broken, f.savedAt = nil, false, f.p.parts.Now()
	for i := range recs {
		if err := f.offer(ctx, &recs[i]); err != nil {
			f.leave(recs[i].Offset)
			return from, err
		}
		if f.p.parts.Now().Sub(f.savedAt) >= f.p.cfg.CommitInterval {
			if err := f.checkpoint(ctx, recs[i].Offset+1); err != nil {
				return from, err
			}
		}
	}
	return next, f.flush()
}

// leave commits how far a feed came that ends in the middle of a chunk.
func (f *feed) leave(offset int64) {
	if f.broken || f.flush() != nil {
		return
	}
	_ = f.save(f.session.ctx, offset) // fails only when the partition is lost
}

// checkpoint commits in the middle of a chunk.
func (f *feed) checkpoint(ctx context.Context, offset int64) error {
	if err := f.flush(); err != nil {
		return err
	}
	f.savedAt = f.p.parts.Now()
	return f.save(ctx, offset)
}

// missed tells of offsets that retention removed.
func (f *feed) missed(from, to int64) {
	f.counts.Missing += to - from
	f.p.log.Error("events were removed by the topic's retention before they could be sent", "link", f.link, "replay", f.replay,
		"partition", f.session.partition, "from", from, "to", to)
}

// read reads a chunk and takes the duplicates out. first is where the log
// begins if that is behind from; next is where the chunk ends.
func (f *feed) read(ctx context.Context, from, to int64) (recs []event.Record, first, next int64, err error) {
	select {
	case f.p.readers <- struct{}{}:
		defer func() { <-f.p.readers }()
	case <-ctx.Done():
		return nil, 0, 0, context.Cause(ctx)
	}
	err = f.p.again(ctx, "reading the log back", func() error {
		extents, err := f.p.parts.Log.Extents(ctx)
		if err != nil {
			return err
		}
		in := extents[f.session.partition]
		to := min(to, in.End)
		first = max(from, min(in.Start, to))
		next = max(first, to)
		if first >= to {
			recs = nil
			return nil
		}
		recs, next, err = f.chunk(ctx, first, to)
		return err
	})
	if err != nil {
		return nil, 0, 0, err
	}
	recs, err = f.withoutDuplicates(ctx, recs)
	return recs, first, next, err
}

// chunk reads records with an event from an offset on up to to.
func (f *feed) chunk(ctx context.Context, from, to int64) (recs []event.Record, next int64, err error) {
	next, bytes, n := to, 0, 0
	err = f.p.parts.Log.Read(ctx, f.session.partition, from, func(r event.Record) bool {
		if r.Offset >= to {
			return false
		}
		if n == f.p.cfg.ChunkRecords || bytes >= f.p.cfg.ChunkBytes {
			next = r.Offset
			return false
		}
		n++
		bytes += size(&r.Message)
		if r.Event != nil && event.Hops(r.Event) <= f.p.cfg.MaxHops {
			recs = append(recs, r)
		}
		return true
	})
	return recs, next, err
}

func size(m *event.Message) int {
	n := len(m.Key) + len(m.Value)
	for i := range m.Headers {
		n += len(m.Headers[i].Key) + len(m.Headers[i].Value)
	}
	return n
}

// withoutDuplicates keeps the records that are the first of their event.
func (f *feed) withoutDuplicates(ctx context.Context, recs []event.Record) ([]event.Record, error) {
	if len(recs) == 0 {
		return nil, nil
	}
	dup := make([]bool, len(recs))
	look := func() error { return f.p.parts.Dedup.Duplicates(ctx, recs, dup) }
	if f.p.cfg.HoldWithoutDedup {
		if err := f.p.again(ctx, "looking up duplicates", look); err != nil {
			return nil, err
		}
	} else if err := look(); ctx.Err() != nil {
		return nil, context.Cause(ctx)
	} else if err != nil {
		f.p.log.Warn("duplicates are not recognised in what is sent from the log", "link", f.link, "error", err)
		clear(dup)
	}
	kept := recs[:0]
	for i := range recs {
		if !dup[i] {
			kept = append(kept, recs[i])
		}
	}
	return kept, ctx.Err()
}

// chooseTries is how often a policy that fails is asked about an event.
const chooseTries = 4

// offer parks a delivery of the record when the link gets it.
func (f *feed) offer(ctx context.Context, rec *event.Record) error {
	if f.stopped() {
		return errStopped
	}
	if f.where != nil && !f.where(rec.Event) {
		return nil
	}
	choice, chosen, err := f.choose(ctx, rec)
	if err != nil {
		return err
	}
	if !chosen {
		return nil
	}
	function := choice.Target.Function.Metadata.Name
	if err := f.room(ctx, rec, function, choice.Target.Link.Spec.Ordered()); err != nil {
		return err
	}
	f.park(&sending{trace: [2]string{rec.TraceParent, rec.TraceState}, parked: &event.Parked{
		Event: rec.Event, Key: rec.Message.Key, Link: choice.Target.Link.Metadata.Name, Function: function,
		Position: rec.Position.String(), Accepted: f.p.parts.Now(), Revision: choice.Revision, Reason: f.reason, Replay: f.replay,
	}})
	return nil
}

// choose asks a few times. An event for which policies fail was made a dead
// letter by the live stream, as a whole: here it is left out.
func (f *feed) choose(ctx context.Context, rec *event.Record) (c Choice, chosen bool, err error) {
	for n := 1; ; n++ {
		c, chosen, err = f.p.parts.Chooser.Choose(ctx, f.link, rec)
		if err == nil || ctx.Err() != nil {
			return c, chosen, err
		}
		if n == chooseTries {
			f.counts.Unsent++
			f.p.log.Error("an event of the log is not sent, choosing fails", "link", f.link, "position", rec.Position.String(), "error", err)
			return c, false, nil
		}
		if !sleep(ctx, f.p.cfg.RetryWait) {
			return c, false, context.Cause(ctx)
		}
	}
}

// room waits until a delivery may be parked: for the rate, for the
// acknowledgements of a full batch or of an earlier delivery of the key, and
// while too much waits for the function.
func (f *feed) room(ctx context.Context, rec *event.Record, function string, ordered bool) error {
	if err := f.permit(ctx, rec.Offset); err != nil {
		return err
	}
	full := len(f.out) >= f.p.cfg.Batch
	if full || ordered && f.underWay(rec.Message.Key) {
		if err := f.flush(); err != nil {
			return err
		}
	}
	if f.hurry != nil || len(f.out) > 0 {
		return nil
	}
	return f.politely(ctx, function)
}

// permit waits for the rate. What was sent before is committed meanwhile.
func (f *feed) permit(ctx context.Context, offset int64) error {
	for {
		wait := f.pace.take(ctx)
		if wait == 0 || f.hurry != nil {
			return ctx.Err()
		}
		if f.stopped() {
			return errStopped
		}
		if wait = min(wait, f.p.cfg.CommitInterval); f.p.parts.Now().Sub(f.savedAt)+wait >= f.p.cfg.CommitInterval {
			if err := f.checkpoint(ctx, offset); err != nil {
				return err
			}
		}
		if !sleep(ctx, wait) {
			return context.Cause(ctx)
		}
	}
}

// politely waits while what was parked for the function is not handed over, and
// too much of it.
func (f *feed) politely(ctx context.Context, function string) error {
	const look, ask = 10 * time.Millisecond, 50
	for n := 1; f.p.parts.Parker.Behind(function, f.session.partition); n++ {
		if f.stopped() {
			return errStopped
		}
		if n%ask == 0 {
			if lag, err := f.p.parts.Parker.Lag(ctx, function); err == nil && lag < f.p.cfg.FeedAhead {
				return nil
			}
		}
		if !sleep(ctx, look) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// sending is a delivery on its way to its parked topic.
type sending struct {
	parked *event.Parked
	trace  [2]string
	done   chan error
}

func (f *feed) underWay(key []byte) bool {
	for _, s := range f.out {
		if key != nil && string(s.parked.Key) == string(key) {
			return true
		}
	}
	return false
}

func (f *feed) park(s *sending) {
	s.done = make(chan error, 1)
	f.out = append(f.out, s)
	f.p.parts.Parker.Park(s.parked, f.session.partition, s.trace[0], s.trace[1], func(err error) { s.done <- err })
}

// flush waits until everything that was sent is acknowledged, and sends again
// what was not. It fails when the partition is lost, and when the feed is
// stopped while the log takes nothing.
func (f *feed) flush() error {
	for wait := f.p.cfg.RetryWait; len(f.out) > 0; wait = min(2*wait, f.p.cfg.RetryMax) {
		failed, why, err := f.await()
		if err != nil {
			f.broken = true
			return err
		}
		if len(failed) == 0 {
			return nil
		}
		f.p.log.Warn("deliveries cannot be parked, trying again", "link", f.link, "deliveries", len(failed), "error", why)
		if f.stopped() || !f.pause(wait) {
			f.broken = true
			return errStopped
		}
		for _, s := range failed {
			f.park(s)
		}
	}
	return nil
}

// await waits for the acknowledgements, and returns what has to be sent again.
func (f *feed) await() (failed []*sending, why, err error) {
	out := f.out
	f.out = nil
	for _, s := range out {
		e, err := f.fate(s)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case e == nil:
			f.counts.Parked++
		case errors.Is(e, ErrTooLarge):
			f.counts.Unsent++
			f.p.log.Error("an event of the log is not sent", "link", f.link, "position", s.parked.Position, "error", e)
		default:
			failed, why = append(failed, s), e
		}
	}
	return failed, why, nil
}

// fate waits for what the log says of a delivery; err says that the partition is lost.
func (f *feed) fate(s *sending) (said, err error) {
	for {
		select {
		case said = <-s.done:
			return said, nil
		case <-f.hurried():
			f.tooLate()
		case <-f.session.ctx.Done():
			return nil, context.Cause(f.session.ctx)
		}
	}
}

// pause is false when nothing more is to be sent.
func (f *feed) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			return true
		case <-f.hurried():
			f.tooLate()
		case <-f.session.feed.Done():
			return false
		}
	}
}

// hurried ends with the hurry; nil without one.
func (f *feed) hurried() <-chan struct{} {
	if f.hurry == nil {
		return nil
	}
	return f.hurry.Done()
}

func (f *feed) tooLate() {
	f.hurry = nil
	f.late()
}
