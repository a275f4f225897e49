package eventlog

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// On the embedded log nothing expires by itself: the log looks at the sizes by
// bytes appended, and deletes the oldest records over a topic's share. Events
// are deleted only when they are settled; when those that are not fill the
// share, Append refuses events until some are.

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
	for _, t := range topics {
		share := l.cfg.share(t)
		if share == 0 {
			continue
		}
		sizes, total, err := l.sizes(ctx, t)
		if err != nil {
			return err
		}
		if total < share/4*3 {
			if t == Events {
				l.full.Store(false)
			}
			continue
		}
		if err := l.trimTopic(ctx, t, sizes, total); err != nil {
			return err
		}
	}
	return nil
}

// sizes are the bytes of each partition of a topic.
func (l *Log) sizes(ctx context.Context, t Topic) (sizes map[int32]int64, total int64, err error) {
	set := make(kadm.TopicsSet)
	for p := range l.partitions[t] {
		set.Add(l.topicName(t), p)
	}
	dirs, err := l.adm.DescribeAllLogDirs(ctx, set)
	if err != nil {
		return nil, 0, fmt.Errorf("sizes of %s: %w", l.topicName(t), err)
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

// trimTopic brings a topic under nine tenths of its share, as far as settled
// records allow.
func (l *Log) trimTopic(ctx context.Context, t Topic, sizes map[int32]int64, total int64) error {
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
		l.noteFull(unsettledBytes(sizes, bounds, keep))
	}
	target := l.cfg.share(t) / 10 * 9
	if total <= l.cfg.share(t) {
		return nil
	}
	del := make(kadm.Offsets)
	for p, b := range bounds {
		// Every partition gives the same part; records count with their mean size.
		cut := b.start + int64(float64(b.end-b.start)*float64(total-target)/float64(total))
		if cut = min(cut, keep(p)); cut > b.start {
			del.AddOffset(l.topicName(t), p, cut, -1)
		}
	}
	if len(del) == 0 {
		return nil
	}
	resp, err := l.adm.DeleteRecords(ctx, del)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		return fmt.Errorf("delete the oldest records of %s: %w", l.topicName(t), err)
	}
	return nil
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
