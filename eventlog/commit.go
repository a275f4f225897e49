package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/failpoint"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commitState is the progress of one stream at one moment.
type commitState struct {
	account  *account
	offset   int64
	metadata string
	version  uint64
}

// countSettled asks for a commit when enough is settled since the last.
func (c *consumer) countSettled() {
	c.log.stats.settled.Add(1)
	if c.settled.Add(1) == int64(c.log.cfg.CommitRecords) {
		signal(c.commitNow)
	}
}

// keepCommitting commits what has changed, every CommitInterval or earlier
// when much is settled. One commit is on its way at a time.
func (c *consumer) keepCommitting(ctx context.Context) {
	tick := time.NewTicker(c.log.cfg.CommitInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-c.commitNow:
		}
		c.commitOwned(ctx)
	}
}

// commitTimeout bounds one commit, the client's retries included.
const commitTimeout = 10 * time.Second

// commitOwned commits all partitions with news and waits for the answer.
func (c *consumer) commitOwned(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	answered := make(chan struct{})
	c.committing.Lock()
	c.settled.Store(0)
	states := c.states()
	if len(states) == 0 {
		c.committing.Unlock()
		return
	}
	failpoint.Hit(failpoint.LogCommitBefore)
	began := time.Now()
	c.cl.CommitOffsets(withMetadata(ctx, states), offsets(states),
		func(_ *kgo.Client, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			c.commitDone(states, began, req, resp, err)
			close(answered)
		})
	c.committing.Unlock()
	<-answered
}

// states collects the progress of the partitions owned now.
func (c *consumer) states() []commitState {
	c.mu.Lock()
	ps := slices.Collect(maps.Values(c.partitions))
	c.mu.Unlock()
	return statesOf(ps)
}

func statesOf(ps []*partition) []commitState {
	var states []commitState
	for _, p := range ps {
		for _, a := range p.accounts() {
			if s, ok := a.state(); ok {
				states = append(states, s)
			}
		}
	}
	return states
}

// commitSync commits partitions that are no longer owned by the poll loop.
func (c *consumer) commitSync(ps []*partition) error {
	c.committing.Lock()
	defer c.committing.Unlock()
	states := statesOf(ps)
	if len(states) == 0 {
		return nil
	}
	failpoint.Hit(failpoint.LogHandoverBefore)
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	began := time.Now()
	answer := make(chan error, 1)
	c.cl.CommitOffsetsSync(withMetadata(ctx, states), offsets(states),
		func(_ *kgo.Client, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			answer <- c.commitDone(states, began, req, resp, err)
		})
	return <-answer
}

// commitLast commits at the end of the membership. The client would wait for a
// join in progress and give up; the commit is sent past the client's group, and
// again while the group is between two generations, which after the death of
// another member takes as long as its session.
func (c *consumer) commitLast(ps []*partition) error {
	c.committing.Lock()
	defer c.committing.Unlock()
	states := statesOf(ps)
	if len(states) == 0 {
		return nil
	}
	failpoint.Hit(failpoint.LogHandoverBefore)
	began := time.Now()
	for {
		err := c.commitDirectly(states, began)
		if !rebalancing(err) {
			return err
		}
		if time.Since(began) > c.log.cfg.SessionTimeout+leaveTimeout {
			c.log.log.Warn("the last progress was not committed, since the group was being shared out anew; deliveries will be repeated", "error", err)
			return nil
		}
		time.Sleep(commitPause)
	}
}

func (c *consumer) commitDirectly(states []commitState, began time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	req := c.commitRequest(states)
	resp, err := req.RequestWith(ctx, c.log.cl)
	if err != nil {
		resp = kmsg.NewPtrOffsetCommitResponse()
	}
	return c.commitDone(states, began, req, resp, err)
}

// commitPause is the time between attempts at the last commit while the group
// is between two generations.
const commitPause = 50 * time.Millisecond

// rebalancing reports whether the group was between two generations.
func rebalancing(err error) bool {
	return errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.UnknownMemberID)
}

// commitRequest is a commit by this member of its group.
func (c *consumer) commitRequest(states []commitState) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = c.log.cfg.Group
	req.MemberID, req.Generation = c.cl.GroupMetadata()
	if id := c.log.cfg.InstanceID; id != "" {
		req.InstanceID = &id
	}
	topics := make(map[string]int)
	for _, s := range states {
		i, ok := topics[s.account.topic]
		if !ok {
			i = len(req.Topics)
			topics[s.account.topic] = i
			t := kmsg.NewOffsetCommitRequestTopic()
			t.Topic = s.account.topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = s.account.id, s.offset, kmsg.StringPtr(s.metadata)
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	return req
}

func offsets(states []commitState) map[string]map[int32]kgo.EpochOffset {
	m := make(map[string]map[int32]kgo.EpochOffset)
	for _, s := range states {
		of := m[s.account.topic]
		if of == nil {
			of = make(map[int32]kgo.EpochOffset)
			m[s.account.topic] = of
		}
		// No epoch: what the log does when it goes back is ours to decide.
		of[s.account.id] = kgo.EpochOffset{Epoch: -1, Offset: s.offset}
	}
	return m
}

// withMetadata lets the settled records beyond the watermark ride in the commit.
func withMetadata(ctx context.Context, states []commitState) context.Context {
	return kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		of := make(map[topicPartition]string, len(states))
		for _, s := range states {
			of[topicPartition{s.account.topic, s.account.id}] = s.metadata
		}
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				p := &req.Topics[i].Partitions[j]
				p.Metadata = kmsg.StringPtr(of[topicPartition{req.Topics[i].Topic, p.Partition}])
			}
		}
		return nil
	})
}

type topicPartition struct {
	topic string
	id    int32
}

// commitDone notes which partitions are committed, and returns what failed.
func (c *consumer) commitDone(states []commitState, began time.Time, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) error {
	failpoint.Hit(failpoint.LogCommitAfter)
	failed := make(map[topicPartition]error)
	if err == nil {
		names := make(map[[16]byte]string)
		for _, t := range req.Topics {
			names[t.TopicID] = t.Topic
		}
		for _, t := range resp.Topics {
			if t.Topic == "" {
				t.Topic = names[t.TopicID]
			}
			for _, p := range t.Partitions {
				perr := kerr.ErrorForCode(p.ErrorCode)
				if errors.Is(perr, kerr.UnknownTopicOrPartition) && t.Topic != c.log.topicName(Events) {
					perr = nil // a parked topic that somebody deleted
				}
				if perr != nil {
					failed[topicPartition{t.Topic, p.Partition}] = perr
					err = fmt.Errorf("partition %d of %s: %w", p.Partition, t.Topic, perr)
				}
			}
		}
		for _, s := range states {
			if failed[topicPartition{s.account.topic, s.account.id}] == nil {
				s.account.committed(s, began)
			}
		}
	}
	if err == nil {
		c.log.stats.commits.Add(1)
	} else {
		c.log.stats.commitFails.Add(1)
		c.log.log.Log(context.Background(), commitLevel(err), "commit of progress failed; the next one covers it", "error", err)
	}
	if c.log.cfg.Hooks.Commit != nil {
		c.log.cfg.Hooks.Commit(len(states), time.Since(began), err)
	}
	return err
}

// commitLevel is low for what a rebalance brings with it.
func commitLevel(err error) slog.Level {
	if rebalancing(err) {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}
