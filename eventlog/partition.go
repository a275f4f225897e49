package eventlog

import (
	"context"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// Handler is what Consume delivers to. Whoever owns a partition of the events
// topic owns what is parked of its events too: the same partition of every
// parked topic.
type Handler interface {
	// Own is called once when a time of owning a partition begins, before any
	// record of it; ctx ends when the ownership does. It must not block.
	Own(ctx context.Context, partition int32)
	// Handle takes responsibility for recs, which are of one partition in
	// offset order, on that partition's own goroutine; they are the handler's
	// to keep. It may block: that is the backpressure, and holds up no other
	// partition. A record that is no event comes with Event nil and Fault set.
	// settle(offset) is called exactly once per record, from any goroutine,
	// once every delivery of it has a durable outcome. ctx is that of Own: it
	// ends when the partition is lost, handed over, or the drain budget is
	// over; Handle then returns soon, what is not settled is delivered again by
	// the next owner, and settling later does nothing.
	Handle(ctx context.Context, recs []event.Record, settle func(offset int64))
	// HandleParked is like Handle for the parked deliveries of a function, at
	// the same partition: Message holds the parked record, Event and Fault are
	// nil, Position is that in the parked topic. It is called on a goroutine
	// of this function and partition, at the same time as Handle: blocking
	// holds up nothing else. A record may come before Park has said that it
	// was appended.
	HandleParked(ctx context.Context, function string, recs []event.Record, settle func(offset int64))
	// Release is called once at a clean hand-over or stop, when nothing more
	// will be handed over: the handler makes the calls of Handle and
	// HandleParked that are in progress return, starts nothing new, parks or
	// abandons what waits, and returns when nothing of the partition will be
	// settled any more, or soon after ctx ends. Then progress is committed. A
	// partition that is lost is not released.
	Release(ctx context.Context, partition int32)
}

// partition is the owner of one assigned partition: a queue filled by the poll
// loop, a goroutine that hands over, and the parked streams.
type partition struct {
	c      *consumer
	id     int32
	ctx    context.Context // of the handler
	cancel context.CancelFunc
	before <-chan struct{} // closed when this process's last owner of the partition is gone
	begun  chan struct{}   // closed when Own has returned, or will not be called
	looked chan struct{}   // closed when it is known what is parked
	done   chan struct{}   // closed when nothing of this owner runs any more

	queue
	*account
	stopping chan struct{} // closed: hand over nothing more
	reads    context.Context
	endReads context.CancelFunc
	reading  sync.WaitGroup // goroutines of streams

	lookedOnce sync.Once

	smu     sync.Mutex // guards what is below
	halted  bool
	owned   bool // Own was called, or is being called
	streams map[string]*stream
}

func (c *consumer) newPartition(id int32, before <-chan struct{}) *partition {
	p := &partition{
		c: c, id: id, before: before,
		begun:    make(chan struct{}),
		looked:   make(chan struct{}),
		done:     make(chan struct{}),
		stopping: make(chan struct{}),
		streams:  make(map[string]*stream),
		account:  newAccount(c.log.topicName(Events), id, c.log.cfg.Window, c.countSettled),
	}
	p.queue.init(c, id)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.reads, p.endReads = context.WithCancel(p.ctx)
	return p
}

// begin tells where the group stands; offset is -1 without a commit.
func (p *partition) begin(offset int64, metadata string) {
	if p.account.begin(offset, metadata) && offset >= 0 {
		p.queue.expect(offset)
	}
}

// run hands records over until the partition is stopped.
func (p *partition) run() {
	defer close(p.done)
	if p.before != nil {
		<-p.before
	}
	if p.enter() {
		p.c.handler.Own(p.ctx, p.id)
		close(p.begun)
		signal(p.c.lookNow)
		p.waitLooked()
		p.deliver()
	}
	p.reading.Wait()
	p.c.log.tails.forget(p.id)
}

// enter is false when the partition was stopped before it began.
func (p *partition) enter() bool {
	p.smu.Lock()
	defer p.smu.Unlock()
	p.owned = !p.halted
	return p.owned
}

// maxLook is how long the first events wait until it is known what is parked:
// before, those with an order would be parked for nothing.
const maxLook = 500 * time.Millisecond

func (p *partition) waitLooked() {
	t := time.NewTimer(maxLook)
	defer t.Stop()
	select {
	case <-p.looked:
	case <-p.stopping:
	case <-t.C:
	}
}

// setLooked says that it is known what is parked, unless the ownership is over.
func (p *partition) setLooked() {
	p.smu.Lock()
	defer p.smu.Unlock()
	if !p.halted {
		p.c.log.tails.setLooked(p.id)
		p.lookedOnce.Do(func() { close(p.looked) })
	}
}

func (p *partition) deliver() {
	settle := p.account.settle // one closure for all records
	for {
		recs := p.queue.next(p.stopping, p.c.log.cfg.HandleRecords)
		if recs == nil || !p.waitForRoom(p.stopping) {
			return
		}
		open := p.take(recs)
		if len(open) == 0 {
			continue
		}
		batch := make([]event.Record, len(open))
		for i, r := range open {
			batch[i] = eventRecord(r)
		}
		p.c.handler.Handle(p.ctx, batch, settle)
	}
}

// stop ends the hand-over; what is fetched and not handed over is dropped. It
// reports whether the handler was told of this ownership.
func (p *partition) stop() (owned bool) {
	p.smu.Lock()
	defer p.smu.Unlock()
	if !p.halted {
		p.halted = true
		close(p.stopping)
		p.endReads()
	}
	return p.owned
}

// drain stops the partition and has the handler release it, within ctx;
// afterwards nothing is settled any more, the handler's context is over and
// the goroutines are gone.
func (p *partition) drain(ctx context.Context) {
	owned := p.stop()
	over := make(chan struct{})
	go func() {
		defer close(over)
		if owned {
			<-p.begun
			p.c.handler.Release(ctx, p.id)
		}
		<-p.done
	}()
	select {
	case <-over:
	case <-ctx.Done():
	}
	p.fence()
	<-over
}

// abandon ends an ownership that somebody else may have by now.
func (p *partition) abandon() {
	p.stop()
	p.fence()
}

// fence ends the handler's context; settling does nothing from here on.
func (p *partition) fence() {
	for _, a := range p.accounts() {
		a.close()
	}
	p.cancel()
}

// accounts are those of the partition and its parked streams.
func (p *partition) accounts() []*account {
	p.smu.Lock()
	defer p.smu.Unlock()
	all := make([]*account, 0, 1+len(p.streams))
	all = append(all, p.account)
	for _, s := range p.streams {
		all = append(all, s.account)
	}
	return all
}

// noteSeen notes where the streams stand before their ends are asked for.
func (p *partition) noteSeen() {
	p.smu.Lock()
	defer p.smu.Unlock()
	for _, s := range p.streams {
		s.seen = s.tail.at.Load()
	}
}

func (p *partition) stream(function string) *stream {
	p.smu.Lock()
	defer p.smu.Unlock()
	return p.streams[function]
}
