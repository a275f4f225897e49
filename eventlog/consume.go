package eventlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// consumer is one membership in the group.
type consumer struct {
	log *Log
	cl  *kgo.Client
	// made is cl for those that ask from outside, nil before it is made.
	made    atomic.Pointer[kgo.Client]
	handler Handler
	owners  sync.WaitGroup

	mu         sync.Mutex
	partitions map[int32]*partition
	last       map[int32]<-chan struct{} // done of the last owner of each partition
	round      *round
	complained time.Time

	// committing serialises taking a state and giving it to the client, so
	// that no commit overtakes a later one.
	committing sync.Mutex
	settled    atomic.Int64  // since the last commit
	commitNow  chan struct{} // cap 1
	lookNow    chan struct{} // cap 1
}

// round is one turn of the poll loop.
type round struct {
	cancel context.CancelFunc
	over   chan struct{}
}

// joined reports whether the group has this member.
func (c *consumer) joined() bool {
	cl := c.made.Load()
	if cl == nil {
		return false
	}
	_, generation := cl.GroupMetadata()
	return generation >= 0
}

// Consume joins the group and delivers the events topic to h until ctx ends.
// Then it hands over nothing more, has h release its partitions (within
// Config.DrainTimeout), commits, leaves the group and returns nil, or what went
// wrong in the last commit. A connection that breaks is not an end: it is
// mended in the background.
func (l *Log) Consume(ctx context.Context, h Handler) error {
	c := &consumer{
		log: l, handler: h,
		partitions: make(map[int32]*partition),
		last:       make(map[int32]<-chan struct{}),
		commitNow:  make(chan struct{}, 1),
		lookNow:    make(chan struct{}, 1),
	}
	if !l.consuming.CompareAndSwap(nil, c) {
		return errors.New("event log: Consume runs already")
	}
	defer l.consuming.Store(nil)
	clientCtx, abort := context.WithCancel(context.Background())
	defer abort()
	opts, err := c.opts(clientCtx)
	if err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	if c.cl, err = kgo.NewClient(opts...); err != nil {
		return fmt.Errorf("event log: consumer: %w", err)
	}
	c.made.Store(c.cl)
	var committer, looker sync.WaitGroup
	stopCommits, cancel := context.WithCancel(context.Background())
	defer cancel()
	committer.Go(func() { c.keepCommitting(stopCommits) })
	looker.Go(func() { c.keepLooking(ctx) })
	c.pollUntil(ctx)
	looker.Wait()
	return c.finish(func() { cancel(); committer.Wait() }, abort)
}

func (c *consumer) opts(ctx context.Context) ([]kgo.Opt, error) {
	cfg := &c.log.cfg
	opts, err := cfg.commonOpts()
	if err != nil {
		return nil, err
	}
	opts = append(opts,
		kgo.WithContext(ctx),
		kgo.ConsumerGroup(cfg.Group),
		kgo.ConsumeTopics(c.log.topicName(Events)),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(cfg.SessionTimeout),
		kgo.HeartbeatInterval(cfg.SessionTimeout/4),
		kgo.RebalanceTimeout(cfg.RebalanceTimeout),
		kgo.DisableAutoCommit(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // their offsets let the watermark pass
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(fetchWait),
		kgo.FetchMaxBytes(16<<20),
		kgo.FetchMaxPartitionBytes(1<<20),
		kgo.OnPartitionsAssigned(c.onAssigned),
		kgo.OnOffsetsFetched(c.onOffsets),
		kgo.OnPartitionsRevoked(c.onRevoked),
		kgo.OnPartitionsLost(c.onLost),
	)
	if cfg.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(cfg.InstanceID))
	}
	return opts, nil
}

// fetchWait is how long the broker holds a fetch that finds nothing. A
// partition that is new or resumed waits for the fetch on its way, so this is
// short; an idle process asks ten times a second.
const fetchWait = 100 * time.Millisecond

// pollUntil moves what is fetched to the queues of the partitions. It never
// waits for one of them.
func (c *consumer) pollUntil(ctx context.Context) {
	for ctx.Err() == nil {
		pollCtx, r := c.beginRound(ctx)
		fetches := c.cl.PollFetches(pollCtx)
		c.distribute(fetches)
		r.cancel()
		close(r.over)
	}
}

func (c *consumer) beginRound(ctx context.Context) (context.Context, *round) {
	ctx, cancel := context.WithCancel(ctx)
	r := &round{cancel: cancel, over: make(chan struct{})}
	c.mu.Lock()
	c.round = r
	c.mu.Unlock()
	return ctx, r
}

// endRound waits until the poll loop holds no records from before: whatever
// it distributes afterwards was polled later.
func (c *consumer) endRound() {
	c.mu.Lock()
	r := c.round
	c.mu.Unlock()
	if r != nil {
		r.cancel()
		<-r.over
	}
}

func (c *consumer) distribute(fetches kgo.Fetches) {
	records := 0
	fetches.EachPartition(func(ftp kgo.FetchTopicPartition) {
		if ftp.Err != nil {
			c.complain(ftp.Topic, ftp.Partition, ftp.Err)
		}
		if len(ftp.Records) > 0 {
			records += len(ftp.Records)
			c.offer(ftp.Partition, ftp.Records, ftp.LogStartOffset)
		}
	})
	if records == 0 {
		return
	}
	c.log.stats.polled.Add(int64(records))
	if c.log.cfg.Hooks.Polled != nil {
		c.log.cfg.Hooks.Polled(records)
	}
}

// offer gives records to their owner. Without one they were fetched before
// the partition was taken away: its next owner fetches them again.
func (c *consumer) offer(id int32, recs []*kgo.Record, logStart int64) {
	c.mu.Lock()
	p := c.partitions[id]
	c.mu.Unlock()
	if p == nil || p.offer(recs, logStart) {
		return
	}
	c.log.log.Error("the log went back: records after this offset were lost by the broker",
		"topic", c.log.topicName(Events), "partition", id, "offset", recs[0].Offset)
	// The old owner's progress is about records that are no more.
	p.abandon()
	p = c.own(id)
	p.begin(recs[0].Offset, "")
	p.offer(recs, logStart)
}

// complain logs an error of polling, at most one in ten seconds, since the
// client repeats it while it tries to mend it.
func (c *consumer) complain(topic string, id int32, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed) {
		return
	}
	c.mu.Lock()
	now := time.Now()
	quiet := now.Sub(c.complained) < 10*time.Second
	if !quiet {
		c.complained = now
	}
	c.mu.Unlock()
	if !quiet {
		lacks := topic
		if topic == "" { // the group's
			lacks = c.log.cfg.Group
		}
		err = lacking(err, "Read", lacks)
		c.log.log.Warn("reading the event log fails, retrying", "topic", topic, "partition", id, "error", err)
	}
}

// retired is told of offsets that retention removed before they were delivered.
func (c *consumer) retired(id int32, from, to int64) {
	c.log.stats.retired.Add(to - from)
	c.log.log.Error("events were removed by the topic's retention before they were delivered",
		"topic", c.log.topicName(Events), "partition", id, "from", from, "to", to)
}

func (c *consumer) pauseFetch(id int32) {
	c.cl.PauseFetchPartitions(map[string][]int32{c.log.topicName(Events): {id}})
}

func (c *consumer) resumeFetch(id int32) {
	c.cl.ResumeFetchPartitions(map[string][]int32{c.log.topicName(Events): {id}})
}

// own starts an owner for a partition.
func (c *consumer) own(id int32) *partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.newPartition(id, c.last[id])
	c.partitions[id] = p
	c.last[id] = p.done
	c.owners.Go(p.run)
	return p
}

// disown takes partitions out of the poll loop's reach.
func (c *consumer) disown(ids []int32) []*partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*partition
	for _, id := range ids {
		if p := c.partitions[id]; p != nil {
			out = append(out, p)
			delete(c.partitions, id)
		}
	}
	return out
}

func (c *consumer) disownAll() []*partition {
	c.mu.Lock()
	ids := slices.Collect(maps.Keys(c.partitions))
	c.mu.Unlock()
	return c.disown(ids)
}

func (c *consumer) onAssigned(_ context.Context, _ *kgo.Client, assigned map[string][]int32) {
	ids := assigned[c.log.topicName(Events)]
	if len(ids) == 0 {
		return
	}
	// Records of an earlier ownership, polled and not yet distributed, must
	// not reach the new owner: it would take their offsets for a gap.
	c.endRound()
	for _, id := range ids {
		c.resumeFetch(id) // pauses outlive assignments
		c.own(id)
	}
	c.log.log.Info("partitions assigned", "topic", c.log.topicName(Events), "partitions", ids)
}

func (c *consumer) onOffsets(_ context.Context, _ *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	for _, g := range resp.Groups {
		for _, t := range g.Topics { // ours is the only one
			for _, op := range t.Partitions {
				c.mu.Lock()
				p := c.partitions[op.Partition]
				c.mu.Unlock()
				if p != nil && op.ErrorCode == 0 {
					p.begin(op.Offset, deref(op.Metadata))
				}
			}
		}
	}
	return nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// onRevoked hands partitions over: it has the handler release them, within
// bounds, and commits, so that the next owner repeats as little as possible.
// The other partitions go on meanwhile.
func (c *consumer) onRevoked(_ context.Context, _ *kgo.Client, revoked map[string][]int32) {
	ids := revoked[c.log.topicName(Events)]
	if len(ids) == 0 {
		return
	}
	ps := c.disown(ids)
	c.drain(ps, min(c.log.cfg.DrainTimeout, c.log.cfg.RebalanceTimeout/2))
	if err := c.commitSync(ps); err != nil {
		c.log.log.Warn("progress was not committed at a hand-over; deliveries will be repeated", "error", err)
	}
	c.log.log.Info("partitions handed over", "topic", c.log.topicName(Events), "partitions", ids)
}

// onLost drops partitions that somebody else may have already.
func (c *consumer) onLost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	ids := lost[c.log.topicName(Events)]
	for _, p := range c.disown(ids) {
		p.abandon()
	}
	if len(ids) > 0 {
		c.log.log.Warn("partitions lost", "topic", c.log.topicName(Events), "partitions", ids)
	}
}

// drain has partitions released, side by side.
func (c *consumer) drain(ps []*partition, budget time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range ps {
		wg.Go(func() { p.drain(ctx) })
	}
	wg.Wait()
}

// leaveTimeout bounds the last commit and the leave, each, when the broker
// does not answer.
const leaveTimeout = 3 * time.Second

// finish ends the membership after the last poll. Commits go on while the
// partitions drain, but not beside the last one.
func (c *consumer) finish(stopCommits, abort func()) error {
	ps := c.disownAll()
	c.drain(ps, c.log.cfg.DrainTimeout)
	stopCommits()
	err := c.commitLast(ps)
	late := time.AfterFunc(leaveTimeout, abort)
	c.cl.Close() // leaves the group, unless membership is static
	late.Stop()
	c.owners.Wait()
	if err != nil {
		return fmt.Errorf("%w: last commit: %w", ErrUnavailable, err)
	}
	return nil
}

// levels are how many partitions there are, and records in flight.
func (c *consumer) levels() (partitions, unsettled int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.partitions {
		for _, a := range p.accounts() {
			unsettled += a.unsettled()
		}
	}
	return len(c.partitions), unsettled
}
