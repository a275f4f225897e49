package eventlog

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/failpoint"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Append writes msgs to a topic and returns where they stand, in the same
// order, when all replicas have acknowledged all of them. It fails with
// ErrBacklog or ErrTooLarge before anything is written, or with ErrUnavailable
// when ctx ends first or the broker refuses; then some of msgs may be written,
// now or later. The log keeps the bytes of msgs: they must not change
// afterwards, not even after an error.
func (l *Log) Append(ctx context.Context, topic Topic, msgs []event.Message) ([]event.Position, error) {
	if topic == Events && l.full.Load() {
		return nil, errFull()
	}
	return l.append(ctx, topic, msgs)
}

// AppendReplies is like Append for the events that functions answer with. It
// takes them also while the embedded log is full of events that are not
// settled: those can be settled only when their answers are taken.
func (l *Log) AppendReplies(ctx context.Context, msgs []event.Message) ([]event.Position, error) {
	return l.append(ctx, Events, msgs)
}

func errFull() error {
	return fmt.Errorf("%w: the embedded log is full of events that are not settled", ErrBacklog)
}

func (l *Log) append(ctx context.Context, topic Topic, msgs []event.Message) ([]event.Position, error) {
	if len(msgs) == 0 {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
	size, err := l.admit(topic, msgs)
	if err != nil {
		return nil, err
	}
	a := l.newAppending(topic, msgs, size)
	failpoint.Hit(failpoint.LogAppendBefore)
	for i := range a.records {
		// The record gets no context of ours: a cancelled one would fail its
		// whole partition, the records of others included.
		l.cl.TryProduce(context.Background(), &a.records[i], a.promise)
	}
	select {
	case <-a.done:
		return a.result()
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			l.stalled.Store(true)
		}
		return nil, fmt.Errorf("%w: not acknowledged in time: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// admit checks the sizes and takes room in the buffer for all of msgs.
func (l *Log) admit(topic Topic, msgs []event.Message) (size int64, err error) {
	limit := int64(l.maxBytesOf(topic))
	for i := range msgs {
		n := messageSize(&msgs[i])
		if n > limit {
			return 0, fmt.Errorf("%w: record %d has %d bytes, of at most %d", ErrTooLarge, i, n, limit)
		}
		size += n
	}
	if len(msgs) > l.cfg.MaxBufferedRecords || size > int64(l.cfg.MaxBufferedBytes) {
		return 0, fmt.Errorf("%w: batch of %d records and %d bytes, of at most %d and %d",
			ErrTooLarge, len(msgs), size, l.cfg.MaxBufferedRecords, l.cfg.MaxBufferedBytes)
	}
	if !l.events.take(int64(len(msgs)), size) {
		if l.stalled.Load() {
			return 0, fmt.Errorf("%w: the buffer is full and nothing is acknowledged", ErrUnavailable)
		}
		return 0, fmt.Errorf("%w: %d records wait for their acknowledgement", ErrBacklog, l.events.records.Load())
	}
	return size, nil
}

// messageSize is near the size of a record on the wire, from above.
func messageSize(m *event.Message) int64 {
	n := len(m.Key) + len(m.Value) + 32
	for i := range m.Headers {
		n += len(m.Headers[i].Key) + len(m.Headers[i].Value) + 4
	}
	return int64(n)
}

// appending is one Append on its way.
type appending struct {
	log     *Log
	topic   Topic
	size    int64
	began   time.Time
	left    atomic.Int64
	failed  atomic.Pointer[error]
	done    chan struct{}
	records []kgo.Record
	one     [1]kgo.Record // backs records when there is but one
}

func (l *Log) newAppending(topic Topic, msgs []event.Message, size int64) *appending {
	a := &appending{log: l, topic: topic, size: size, began: time.Now(), done: make(chan struct{})}
	if len(msgs) == 1 {
		a.records = a.one[:]
	} else {
		a.records = make([]kgo.Record, len(msgs))
	}
	a.left.Store(int64(len(msgs)))
	name := l.topicName(topic)
	for i := range msgs {
		fillRecord(&a.records[i], name, &msgs[i], a.began)
	}
	return a
}

func fillRecord(r *kgo.Record, topic string, m *event.Message, now time.Time) {
	r.Topic, r.Key, r.Value, r.Headers, r.Timestamp = topic, m.Key, m.Value, recordHeaders(m.Headers), now
}

// promise is called by the client, once for each record.
func (a *appending) promise(r *kgo.Record, err error) {
	if err != nil {
		err = a.log.refused(r, err)
		a.failed.CompareAndSwap(nil, &err)
	}
	if a.left.Add(-1) > 0 {
		return
	}
	failpoint.Hit(failpoint.LogAppendAcked)
	a.log.events.give(int64(len(a.records)), a.size)
	a.log.appended(a.topic, len(a.records), a.size, time.Since(a.began), a.err())
	close(a.done)
}

func (a *appending) err() error {
	if p := a.failed.Load(); p != nil {
		return *p
	}
	return nil
}

func (a *appending) result() ([]event.Position, error) {
	if err := a.err(); err != nil {
		return nil, err
	}
	at := make([]event.Position, len(a.records))
	for i := range a.records {
		at[i] = event.Position{Partition: a.records[i].Partition, Offset: a.records[i].Offset}
	}
	return at, nil
}

// appended counts the end of an append and tells the hook.
func (l *Log) appended(topic Topic, records int, size int64, took time.Duration, err error) {
	if err != nil {
		l.stats.produceErrors.Add(int64(records))
	} else {
		if l.stalled.Load() {
			l.stalled.Store(false)
		}
		l.stats.produced.Add(int64(records))
		if topic == Events {
			l.stats.events.Add(int64(records))
			l.stats.eventBytes.Add(size)
		}
		l.throttle.acked.Add(size)
		l.grown(size)
	}
	if l.cfg.Hooks.Append != nil {
		l.cfg.Hooks.Append(topic, records, int(size), took, err)
	}
}

// AppendAsync writes msg and returns at once. done is called once, with the
// position or the error that Append would give, from a goroutine of the
// client (or before AppendAsync returns) and must not block. A nil done means
// telemetry: it has a buffer of its own, and is dropped and counted when that
// is full or the broker refuses.
func (l *Log) AppendAsync(topic Topic, msg event.Message, done func(event.Position, error)) {
	if done == nil {
		l.telemetries.Get().(*telemetry).append(topic, &msg)
		return
	}
	if topic == Events && l.full.Load() {
		done(event.Position{}, errFull())
		return
	}
	size, err := l.admit(topic, []event.Message{msg})
	if err != nil {
		done(event.Position{}, err)
		return
	}
	r := &kgo.Record{}
	began := time.Now()
	fillRecord(r, l.topicName(topic), &msg, began)
	failpoint.Hit(failpoint.LogAppendBefore)
	l.cl.TryProduce(context.Background(), r, func(r *kgo.Record, err error) {
		failpoint.Hit(failpoint.LogAppendAcked)
		l.events.give(1, size)
		if err != nil {
			err = l.refused(r, err)
		}
		l.appended(topic, 1, size, time.Since(began), err)
		if err != nil {
			done(event.Position{}, err)
			return
		}
		done(event.Position{Partition: r.Partition, Offset: r.Offset}, nil)
	})
}

// budget bounds what is in the buffer of the client; batches take all or nothing.
type budget struct {
	records, bytes       atomic.Int64
	maxRecords, maxBytes int64
}

func (b *budget) set(records, bytes int) {
	b.maxRecords, b.maxBytes = int64(records), int64(bytes)
}

func (b *budget) take(records, bytes int64) bool {
	fits := b.records.Add(records) <= b.maxRecords
	fits = b.bytes.Add(bytes) <= b.maxBytes && fits
	if !fits {
		b.give(records, bytes)
	}
	return fits
}

func (b *budget) give(records, bytes int64) {
	b.records.Add(-records)
	b.bytes.Add(-bytes)
}

// event.Header and kgo.RecordHeader are the same struct by another name, so
// that a slice of one is a slice of the other and need not be copied. These
// conversions stop compiling when that ceases to be so.
var (
	_ = kgo.RecordHeader(event.Header{})
	_ = event.Header(kgo.RecordHeader{})
)

func recordHeaders(h []event.Header) []kgo.RecordHeader {
	return unsafe.Slice((*kgo.RecordHeader)(unsafe.Pointer(unsafe.SliceData(h))), len(h)) // #nosec G103 -- the same struct, which the compiler checks above
}

func messageHeaders(h []kgo.RecordHeader) []event.Header {
	return unsafe.Slice((*event.Header)(unsafe.Pointer(unsafe.SliceData(h))), len(h)) // #nosec G103 -- the same struct, which the compiler checks above
}
