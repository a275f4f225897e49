package eventlog

import (
	"context"
	"sync"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Handler is what Consume delivers to.
type Handler interface {
	// Handle takes responsibility for recs, which are of one partition in
	// offset order, on that partition's own goroutine; they are the handler's
	// to keep. It may block: that is the backpressure, and holds up no other
	// partition. A record that is no event comes with Event nil and Fault set.
	// settle(offset) is called exactly once per record, from any goroutine,
	// once every delivery of it has a durable outcome. ctx ends when the
	// partition is lost or the drain budget is over: Handle then returns soon,
	// what is not settled is delivered again by the next owner, and settling
	// later does nothing.
	Handle(ctx context.Context, recs []event.Record, settle func(offset int64))
}

// partition is the owner of one assigned partition: a queue filled by the poll
// loop, a goroutine that hands over, and the tracker.
type partition struct {
	c      *consumer
	id     int32
	ctx    context.Context // of the handler
	cancel context.CancelFunc
	before <-chan struct{} // closed when this process's last owner of the partition is gone
	done   chan struct{}   // closed when run is

	queue
	stopOnce sync.Once
	stopping chan struct{} // closed: hand over nothing more

	room    chan struct{} // cap 1: the window has room again
	drained chan struct{} // cap 1: nothing is open

	mu      sync.Mutex // guards what is below
	tracker *tracker
	skip    []span // settled before the last crash or hand-over
	changes uint64 // counts what a commit would tell
	saved   uint64 // changes as of the last commit
	spans   []span // scratch
}

func (c *consumer) newPartition(id int32, before <-chan struct{}) *partition {
	p := &partition{
		c: c, id: id, before: before,
		done:     make(chan struct{}),
		stopping: make(chan struct{}),
		tracker:  newTracker(),
		room:     make(chan struct{}, 1),
		drained:  make(chan struct{}, 1),
	}
	p.queue.init(c, id)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// begin tells where the group stands; offset is -1 without a commit.
func (p *partition) begin(offset int64, metadata string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tracker.next >= 0 || offset < 0 {
		return
	}
	p.tracker.next = offset
	p.skip = decodeProgress(offset, metadata)
	p.queue.expect(offset)
}

// run hands records over until the partition is stopped.
func (p *partition) run() {
	defer close(p.done)
	if p.before != nil {
		<-p.before
	}
	settle := p.settle // one closure for all records
	for {
		recs := p.queue.next(p.stopping, p.c.log.cfg.HandleRecords)
		if recs == nil || !p.waitForRoom() {
			return
		}
		if batch := p.take(recs); len(batch) > 0 {
			p.c.handler.Handle(p.ctx, batch, settle)
		}
	}
}

// waitForRoom blocks while the window is full; false when stopped meanwhile.
func (p *partition) waitForRoom() bool {
	for {
		p.mu.Lock()
		fits := p.tracker.n < p.c.log.cfg.Window
		p.mu.Unlock()
		if fits {
			return true
		}
		select {
		case <-p.room:
		case <-p.stopping:
			return false
		}
	}
}

// take enters recs in the tracker and returns those that are to be handled:
// neither markers of transactions nor records settled before.
func (p *partition) take(recs []*kgo.Record) []event.Record {
	open := recs[:0]
	p.mu.Lock()
	for _, r := range recs {
		settled := r.Attrs.IsControl() || p.skipped(r.Offset)
		p.tracker.take(r.Offset, settled) // the queue lets none pass that goes back
		if settled {
			p.changes++
		} else {
			open = append(open, r)
		}
	}
	p.mu.Unlock()
	batch := make([]event.Record, len(open))
	for i, r := range open {
		batch[i] = eventRecord(r)
	}
	return batch
}

func (p *partition) skipped(offset int64) bool {
	for len(p.skip) > 0 && p.skip[0].to <= offset {
		p.skip = p.skip[1:]
	}
	return len(p.skip) > 0 && p.skip[0].from <= offset
}

// settle is given to the handler.
func (p *partition) settle(offset int64) {
	p.mu.Lock()
	if !p.tracker.settle(offset) {
		p.mu.Unlock()
		return
	}
	p.changes++
	room := p.tracker.n == 0 || p.tracker.n < p.c.log.cfg.Window
	drained := p.tracker.open == 0
	p.mu.Unlock()
	if room {
		signal(p.room)
	}
	if drained {
		signal(p.drained)
	}
	p.c.countSettled()
}

// signal wakes the one that waits on c, now or later.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// stop ends the hand-over; what is queued and not handed over is dropped.
func (p *partition) stop() { p.stopOnce.Do(func() { close(p.stopping) }) }

// drain stops the partition and waits for what was handed over to be settled,
// as long as ctx allows; afterwards the handler's context is over and the
// goroutine gone.
func (p *partition) drain(ctx context.Context) {
	p.stop()
	select {
	case <-p.done:
		p.waitSettled(ctx)
	case <-ctx.Done():
	}
	p.cancel()
	<-p.done
}

func (p *partition) waitSettled(ctx context.Context) {
	for {
		p.mu.Lock()
		open := p.tracker.open
		p.mu.Unlock()
		if open == 0 {
			return
		}
		select {
		case <-p.drained:
		case <-ctx.Done():
			return
		}
	}
}

// state is what can be committed, and its version for committed; false when
// it is as at the last commit.
func (p *partition) state() (s commitState, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.tracker.watermark()
	if at < 0 || p.changes == p.saved {
		return commitState{}, false
	}
	p.spans = p.tracker.ahead(p.spans)
	return commitState{p: p, offset: at, metadata: encodeProgress(at, p.spans), version: p.changes}, true
}

func (p *partition) committed(version uint64) {
	p.mu.Lock()
	p.saved = version
	p.mu.Unlock()
}

func (p *partition) unsettled() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tracker.open
}
