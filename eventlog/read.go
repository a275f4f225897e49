package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// From is where reading starts. The zero value is the earliest record there is.
type From struct {
	latest    bool
	since     time.Time
	last      int64
	positions []event.Position
}

// Earliest starts at the oldest records.
func Earliest() From { return From{} }

// Latest starts behind the newest records, as of the call.
func Latest() From { return From{latest: true} }

// Since starts at the first records whose time in the log is not before t.
func Since(t time.Time) From { return From{since: t} }

// Last starts so many offsets before the end of each partition.
func Last(n int64) From { return From{last: n} }

// FromPositions starts at exact positions, one per partition; partitions that
// are not named are not read. A position before the oldest record means that.
func FromPositions(at ...event.Position) From { return From{positions: at} }

// ReadOptions narrow a Read.
type ReadOptions struct {
	// Partition reads this partition only; nil is all.
	Partition *int32
	// Follow goes on with what is appended later, until ctx ends.
	Follow bool
	// Started, when set, is called once where reading starts is fixed: a
	// follower from the latest sees everything appended after that.
	Started func()
}

// Read calls fn for the records of a topic, in order within a partition. It
// is independent of the group. Without Follow it reads one partition after the
// other up to their ends as of the call, and returns nil; with Follow it
// returns when ctx ends, with its cause. It also ends with the error of fn, or
// nil when that is ErrStop. Events are parsed on topic Events only: records of
// other topics carry their Message.
func (l *Log) Read(ctx context.Context, topic Topic, from From, opts ReadOptions, fn func(event.Record) error) error {
	ranges, err := l.ranges(ctx, topic, from, opts.Partition)
	if err == nil && opts.Started != nil {
		opts.Started()
	}
	if err == nil && opts.Follow {
		err = l.follow(ctx, topic, ranges, fn)
	} else if err == nil {
		err = l.scan(ctx, topic, ranges, fn)
	}
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

// bound is what a partition holds; end is the last stable offset.
type bound struct{ start, end int64 }

func (l *Log) bounds(ctx context.Context, topic Topic) (map[int32]bound, error) {
	name := l.topicName(topic)
	starts, err := listed(l.adm.ListStartOffsets(ctx, name))
	if err != nil {
		return nil, fmt.Errorf("%w: start of %s: %w", ErrUnavailable, name, err)
	}
	ends, err := listed(l.adm.ListCommittedOffsets(ctx, name))
	if err != nil {
		return nil, fmt.Errorf("%w: end of %s: %w", ErrUnavailable, name, err)
	}
	m := make(map[int32]bound, len(ends[name]))
	for p, e := range ends[name] {
		m[p] = bound{starts[name][p].Offset, e.Offset}
	}
	return m, nil
}

func listed(o kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err == nil {
		err = o.Error()
	}
	return o, err
}

// ranges resolves from to offsets, once, so that nothing appended after the
// call of Read is missed by following from the latest.
func (l *Log) ranges(ctx context.Context, topic Topic, from From, only *int32) (map[int32]bound, error) {
	m, err := l.bounds(ctx, topic)
	if err != nil {
		return nil, err
	}
	if only != nil {
		b, ok := m[*only]
		if !ok {
			return nil, fmt.Errorf("%w: %s has no partition %d", ErrNotFound, l.topicName(topic), *only)
		}
		m = map[int32]bound{*only: b}
	}
	switch {
	case from.latest:
		return moved(m, func(_ int32, b bound) int64 { return b.end }), nil
	case from.last > 0:
		return moved(m, func(_ int32, b bound) int64 { return b.end - from.last }), nil
	case !from.since.IsZero():
		return l.rangesSince(ctx, topic, from.since, m)
	case from.positions != nil:
		return rangesAt(m, from.positions), nil
	}
	return m, nil
}

// moved sets the starts, within the bounds.
func moved(m map[int32]bound, to func(int32, bound) int64) map[int32]bound {
	for p, b := range m {
		m[p] = bound{min(max(to(p, b), b.start), b.end), b.end}
	}
	return m
}

func (l *Log) rangesSince(ctx context.Context, topic Topic, t time.Time, m map[int32]bound) (map[int32]bound, error) {
	name := l.topicName(topic)
	at, err := listed(l.adm.ListOffsetsAfterMilli(ctx, t.UnixMilli(), name))
	if err != nil {
		return nil, fmt.Errorf("%w: %s since %v: %w", ErrUnavailable, name, t, err)
	}
	return moved(m, func(p int32, b bound) int64 {
		if o := at[name][p].Offset; o >= 0 {
			return o
		}
		return b.end
	}), nil
}

func rangesAt(m map[int32]bound, at []event.Position) map[int32]bound {
	named := make(map[int32]bound, len(at))
	for _, pos := range at {
		if b, ok := m[pos.Partition]; ok {
			named[pos.Partition] = bound{max(pos.Offset, b.start), max(pos.Offset, b.end)}
		}
	}
	return named
}

// At returns the record at a position, or ErrNotFound when there is none (any
// more), or it was never committed.
func (l *Log) At(ctx context.Context, topic Topic, pos event.Position) (event.Record, error) {
	missing := fmt.Errorf("%w: %s %s", ErrNotFound, l.topicName(topic), pos)
	if pos.Offset < 0 || pos.Partition < 0 || pos.Partition >= l.Partitions(topic) {
		return event.Record{}, missing
	}
	// One byte asks for one batch, which comes whole.
	recs, _, err := l.fetch(ctx, topic, pos.Partition, pos.Offset, 1)
	if errors.Is(err, kerr.OffsetOutOfRange) {
		return event.Record{}, missing
	}
	if err != nil {
		return event.Record{}, err
	}
	if len(recs) == 0 || recs[0].Offset != pos.Offset {
		return event.Record{}, missing
	}
	return topicRecord(topic, recs[0]), nil
}

// scan reads the ranges, one partition after the other.
func (l *Log) scan(ctx context.Context, topic Topic, ranges map[int32]bound, fn func(event.Record) error) error {
	ids := make([]int32, 0, len(ranges))
	for id := range ranges {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if err := l.scanPartition(ctx, topic, id, ranges[id], fn); err != nil {
			return err
		}
	}
	return nil
}

const scanBytes = 1 << 20

func (l *Log) scanPartition(ctx context.Context, topic Topic, id int32, b bound, fn func(event.Record) error) error {
	for at := b.start; at < b.end; {
		recs, next, err := l.fetch(ctx, topic, id, at, scanBytes)
		if errors.Is(err, kerr.OffsetOutOfRange) {
			// Retention overtook us: go on where the log begins now.
			next, err = l.startOf(ctx, topic, id)
		}
		if err != nil {
			return err
		}
		for _, r := range recs {
			if r.Offset >= b.end {
				return nil
			}
			if err := fn(topicRecord(topic, r)); err != nil {
				return err
			}
		}
		if next <= at {
			return nil // only a gap is left before the end
		}
		at = next
	}
	return nil
}

func (l *Log) startOf(ctx context.Context, topic Topic, id int32) (int64, error) {
	m, err := l.bounds(ctx, topic)
	return m[id].start, err
}

// fetch reads committed records from an offset on, straight from the leader:
// one round trip, no session. next is where to go on; it is offset when there
// is nothing more.
func (l *Log) fetch(ctx context.Context, topic Topic, id int32, offset int64, maxBytes int32) (recs []*kgo.Record, next int64, err error) {
	return l.fetchOf(ctx, topic, topicID{}, id, offset, maxBytes)
}

// errMadeAnew: another topic has the name by now.
var errMadeAnew = errors.New("the topic was made anew")

// fetchOf is fetch of the topic with an id, zero is whichever has the name; it fails
// with errMadeAnew when that is another one.
func (l *Log) fetchOf(ctx context.Context, topic Topic, of topicID, id int32, offset int64, maxBytes int32) (recs []*kgo.Record, next int64, err error) {
	for fresh := time.Minute; ; fresh = 0 {
		leader, tid, err := l.leader(ctx, topic, id, fresh)
		if err == nil && of.isAnother(tid) {
			err = errMadeAnew
		}
		if err == nil {
			recs, next, err = l.fetchFrom(ctx, leader, tid, topic, id, offset, maxBytes)
		}
		if fresh > 0 && (kerr.IsRetriable(err) || errors.Is(err, errMadeAnew)) {
			continue // the leader moved, or what is known is old: look again, once
		}
		if err != nil && !errors.Is(err, kerr.OffsetOutOfRange) && !errors.Is(err, errMadeAnew) {
			err = fmt.Errorf("%w: read %s %d:%d: %w", ErrUnavailable, l.topicName(topic), id, offset, err)
		}
		return recs, next, err
	}
}

func (l *Log) fetchFrom(ctx context.Context, leader int32, tid [16]byte, topic Topic, id int32, offset int64, maxBytes int32) ([]*kgo.Record, int64, error) {
	req := kmsg.NewPtrFetchRequest()
	req.MinBytes = 1
	req.MaxBytes = maxBytes
	req.IsolationLevel = 1 // read committed
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID = l.topicName(topic), tid
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = id, offset, maxBytes
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, l.cl.Broker(int(leader)))
	if err != nil {
		return nil, 0, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, 0, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, offset, nil
	}
	fp, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: offset, IsolationLevel: kgo.ReadCommitted(), Topic: l.topicName(topic), Partition: id,
	}, &resp.Topics[0].Partitions[0], l.unpack, nil)
	return fp.Records, next, fp.Err
}

// leader is asked of metadata at most fresh old.
func (l *Log) leader(ctx context.Context, topic Topic, id int32, fresh time.Duration) (int32, topicID, error) {
	req := kmsg.NewPtrMetadataRequest()
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = kmsg.StringPtr(l.topicName(topic))
	req.Topics = append(req.Topics, rt)
	resp, err := l.cl.RequestCachedMetadata(ctx, req, fresh)
	if err != nil {
		return 0, topicID{}, err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.Partition == id {
				return p.Leader, t.TopicID, kerr.ErrorForCode(p.ErrorCode)
			}
		}
	}
	return 0, topicID{}, kerr.UnknownTopicOrPartition
}

// idOf asks the broker which topic has a name.
func (l *Log) idOf(ctx context.Context, topic Topic) (topicID, error) {
	found, err := l.findTopics(ctx, topic)
	if err != nil {
		return topicID{}, err
	}
	t := topicIn(found, l.topicName(topic))
	if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
		return topicID{}, fmt.Errorf("%w: metadata of %s: %w", ErrUnavailable, l.topicName(topic), err)
	}
	return t.TopicID, nil
}

// follow reads from the starts of ranges on, for ever, with a client of its own.
func (l *Log) follow(ctx context.Context, topic Topic, ranges map[int32]bound, fn func(event.Record) error) error {
	opts, err := l.cfg.commonOpts()
	if err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	starts := make(map[int32]kgo.Offset, len(ranges))
	for id, b := range ranges {
		starts[id] = kgo.NewOffset().At(b.start)
	}
	cl, err := kgo.NewClient(append(opts,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.topicName(topic): starts}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(fetchWait),
		kgo.FetchMaxBytes(4<<20),
		kgo.FetchMaxPartitionBytes(1<<20),
	)...)
	if err != nil {
		return fmt.Errorf("event log: reader: %w", err)
	}
	defer cl.Close()
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			if err := fn(topicRecord(topic, it.Next())); err != nil {
				return err
			}
		}
	}
}
