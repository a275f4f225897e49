package eventlog

import (
	"context"
	"fmt"
	"sync"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/twmb/franz-go/pkg/kadm"
)

// History is a topic of keys and their latest values, in one partition: the
// record of all changes of resources. On Apache Kafka the topic is compacted by
// the broker; on the embedded log by Compact.
type History struct {
	log   *Log
	topic Topic
	mu    sync.RWMutex // Compact excludes Append
}

// History returns the history of resources. There must be one writer of it at
// a time when the log is embedded.
func (l *Log) History() *History { return &History{log: l, topic: Resources} }

// Append records a change, durably; a nil value is a deletion.
func (h *History) Append(ctx context.Context, key string, value []byte) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	_, err := h.log.Append(ctx, h.topic, []event.Message{{Key: []byte(key), Value: value}})
	return err
}

// Load calls fn for every change there is up to now, oldest first: of each key
// at least the latest, deletions as a nil value.
func (h *History) Load(ctx context.Context, fn func(key string, value []byte) error) error {
	return h.log.Read(ctx, h.topic, Earliest(), ReadOptions{}, func(r event.Record) error {
		return fn(string(r.Message.Key), r.Message.Value)
	})
}

// compactFrom is how many changes there must be, and how many for each living
// key, for Compact to do something.
const compactFrom, compactRatio = 1000, 4

// Compact shortens the history of an embedded log to the living keys and their
// values, when it is long enough to be worth it. It appends them once more
// before it deletes what came before: a crash in between loses nothing.
func (h *History) Compact(ctx context.Context) error {
	if !h.log.cfg.Embedded {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	changes, keys, values, err := h.latest(ctx)
	if err != nil || changes < compactFrom || changes < compactRatio*len(keys) {
		return err
	}
	msgs := make([]event.Message, 0, len(keys))
	for _, k := range keys {
		if v, ok := values[k]; ok {
			msgs = append(msgs, event.Message{Key: []byte(k), Value: v})
		}
	}
	first, err := h.snapshot(ctx, msgs)
	if err != nil {
		return fmt.Errorf("snapshot of %s: %w", h.log.topicName(h.topic), err)
	}
	return h.log.TruncateBefore(ctx, h.topic, first)
}

// latest are the living values, with their keys in the order they came up.
func (h *History) latest(ctx context.Context) (changes int, keys []string, values map[string][]byte, err error) {
	values = make(map[string][]byte)
	known := make(map[string]bool)
	err = h.Load(ctx, func(key string, value []byte) error {
		changes++
		if !known[key] {
			known[key] = true
			keys = append(keys, key)
		}
		if value == nil {
			delete(values, key)
		} else {
			values[key] = value
		}
		return nil
	})
	return changes, keys, values, err
}

// snapshot appends msgs in pieces and returns where the first one stands, or
// the end of the topic when there are none.
func (h *History) snapshot(ctx context.Context, msgs []event.Message) (event.Position, error) {
	if len(msgs) == 0 {
		b, err := h.log.bounds(ctx, h.topic)
		return event.Position{Offset: b[0].end}, err
	}
	var first event.Position
	for i := range msgs {
		at, err := h.log.Append(ctx, h.topic, msgs[i:i+1])
		if err != nil {
			return first, err
		}
		if i == 0 {
			first = at[0]
		}
	}
	return first, nil
}

// TruncateBefore deletes the records of pos's partition that lie before it.
func (l *Log) TruncateBefore(ctx context.Context, topic Topic, pos event.Position) error {
	del := make(kadm.Offsets)
	del.AddOffset(l.topicName(topic), pos.Partition, pos.Offset, -1)
	resp, err := l.adm.DeleteRecords(ctx, del)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		return fmt.Errorf("%w: truncate %s before %s: %w", ErrUnavailable, l.topicName(topic), pos, err)
	}
	return nil
}
