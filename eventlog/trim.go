package eventlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// On the embedded log nothing expires by itself: the log looks at the sizes by
// bytes appended, and deletes the oldest records over a topic's share. Events
// are deleted only when they are settled; when those that are not, and what is
// parked, fill the share, Append refuses events until some are. Parking is never
// refused for that: it is what makes room.

// trimEvery is the part of RetentionBytes after which sizes are looked at.
const trimEvery = 64

// grown counts what was appended and asks for a look at the sizes.
func (l *Log) grown(size int64) {
	if l.cfg.Embedded && l.trimmed.Add(size) >= l.cfg.RetentionBytes/trimEvery {
		l.trimmed.Store(0)
		signal(l.trim)
	}
}

// keepTrimmed looks at the sizes when asked to, and now and then by itself,
// since others may write to the broker too; more often while it is full.
func (l *Log) keepTrimmed(ctx context.Context) {
	for {
		if err := l.trimTopics(ctx); err != nil && ctx.Err() == nil {
			l.log.Warn("the embedded log was not trimmed", "error", err)
		}
		wait := 10 * time.Second
		if l.full.Load() {
			wait = 100 * time.Millisecond
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-l.trim:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (l *Log) trimTopics(ctx context.Context) error {
	parked, err := l.trimParked(ctx)
	if err != nil {
		return err
	}
	for _, t := range topics {
		share := l.cfg.share(t)
		if share == 0 {
			continue
		}
		var beside heldBytes // what is parked counts as events do
		if t == Events {
			beside = parked
		}
		sizes, total, err := l.sizes(ctx, l.topicName(t), l.partitions[t])
		if err != nil {
			return err
		}
		if total+beside.all < share/4*3 {
			if t == Events {
				l.full.Store(false)
			}
			continue
		}
		if err := l.trimTopic(ctx, t, sizes, total, beside); err != nil {
			return err
		}
	}
	return nil
}

// sizes are the bytes of each partition of a topic.
func (l *Log) sizes(ctx context.Context, name string, partitions int32) (sizes map[int32]int64, total int64, err error) {
	set := make(kadm.TopicsSet)
	for p := range partitions {
		set.Add(name, p)
	}
	dirs, err := l.adm.DescribeAllLogDirs(ctx, set)
	if err != nil {
		return nil, 0, fmt.Errorf("sizes of %s: %w", name, err)
	}
	sizes = make(map[int32]int64)
	for _, d := range dirs {
		d.EachPartition(func(p kadm.DescribedLogDirPartition) {
			sizes[p.Partition] += p.Size
			total += p.Size
		})
	}
	return sizes, total, nil
}

// heldBytes is what topics hold, and how much of it may not be deleted.
type heldBytes struct{ all, unsettled int64 }

// trimParked deletes what is settled of parked topics, and says what is left.
// The newest record stays: the broker's files are all it remembers offsets by.
func (l *Log) trimParked(ctx context.Context) (held heldBytes, err error) {
	streams, err := l.parkedStreams(ctx)
	if err != nil || len(streams) == 0 {
		return held, err
	}
	del := make(kadm.Offsets)
	partitions := make(map[string]int32)
	for k, s := range streams {
		partitions[k.function] = max(partitions[k.function], k.partition+1)
		if cut := min(s.from, s.end-1); cut > s.start {
			del.AddOffset(l.topicName(Parked(k.function)), k.partition, cut, -1)
		}
	}
	if err := l.deleteRecords(ctx, del); err != nil {
		return held, err
	}
	for function, n := range partitions {
		sizes, total, err := l.sizes(ctx, l.topicName(Parked(function)), n)
		if err != nil {
			return held, err
		}
		held.all += total
		for p, size := range sizes {
			// What was deleted may not be gone yet, so records count as if it were.
			if s := streams[tailKey{function, p}]; s.end > s.from {
				left := max(s.start, min(s.from, s.end-1))
				held.unsettled += int64(float64(size) * float64(s.end-s.from) / float64(s.end-left))
			}
		}
	}
	return held, nil
}

// deleteRecords deletes what lies before offsets; what is deleted already, or
// is of a topic that is no more, is none of its faults.
func (l *Log) deleteRecords(ctx context.Context, del kadm.Offsets) error {
	if len(del) == 0 {
		return nil
	}
	resp, err := l.adm.DeleteRecords(ctx, del)
	if err != nil {
		return fmt.Errorf("delete settled records: %w", err)
	}
	resp.Each(func(r kadm.DeleteRecordsResponse) {
		if r.Err != nil && !errors.Is(r.Err, kerr.OffsetOutOfRange) && !errors.Is(r.Err, kerr.UnknownTopicOrPartition) {
			err = fmt.Errorf("delete settled records of partition %d of %s: %w", r.Partition, r.Topic, r.Err)
		}
	})
	return err
}

// trimTopic brings a topic, with what is beside it, under nine tenths of its
// share, as far as settled records allow.
func (l *Log) trimTopic(ctx context.Context, t Topic, sizes map[int32]int64, total int64, beside heldBytes) error {
	bounds, err := l.bounds(ctx, t)
	if err != nil {
		return err
	}
	keep := func(p int32) int64 { return bounds[p].end }
	if t == Events {
		committed, err := l.committed(ctx)
		if err != nil {
			return err
		}
		keep = func(p int32) int64 {
			if at, ok := committed[p]; ok {
				return min(at, bounds[p].end)
			}
			return bounds[p].start
		}
		l.noteFull(unsettledBytes(sizes, bounds, keep) + beside.unsettled)
	}
	excess := total + beside.all - l.cfg.share(t)/10*9
	if total+beside.all <= l.cfg.share(t) || total == 0 {
		return nil
	}
	part := min(1, float64(excess)/float64(total))
	del := make(kadm.Offsets)
	for p, b := range bounds {
		// Every partition gives the same part; records count with their mean size.
		cut := b.start + int64(float64(b.end-b.start)*part)
		if cut = min(cut, keep(p)); cut > b.start {
			del.AddOffset(l.topicName(t), p, cut, -1)
		}
	}
	return l.deleteRecords(ctx, del)
}

// unsettledBytes estimates what may not be deleted.
func unsettledBytes(sizes map[int32]int64, bounds map[int32]bound, keep func(int32) int64) int64 {
	var bytes int64
	for p, b := range bounds {
		if n := b.end - b.start; n > 0 {
			bytes += int64(float64(sizes[p]) * float64(b.end-keep(p)) / float64(n))
		}
	}
	return bytes
}

// noteFull opens and closes the gate of Append, with some room between.
func (l *Log) noteFull(unsettled int64) {
	share := l.cfg.share(Events)
	switch {
	case unsettled >= share/10*9 && !l.full.Swap(true):
		l.log.Warn("the embedded log is full of events that are not settled: new ones are refused", "bytes", unsettled)
	case unsettled < share/10*8 && l.full.Swap(false):
		l.log.Info("the embedded log takes events again", "bytes", unsettled)
	}
}
