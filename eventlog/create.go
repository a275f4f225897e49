package eventlog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// createTopics creates the topics that are missing and waits until every topic
// has leaders. What exists is left as it is, as an operator may have changed it;
// but see keepVersions.
func (l *Log) createTopics(ctx context.Context) error {
	found, err := l.findTopics(ctx, topics[:]...)
	if err != nil {
		return err
	}
	for _, t := range topics {
		if topicIn(found, l.topicName(t)).ErrorCode == kerr.UnknownTopicOrPartition.Code {
			if err := l.makeTopic(ctx, t, l.cfg.partitionsOf(t)); err != nil {
				return err
			}
		}
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		if found, err = l.findTopics(ctx, topics[:]...); err != nil {
			return err
		}
		if ready, err := l.learnTopics(found); ready || err != nil {
			return err
		}
		if err := pause(ctx, wait); err != nil {
			return fmt.Errorf("%w: waiting for the topics to have leaders: %w", ErrUnavailable, err)
		}
	}
}

// ensureParked makes the parked topic of a function, or gives it more
// partitions, until it has so many; it returns how many there are.
func (l *Log) ensureParked(ctx context.Context, function string, partitions int32) (int32, error) {
	t := Parked(function)
	name := l.topicName(t)
	found, err := l.findTopics(ctx, t)
	if err != nil {
		return 0, err
	}
	topic := topicIn(found, name)
	has := int32(len(topic.Partitions))
	switch err := kerr.ErrorForCode(topic.ErrorCode); {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return 0, l.makeTopic(ctx, t, partitions)
	case err != nil:
		return 0, fmt.Errorf("topic %s: %w", name, lacking(err, "Describe (which Read and Write bring)", name))
	case has < partitions:
		resp, err := l.adm.UpdatePartitions(ctx, int(partitions), name)
		if err == nil {
			err = resp.Error()
		}
		if err != nil && !errors.Is(err, kerr.InvalidPartitions) { // somebody was faster
			return 0, fmt.Errorf("more partitions for topic %s: %w", name, lacking(err, "Alter", name))
		}
		return has, nil
	}
	for _, p := range topic.Partitions {
		if p.ErrorCode != 0 || p.Leader < 0 {
			return 0, nil
		}
	}
	if l.forgetful(name, has) {
		return 0, nil
	}
	return has, nil
}

// forgetful reports whether the client knows fewer partitions of a topic than
// there are, and has it look again: it would refuse records for the new ones.
func (l *Log) forgetful(name string, partitions int32) bool {
	first, _, _ := l.cl.PartitionLeader(name, 0)
	last, _, _ := l.cl.PartitionLeader(name, partitions-1)
	stale := first >= 0 && last < 0
	if stale {
		l.cl.ForceMetadataRefresh()
	}
	return stale
}

// findTopics asks the broker itself: the client would answer from memory for
// some seconds, also that a topic just created does not exist.
func (l *Log) findTopics(ctx context.Context, topics ...Topic) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, t := range topics {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(l.topicName(t))
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, l.cl)
	if err != nil {
		return nil, fmt.Errorf("%w: metadata: %w", ErrUnavailable, err)
	}
	return resp, nil
}

func topicIn(resp *kmsg.MetadataResponse, name string) *kmsg.MetadataResponseTopic {
	for i := range resp.Topics {
		if t := &resp.Topics[i]; t.Topic != nil && *t.Topic == name {
			return t
		}
	}
	return &kmsg.MetadataResponseTopic{ErrorCode: kerr.UnknownTopicOrPartition.Code}
}

// learnTopics remembers how many partitions the topics have; false while one
// is not ready. It fails for what waiting does not mend.
func (l *Log) learnTopics(resp *kmsg.MetadataResponse) (ready bool, err error) {
	ready = true
	l.partitions = make(map[Topic]int32, len(topics))
	for _, t := range topics {
		found := topicIn(resp, l.topicName(t))
		if err := kerr.ErrorForCode(found.ErrorCode); err != nil && !kerr.IsRetriable(err) {
			return false, fmt.Errorf("topic %s: %w", l.topicName(t), lacking(err, "Describe (which Read and Write bring)", l.topicName(t)))
		}
		ready = ready && found.ErrorCode == 0 && len(found.Partitions) > 0
		for _, p := range found.Partitions {
			ready = ready && p.ErrorCode == 0 && p.Leader >= 0
		}
		l.partitions[t] = int32(len(found.Partitions))
	}
	return ready, nil
}

func (l *Log) makeTopic(ctx context.Context, t Topic, partitions int32) error {
	name := l.topicName(t)
	resp, err := l.adm.CreateTopic(ctx, partitions, l.cfg.ReplicationFactor, l.cfg.topicConfig(t), name)
	if err == nil {
		err = resp.Err
	}
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", name, lacking(err, "Create", name))
	}
	l.log.Info("topic created", "topic", name, "partitions", partitions)
	return nil
}

// topicConfig is how a topic is created. The embedded broker loses keys when
// it is killed while it compacts, and empties compacted topics after a week:
// there nothing is compacted and nothing expires (see trim.go and history.go).
func (c *Config) topicConfig(t Topic) map[string]*string {
	m := make(map[string]*string)
	set := func(k, v string) { m[k] = &v }
	set("max.message.bytes", strconv.Itoa(int(c.maxBytesOf(t))+batchOverhead))
	switch {
	case c.Embedded:
		set("cleanup.policy", "delete")
		set("retention.ms", "-1")
		set("retention.bytes", "-1")
		set("segment.bytes", strconv.FormatInt(c.segmentBytes(t), 10))
	case t == Resources:
		set("cleanup.policy", "compact")
		if c.Retention.Events != 0 {
			for _, name := range versionSettings {
				set(name, strconv.FormatInt(versionMillis(c.Retention.Events), 10))
			}
		}
	case t.parked():
		// What is settled is deleted by us; nothing else may be.
		set("cleanup.policy", "delete")
		set("retention.ms", "-1")
		set("retention.bytes", "-1")
		set("segment.bytes", strconv.Itoa(64<<20))
	default:
		set("cleanup.policy", "delete")
		if r := c.Retention.of(t); r > 0 {
			set("retention.ms", strconv.FormatInt(r.Milliseconds(), 10))
		} else if r < 0 {
			set("retention.ms", "-1")
		}
	}
	return m
}

// segmentBytes makes segments small enough that trimming frees space: a
// segment is removed as a whole.
func (c *Config) segmentBytes(t Topic) int64 {
	if t.parked() {
		return 256 << 10
	}
	share := c.share(t)
	if share == 0 {
		share = 16 << 20
	}
	return min(16<<20, max(1<<20, share/int64(c.partitionsOf(t))/4))
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
