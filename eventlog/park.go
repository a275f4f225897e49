package eventlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/failpoint"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Park appends a delivery that waits to a function's parked topic, at the
// partition of its event, and returns at once. The topic is made when it is
// first needed. Calls for one function and partition keep their order in the
// log. done is called once, from a goroutine of the client or before Park
// returns, and must not block: with the position, or ErrBacklog, ErrTooLarge
// (records may be as large as dead letters), ErrUnavailable (the record may
// have landed, or land later) or ErrClosed. Its buffer is its own: neither
// events nor telemetry take room from it. The log keeps the bytes of msg.
func (l *Log) Park(function string, partition int32, msg event.Message, done func(event.Position, error)) {
	r := &parking{log: l, function: function, tail: l.tails.tail(function, partition), done: done, began: time.Now(), size: messageSize(&msg)}
	fillRecord(&r.record, l.topicName(Parked(function)), &msg, r.began)
	r.record.Partition = partition
	r.tail.parking.Add(1)
	if err := l.admitParked(r); err != nil {
		r.end(err)
		return
	}
	l.parkTopic(function).append(r)
}

func (l *Log) admitParked(r *parking) error {
	limit := int64(l.cfg.maxBytesOf(Dead))
	switch {
	case len(r.record.Topic) > maxTopicName:
		return fmt.Errorf("%w: topic %s: a name has at most %d characters", ErrTooLarge, r.record.Topic, maxTopicName)
	case r.record.Partition < 0:
		return fmt.Errorf("%w: partition %d", ErrNotFound, r.record.Partition)
	case r.size > limit:
		return fmt.Errorf("%w: %d bytes, of at most %d", ErrTooLarge, r.size, limit)
	case !l.parked.budget.take(1, r.size):
		return fmt.Errorf("%w: %d deliveries wait to be parked", ErrBacklog, l.parked.budget.records.Load())
	}
	r.admitted = true
	return nil
}

// maxTopicName is Kafka's.
const maxTopicName = 249

// parking is one Park on its way.
type parking struct {
	log      *Log
	function string
	tail     *tail
	record   kgo.Record
	size     int64
	admitted bool
	began    time.Time
	done     func(event.Position, error)
}

func (r *parking) produce() {
	r.log.cl.TryProduce(context.Background(), &r.record, func(_ *kgo.Record, err error) {
		if errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) {
			r.log.parkTopic(r.function).deleted()
		}
		r.end(appendError(err))
	})
}

func (r *parking) end(err error) {
	if err == nil {
		failpoint.Hit(failpoint.LogParkAcked)
		r.tail.grow(r.record.Offset + 1)
	}
	r.tail.parking.Add(-1)
	if r.admitted {
		r.log.parked.budget.give(1, r.size)
		r.log.appended(Parked(r.function), 1, r.size, time.Since(r.began), err)
	}
	if err != nil {
		r.done(event.Position{}, err)
		return
	}
	r.done(position(&r.record), nil)
	if c := r.log.consuming.Load(); c != nil {
		c.grew(r.function, r.record.Partition)
	}
}

// parkTopics are the parked topics as far as this process knows them.
type parkTopics struct {
	budget budget // deliveries parked and not acknowledged
	mu     sync.Mutex
	of     map[string]*parkTopic
	// listed is when the topics were listed, and how many there were.
	listed time.Time
	many   int
}

// parkTopic is the parked topic of one function.
type parkTopic struct {
	log      *Log
	function string
	// partitions is how many can be appended to; 0 when it is not known to be there.
	partitions atomic.Int32
	// id is that of the topic as it was listed last; one that is made anew has another.
	id atomic.Pointer[topicID]

	mu      sync.Mutex
	waiting []*parking // for the topic to be made, in their order
	making  bool
	made    time.Time // when it was made by this process, or found to be another one
	stale   bool      // the client speaks of a topic that was deleted
}

func (l *Log) parkTopic(function string) *parkTopic {
	l.parked.mu.Lock()
	defer l.parked.mu.Unlock()
	t := l.parked.of[function]
	if t == nil {
		t = &parkTopic{log: l, function: function}
		l.parked.of[function] = t
	}
	return t
}

// append produces, or has the topic made first. What waits is bounded by the budget.
func (t *parkTopic) append(r *parking) {
	if r.record.Partition < t.partitions.Load() {
		r.produce()
		return
	}
	t.mu.Lock()
	if r.record.Partition < t.partitions.Load() {
		t.mu.Unlock()
		r.produce()
		return
	}
	t.waiting = append(t.waiting, r)
	start := !t.making
	t.making = true
	t.mu.Unlock()
	if start && !t.log.spawn(t.create) {
		t.flush(0, ErrClosed)
	}
}

// create makes the topic and appends what waits for it, or refuses it all when
// that takes as long as an append may take.
func (t *parkTopic) create(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, deliveryTimeout)
	defer cancel()
	if t.wasDeleted() {
		t.log.cl.PurgeTopicsFromProducing(t.log.topicName(Parked(t.function)))
	}
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		n, err := t.log.ensureParked(ctx, t.function, t.wanted())
		if err == nil && n >= t.wanted() {
			t.flush(n, nil)
			return
		}
		if err != nil && !kerr.IsRetriable(err) && !errors.Is(err, ErrUnavailable) {
			t.flush(0, err)
			return
		}
		if pause(ctx, wait) != nil {
			t.flush(0, errors.Join(err, context.Cause(ctx)))
			return
		}
	}
}

// deleted notes that somebody deleted the topic under our hands.
func (t *parkTopic) deleted() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.making {
		t.partitions.Store(0)
		t.stale = true
	}
}

// wasDeleted is asked once before the topic is made anew.
func (t *parkTopic) wasDeleted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	stale := t.stale
	t.stale = false
	return stale
}

func (t *parkTopic) wanted() int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.log.partitions[Events]
	for _, r := range t.waiting {
		n = max(n, r.record.Partition+1)
	}
	return n
}

// flush appends what waits, or refuses it; afterwards appends need not wait.
func (t *parkTopic) flush(partitions int32, err error) {
	t.mu.Lock()
	waiting := t.waiting
	t.waiting, t.making = nil, false
	if err == nil {
		for _, r := range waiting {
			r.produce()
		}
		t.id.Store(nil) // until it is listed
		t.partitions.Store(partitions)
		t.made = time.Now()
	}
	t.mu.Unlock()
	if err == nil {
		return
	}
	if !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrClosed) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	for _, r := range waiting {
		r.end(err)
	}
}

// topicID is the broker's; zero where it gives none.
type topicID [16]byte

// isAnother reports whether two ids are known to be of different topics.
func (id topicID) isAnother(other topicID) bool {
	return id != other && id != topicID{} && other != topicID{}
}

// known notes that the topic was on the broker at a time.
func (t *parkTopic) known(partitions int32, id topicID, when time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.made.After(when) {
		return // it may be the one before
	}
	t.id.Store(&id)
	if !t.making && !t.stale && partitions > t.partitions.Load() {
		t.partitions.Store(partitions)
	}
}

// renewed notes that another topic has the name, by an answer to a request of a time:
// listings that began before may be of the one before.
func (t *parkTopic) renewed(id topicID, when time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if when.After(t.made) {
		t.id.Store(&id)
		t.made = when
	}
}

// gone notes that the topic was not on the broker at a time.
func (t *parkTopic) gone(when time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.making && t.made.Before(when) {
		t.partitions.Store(0)
	}
}

// parkPartitioner leaves records of parked topics where they are put, and
// spreads those of other topics as Kafka's own clients do.
type parkPartitioner struct {
	prefix       string
	keys, manual kgo.Partitioner
}

// ForTopic implements kgo.Partitioner.
func (p parkPartitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if _, ok := cutParked(p.prefix, topic); ok {
		return p.manual.ForTopic(topic)
	}
	return p.keys.ForTopic(topic)
}
