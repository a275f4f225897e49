package eventlog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/signalbox-dev/signalbox/event"
)

// Tap reads topics from their start, as a consumer group of its own: several of
// one group share the partitions. What was polled is read again until Commit. It
// is not safe for concurrent use.
type Tap struct {
	cl     *kgo.Client
	prefix string
}

// Tapped is a record with the topic that it stands in.
type Tapped struct {
	Topic Topic
	event.Record
}

// OpenTap connects; cfg.Group is the group. Topics that are missing are waited for.
// The caller closes the Tap.
func OpenTap(cfg Config, topics ...Topic) (*Tap, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("event log configuration: %w", err)
	}
	opts, err := cfg.commonOpts()
	if err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = cfg.TopicPrefix + string(t)
	}
	cl, err := kgo.NewClient(append(opts,
		kgo.ConsumerGroup(cfg.Group), kgo.ConsumeTopics(names...), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(cfg.SessionTimeout), kgo.HeartbeatInterval(cfg.SessionTimeout/3), kgo.RebalanceTimeout(cfg.RebalanceTimeout), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.FetchMaxBytes(8<<20), kgo.FetchMaxPartitionBytes(1<<20), kgo.MaxConcurrentFetches(2),
	)...)
	if err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	return &Tap{cl: cl, prefix: cfg.TopicPrefix}, nil
}

// Poll waits for records and returns at most so many, in the order of each
// partition. It fails with ErrUnavailable when a topic cannot be read at the
// moment, and may be called again; and with ctx's error.
func (t *Tap) Poll(ctx context.Context, most int) ([]Tapped, error) {
	fetches := t.cl.PollRecords(ctx, most)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all := make([]Tapped, 0, fetches.NumRecords())
	fetches.EachRecord(func(r *kgo.Record) {
		topic := Topic(strings.TrimPrefix(r.Topic, t.prefix))
		all = append(all, Tapped{topic, topicRecord(topic, r)})
	})
	if len(all) > 0 {
		return all, nil // a topic that cannot be read says so again
	}
	var faults []error
	for _, e := range fetches.Errors() {
		faults = append(faults, fmt.Errorf("%s: %w", e.Topic, e.Err))
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(faults...))
	}
	return nil, nil
}

// Commit keeps that everything polled is done with.
func (t *Tap) Commit(ctx context.Context) error {
	if err := t.cl.CommitUncommittedOffsets(ctx); err != nil {
		return fmt.Errorf("%w: committing: %w", ErrUnavailable, err)
	}
	return nil
}

// Close leaves the group.
func (t *Tap) Close() { t.cl.Close() }
