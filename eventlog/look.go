package eventlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// keepLooking finds what is parked for the partitions owned: at once when one
// is assigned, and now and then, since other processes park too.
func (c *consumer) keepLooking(ctx context.Context) {
	tick := time.NewTicker(c.log.cfg.ParkedInterval)
	defer tick.Stop()
	var kept keeping
	kept.last = time.Now()
	for {
		var again <-chan time.Time
		if err := c.look(ctx); err != nil && ctx.Err() == nil {
			if !errors.Is(err, errNotThere) && !errors.Is(err, errNotListed) {
				c.log.log.Warn("looking for parked deliveries failed, trying again", "error", err)
			}
			again = time.After(lookAgain)
		}
		c.keep(ctx, &kept)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-c.lookNow:
		case <-again:
		}
	}
}

// lookAgain is when a look that failed is repeated.
const lookAgain = 200 * time.Millisecond

// errNotThere: this process has parked something, and the broker does not know
// the topic yet.
var errNotThere = errors.New("parked topic not found")

// errNotListed: this process has made a parked topic, and it was not listed since.
var errNotListed = errors.New("parked topic not listed yet")

// keeping is when progress was looked after.
type keeping struct{ last, cursors time.Time }

func (c *consumer) keep(ctx context.Context, k *keeping) {
	now := time.Now()
	if now.Sub(k.last) < keepEvery*c.log.cfg.ParkedInterval || ctx.Err() != nil {
		return
	}
	k.last = now
	err := c.keepParked(ctx)
	if now.Sub(k.cursors) > keepAge {
		k.cursors = now
		err = errors.Join(err, c.keepCursors(ctx))
	}
	if err != nil && ctx.Err() == nil {
		c.log.log.Warn("looking after progress failed", "error", err)
	}
}

// look opens the streams that are not read yet, and tells those that are how
// far they go now.
func (c *consumer) look(ctx context.Context) error {
	ps := c.entered()
	if len(ps) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	topics, err := c.log.parkedTopics(ctx, c.allLooked(ps))
	if err != nil {
		return err
	}
	committed, err := c.committedParked(ctx, ps, topics)
	if err != nil {
		return err
	}
	for _, p := range ps {
		p.noteSeen()
	}
	ends, err := c.log.parkedEnds(ctx, idsOf(ps), topics)
	if err != nil {
		return err
	}
	for _, p := range ps {
		err = errors.Join(err, c.lookAt(p, topics, committed, ends))
	}
	return err
}

// lookAt brings the streams of one partition up to date.
func (c *consumer) lookAt(p *partition, topics map[string]int32, committed kadm.OffsetResponses, ends map[topicPartition]listedEnd) error {
	var missing error
	for function, partitions := range topics {
		if p.id >= partitions {
			continue
		}
		topic := c.log.topicName(Parked(function))
		end, ok := ends[topicPartition{topic, p.id}]
		switch {
		case errors.Is(end.err, kerr.UnknownTopicOrPartition):
			if p.stream(function) == nil && c.log.tails.has(function, p.id) {
				missing = cmp.Or(missing, errNotThere)
			}
			continue
		case end.err != nil || !ok:
			missing = fmt.Errorf("%w: end of partition %d of %s: %w", ErrUnavailable, p.id, topic, errors.Join(end.err))
			continue
		}
		id := c.log.parkTopic(function).id.Load()
		if id == nil { // which topic the end is of shows at the next look
			missing = cmp.Or(missing, errNotListed)
			continue
		}
		if s := p.stream(function); s != nil {
			s.update(id, end.offset)
			continue
		}
		at, metadata := int64(-1), ""
		if o, ok := committed[topic][p.id]; ok {
			if o.Err != nil {
				missing = fmt.Errorf("%w: progress of partition %d of %s: %w", ErrUnavailable, p.id, topic, o.Err)
				continue
			}
			at, metadata = o.At, o.Metadata
		}
		p.openStream(function, id, at, metadata, end.offset)
	}
	if missing == nil || errors.Is(missing, errNotThere) {
		p.setLooked()
	}
	return missing
}

// entered are the partitions whose handler was told of the ownership.
func (c *consumer) entered() []*partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ps []*partition
	for _, p := range c.partitions {
		select {
		case <-p.begun:
			ps = append(ps, p)
		default:
		}
	}
	return ps
}

func idsOf(ps []*partition) []int32 {
	ids := make([]int32, len(ps))
	for i, p := range ps {
		ids[i] = p.id
	}
	slices.Sort(ids)
	return ids
}

func (c *consumer) allLooked(ps []*partition) bool {
	for _, p := range ps {
		if !c.log.tails.hasLooked(p.id) {
			return false
		}
	}
	return true
}

// grew is told what this process has parked itself.
func (c *consumer) grew(function string, id int32) {
	c.mu.Lock()
	p := c.partitions[id]
	c.mu.Unlock()
	if p == nil {
		return
	}
	if s := p.stream(function); s != nil {
		s.wake()
		return
	}
	signal(c.lookNow)
}

// committedParked is the group's progress, when a stream is to be opened. It
// is asked before the ends, which must not lie before it.
func (c *consumer) committedParked(ctx context.Context, ps []*partition, topics map[string]int32) (kadm.OffsetResponses, error) {
	fresh := false
	for _, p := range ps {
		for function, partitions := range topics {
			fresh = fresh || p.id < partitions && p.stream(function) == nil
		}
	}
	if !fresh {
		return nil, nil
	}
	o, err := c.log.adm.FetchOffsets(ctx, c.log.cfg.Group)
	if err != nil {
		return nil, fmt.Errorf("%w: progress of group %s: %w", ErrUnavailable, c.log.cfg.Group, err)
	}
	return o, nil
}

// manyTopics is how many topics there may be on the broker for all of them to
// be listed at each look; with more it is done at every third.
const manyTopics = 2000

// parkedTopics are the functions that have a parked topic, with the topics'
// partitions. With later it may answer from memory, of a listing that is not old.
func (l *Log) parkedTopics(ctx context.Context, later bool) (map[string]int32, error) {
	p := &l.parked
	p.mu.Lock()
	rest := l.cfg.ParkedInterval / 2
	if p.many > manyTopics {
		rest = 3 * l.cfg.ParkedInterval
	}
	fresh := later && time.Since(p.listed) < rest && !p.unlisted()
	p.mu.Unlock()
	if !fresh {
		if err := l.listParked(ctx); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	topics := make(map[string]int32)
	for function, t := range p.of {
		if n := t.partitions.Load(); n > 0 {
			topics[function] = n
		}
	}
	return topics, nil
}

// unlisted reports whether a topic that is there was not listed since it was
// made: its id is not known. p.mu is held.
func (p *parkTopics) unlisted() bool {
	for _, t := range p.of {
		if t.partitions.Load() > 0 && t.id.Load() == nil {
			return true
		}
	}
	return false
}

// listParked asks the broker for all topics.
func (l *Log) listParked(ctx context.Context) error {
	began := time.Now()
	req := kmsg.NewPtrMetadataRequest() // no topics are all of them
	resp, err := req.RequestWith(ctx, l.cl)
	if err != nil {
		return fmt.Errorf("%w: metadata: %w", ErrUnavailable, err)
	}
	found := make(map[string]bool)
	for _, t := range resp.Topics {
		if t.Topic == nil || t.ErrorCode != 0 {
			continue
		}
		if function, ok := cutParked(l.cfg.TopicPrefix, *t.Topic); ok {
			found[function] = true
			l.parkTopic(function).known(int32(len(t.Partitions)), t.TopicID, began)
		}
	}
	l.parked.mu.Lock()
	defer l.parked.mu.Unlock()
	l.parked.listed, l.parked.many = began, len(resp.Topics)
	for function, t := range l.parked.of {
		if !found[function] {
			t.gone(began)
		}
	}
	return nil
}

// listedEnd is the end of a stream as the broker says it.
type listedEnd struct {
	offset int64
	err    error
}

// parkedEnds are the last stable offsets of partitions of parked topics.
func (l *Log) parkedEnds(ctx context.Context, ids []int32, topics map[string]int32) (map[topicPartition]listedEnd, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, 1
	for function, partitions := range topics {
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = l.topicName(Parked(function))
		for _, id := range ids {
			if id < partitions {
				rp := kmsg.NewListOffsetsRequestTopicPartition()
				rp.Partition, rp.Timestamp = id, -1
				rt.Partitions = append(rt.Partitions, rp)
			}
		}
		if len(rt.Partitions) > 0 {
			req.Topics = append(req.Topics, rt)
		}
	}
	ends := make(map[topicPartition]listedEnd)
	if len(req.Topics) == 0 {
		return ends, nil
	}
	var failed error
	for _, shard := range l.cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			for _, t := range shard.Req.(*kmsg.ListOffsetsRequest).Topics {
				for _, p := range t.Partitions {
					ends[topicPartition{t.Topic, p.Partition}] = listedEnd{-1, shard.Err}
				}
			}
			failed = shard.Err
			continue
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				ends[topicPartition{t.Topic, p.Partition}] = listedEnd{p.Offset, kerr.ErrorForCode(p.ErrorCode)}
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: ends of parked topics: %w", ErrUnavailable, errors.Join(err, failed))
	}
	return ends, nil
}

// Progress is looked after at every twentieth look: the broker forgets offsets
// that nobody subscribed to after seven days without a commit, and what is
// settled need not be kept.
const keepEvery, keepAge = 20, 12 * time.Hour

// keepParked commits progress on parked topics again that is old, and deletes
// what is settled. The embedded log does that by itself (trim.go).
func (c *consumer) keepParked(ctx context.Context) error {
	del := make(kadm.Offsets)
	for _, p := range c.entered() {
		for _, a := range p.accounts()[1:] {
			a.touch(time.Now().Add(-keepAge))
			if at := a.progress(); at > a.deleted && !c.log.cfg.Embedded {
				del.AddOffset(a.topic, a.id, at, -1)
				a.deleted = at
			}
		}
	}
	return c.log.deleteRecords(ctx, del)
}

// keepCursors commits the cursors of the partitions owned again.
func (c *consumer) keepCursors(ctx context.Context) error {
	owned := make(map[int32]bool)
	for _, p := range c.entered() {
		owned[p.id] = true
	}
	names, err := c.log.CursorNames(ctx)
	for _, name := range names {
		err = errors.Join(err, c.log.keepCursor(ctx, name, owned))
	}
	return err
}
