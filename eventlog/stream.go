package eventlog

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// stream is a parked stream whose partition this process owns. It is read with
// plain fetches by a goroutine that runs while there is something to hand over.
type stream struct {
	p        *partition
	function string
	topic    Topic
	tail     *tail
	account  *account
	// id is that of the topic which is read; the goroutine's own while it runs, else the looker's.
	id *topicID

	running bool // guarded by p.smu
	// seen is where the stream stood before the ends were asked for; the looker's own.
	seen int64

	// What was fetched and not handed over; the goroutine's own.
	fetched []*kgo.Record
	after   int64 // where the log goes on behind it
}

// What one fetch asks for, and what one call of the handler gets at most: a
// stream that is blocked keeps no more than this.
const (
	parkedFetchBytes = 64 << 10
	parkedRecords    = 64
)

// openStream begins to read a parked stream from the group's progress on.
// Streams of a partition that was stopped are not opened.
func (p *partition) openStream(function string, id *topicID, at int64, metadata string, end int64) {
	s := &stream{p: p, function: function, id: id, topic: Parked(function), tail: p.c.log.tails.tail(function, p.id)}
	s.account = s.newAccount(p.c.log.topicName(s.topic))
	if at > end {
		s.wentBack(at, end)
		at, metadata = 0, ""
	}
	s.account.begin(max(0, at), metadata)
	if at >= 0 {
		s.account.touch(time.Now()) // the broker forgets by time; see keepLooking
	}
	p.smu.Lock()
	defer p.smu.Unlock()
	if p.halted || p.streams[function] != nil {
		return
	}
	p.streams[function] = s
	s.tail.grow(end)
	s.tail.at.Store(max(0, at))
	s.wakeLocked()
}

// newAccount bounds what is open, and not only how far behind the newest the
// oldest of it is: one delivery may wait in a stream for a day while thousands
// behind it come and go. The metadata of a commit can tell of all of them.
func (s *stream) newAccount(topic string) *account {
	cfg := &s.p.c.log.cfg
	a := newAccount(topic, s.p.id, max(min(cfg.Window, int(maxBits)), cfg.ParkedWindow), s.p.c.countSettled)
	a.opens = cfg.ParkedWindow
	return a
}

// wentBack says that the topic was made anew, or the broker lost data.
func (s *stream) wentBack(at, end int64) {
	s.p.c.log.log.Error("the log of parked deliveries went back: reading it from its start",
		"topic", s.account.topic, "partition", s.p.id, "offset", at, "end", end)
}

// update tells how far the log of the topic with an id goes as of a look that
// began when the stream was at seen.
func (s *stream) update(id *topicID, end int64) {
	s.p.smu.Lock()
	defer s.p.smu.Unlock()
	if !s.running && !s.p.halted {
		if end < s.seen || s.id.isAnother(*id) { // offsets of another one say nothing, however far they go
			s.beginAnew(0, end)
		}
		s.id = id
	}
	s.tail.grow(end)
	s.wakeLocked()
}

// beginAnew forgets the progress, which is about records that are no more.
func (s *stream) beginAnew(start, end int64) {
	s.wentBack(s.tail.at.Load(), end)
	s.account.close()
	s.account = s.newAccount(s.account.topic)
	s.account.begin(start, "")
	s.account.touch(time.Now())
	s.fetched = nil
	s.tail.end.Store(end)
	s.tail.at.Store(start)
}

// wake has the stream read up to its tail's end.
func (s *stream) wake() {
	s.p.smu.Lock()
	defer s.p.smu.Unlock()
	s.wakeLocked()
}

func (s *stream) wakeLocked() {
	if s.running || s.p.halted || s.tail.at.Load() >= s.tail.end.Load() {
		return
	}
	s.running = true
	s.p.reading.Go(s.run)
}

// goOn is asked by the goroutine before each turn; after false it ends, and the
// next wake starts another.
func (s *stream) goOn() bool {
	s.p.smu.Lock()
	defer s.p.smu.Unlock()
	s.running = !s.p.halted && s.tail.at.Load() < s.tail.end.Load()
	return s.running
}

// Waits between fetches that fail or bring nothing.
const parkedWait, maxParkedWait = 5 * time.Millisecond, time.Second

func (s *stream) run() {
	wait := parkedWait
	for s.goOn() {
		recs, next, err := s.some()
		if err == nil && next > s.tail.at.Load() {
			wait = parkedWait
			if !s.handOver(recs, next) {
				return
			}
			continue
		}
		if err != nil && s.p.reads.Err() == nil {
			s.p.c.complain(s.account.topic, s.p.id, err)
		}
		if err == nil && wait == maxParkedWait {
			s.recheck()
		}
		_ = pause(s.p.reads, wait)
		wait = min(2*wait, maxParkedWait)
	}
}

// recheck corrects an end that is not there: what was known of a topic that was
// made anew while others owned the partition.
func (s *stream) recheck() {
	known := s.tail.end.Load()
	bounds, err := s.p.c.log.bounds(s.p.reads, s.topic)
	if err != nil {
		return
	}
	if end := bounds[s.p.id].end; end < known {
		s.tail.end.CompareAndSwap(known, max(end, s.tail.at.Load()))
	}
}

// some are the next records, and where the log goes on behind them.
func (s *stream) some() (recs []*kgo.Record, next int64, err error) {
	if len(s.fetched) == 0 {
		at := s.tail.at.Load()
		s.fetched, s.after, err = s.p.c.log.fetchOf(s.p.reads, s.topic, *s.id, s.p.id, at, parkedFetchBytes)
		switch {
		case errors.Is(err, errMadeAnew):
			return nil, 0, s.renew(s.p.reads)
		case errors.Is(err, kerr.OffsetOutOfRange):
			return nil, 0, s.relocate(s.p.reads, at)
		case err != nil:
			return nil, 0, err
		}
	}
	n := min(len(s.fetched), parkedRecords, s.p.c.log.cfg.HandleRecords)
	recs, s.fetched = s.fetched[:n:n], s.fetched[n:]
	if len(s.fetched) > 0 {
		return recs, s.fetched[0].Offset, nil
	}
	s.fetched = nil
	return recs, s.after, nil
}

// relocate goes on at the log's start when what comes next was removed, and
// begins anew when the log went back.
func (s *stream) relocate(ctx context.Context, at int64) error {
	bounds, err := s.p.c.log.bounds(ctx, s.topic)
	if err != nil {
		return err
	}
	b := bounds[s.p.id]
	switch {
	case at < b.start:
		if at > 0 {
			s.p.c.log.log.Warn("parked deliveries were removed from the log",
				"topic", s.account.topic, "partition", s.p.id, "from", at, "to", b.start)
		}
		s.account.pass(b.start)
		s.tail.at.Store(b.start)
	case at > b.end:
		s.p.smu.Lock()
		defer s.p.smu.Unlock()
		if !s.p.halted {
			s.beginAnew(b.start, b.end)
		}
	}
	return nil
}

// renew goes over to the topic that has the name by now: the end that a look has told
// may be that of another one than it has listed.
func (s *stream) renew(ctx context.Context) error {
	began := time.Now()
	id, err := s.p.c.log.idOf(ctx, s.topic)
	if err != nil || !s.id.isAnother(id) {
		return err
	}
	s.p.c.log.parkTopic(s.function).renewed(id, began)
	bounds, err := s.p.c.log.bounds(ctx, s.topic)
	if err != nil {
		return err
	}
	s.p.smu.Lock()
	defer s.p.smu.Unlock()
	if b := bounds[s.p.id]; !s.p.halted {
		s.beginAnew(b.start, b.end)
		s.id = &id
	}
	return nil
}

// handOver gives records to the handler; false when stopped before.
func (s *stream) handOver(recs []*kgo.Record, next int64) bool {
	if !s.account.waitForRoom(s.p.stopping) {
		return false
	}
	open := s.account.take(slices.Clone(recs))
	s.account.pass(next)
	if len(open) > 0 {
		batch := make([]event.Record, len(open))
		for i, r := range open {
			batch[i] = topicRecord(s.topic, r)
		}
		s.p.c.log.stats.unparked.Add(int64(len(batch)))
		s.p.c.handler.HandleParked(s.p.ctx, s.function, batch, s.account.settle)
	}
	s.tail.at.Store(next)
	return true
}
