package eventlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Lag is, for each partition of the events topic, how many offsets lie between
// the committed progress of the group and the end.
func (l *Log) Lag(ctx context.Context) (map[int32]int64, error) {
	ends, err := l.bounds(ctx, Events)
	if err != nil {
		return nil, err
	}
	committed, err := l.committed(ctx)
	if err != nil {
		return nil, err
	}
	lag := make(map[int32]int64, len(ends))
	for p, b := range ends {
		from, ok := committed[p]
		if !ok || from < b.start {
			from = b.start
		}
		lag[p] = max(0, b.end-from)
	}
	return lag, nil
}

// ParkedLag is, for each function that has a parked topic, how many records of
// it lie between the committed progress and the end.
func (l *Log) ParkedLag(ctx context.Context) (map[string]int64, error) {
	streams, err := l.parkedStreams(ctx)
	if err != nil {
		return nil, err
	}
	lag := make(map[string]int64)
	for k, s := range streams {
		lag[k.function] += s.end - s.from
	}
	return lag, nil
}

// parkedStream is what of a parked stream is there and not committed.
type parkedStream struct {
	start, from, end int64
}

// parkedStreams are all partitions of all parked topics.
func (l *Log) parkedStreams(ctx context.Context) (map[tailKey]parkedStream, error) {
	topics, err := l.parkedTopics(ctx, true)
	if err != nil || len(topics) == 0 {
		return nil, err
	}
	names := make([]string, 0, len(topics))
	for function := range topics {
		names = append(names, l.topicName(Parked(function)))
	}
	committed, err := l.adm.FetchOffsets(ctx, l.cfg.Group)
	if err != nil {
		return nil, fmt.Errorf("%w: offsets of group %s: %w", ErrUnavailable, l.cfg.Group, err)
	}
	starts, err := l.adm.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("%w: starts of parked topics: %w", ErrUnavailable, err)
	}
	ends, err := l.adm.ListCommittedOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("%w: ends of parked topics: %w", ErrUnavailable, err)
	}
	streams := make(map[tailKey]parkedStream)
	ends.Each(func(e kadm.ListedOffset) {
		start, _ := starts.Lookup(e.Topic, e.Partition)
		if failed := errors.Join(e.Err, start.Err); failed != nil {
			if !errors.Is(failed, kerr.UnknownTopicOrPartition) {
				err = fmt.Errorf("%w: partition %d of %s: %w", ErrUnavailable, e.Partition, e.Topic, failed)
			}
			return
		}
		s := parkedStream{start: start.Offset, from: start.Offset, end: e.Offset}
		if o, ok := committed.Lookup(e.Topic, e.Partition); ok {
			s.from = max(s.from, o.At)
		}
		s.end = max(s.end, s.from)
		function, _ := cutParked(l.cfg.TopicPrefix, e.Topic)
		streams[tailKey{function, e.Partition}] = s
	})
	return streams, err
}

// committed is the group's progress on the events topic; partitions without
// any are not in it.
func (l *Log) committed(ctx context.Context) (map[int32]int64, error) {
	topic := l.topicName(Events)
	resp, err := l.adm.FetchOffsetsForTopics(ctx, l.cfg.Group, topic)
	if err != nil {
		return nil, fmt.Errorf("%w: offsets of group %s: %w", ErrUnavailable, l.cfg.Group, err)
	}
	m := make(map[int32]int64)
	for p, o := range resp[topic] {
		if o.Err != nil {
			return nil, fmt.Errorf("%w: offset of group %s, partition %d: %w", ErrUnavailable, l.cfg.Group, p, o.Err)
		}
		if o.At >= 0 {
			m[p] = o.At
		}
	}
	return m, nil
}

// Settled reports whether the group has committed the record at a position as
// done. Else behind is how many offsets of its partition before it are not.
// What was settled within the last CommitInterval may not show yet.
func (l *Log) Settled(ctx context.Context, pos event.Position) (done bool, behind int64, err error) {
	topic := l.topicName(Events)
	resp, err := l.adm.FetchOffsetsForTopics(ctx, l.cfg.Group, topic)
	if err != nil {
		return false, 0, fmt.Errorf("%w: offsets of group %s: %w", ErrUnavailable, l.cfg.Group, err)
	}
	o := resp[topic][pos.Partition]
	if o.Err != nil {
		return false, 0, fmt.Errorf("%w: offset of group %s, partition %d: %w", ErrUnavailable, l.cfg.Group, pos.Partition, o.Err)
	}
	at := max(0, o.At)
	if pos.Offset < at {
		return true, 0, nil
	}
	behind = pos.Offset - at
	for _, s := range decodeProgress(at, o.Metadata) {
		if s.from <= pos.Offset && pos.Offset < s.to {
			return true, 0, nil
		}
		behind -= max(0, min(s.to, pos.Offset)-s.from)
	}
	return false, behind, nil
}
