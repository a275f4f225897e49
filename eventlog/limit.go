package eventlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// limits are the sizes of batches that topics take, where that is less than
// what they would be made with: an operator may have made them, or changed
// them. A batch that is too large fails all its records, those of other
// senders included, so the client must know.
type limits struct {
	// max is by name on the broker; a map is never changed once it is here. mu is held by who replaces it.
	max atomic.Pointer[map[string]int32]
	mu  sync.Mutex
	// reading is held by who asks for them anew.
	reading atomic.Bool
}

// batchBytesOf is the largest batch for a topic. The client asks once for a
// topic, when it first appends to it.
func (l *Log) batchBytesOf(name string) int32 {
	own := l.cfg.maxBytesOf(Topic(strings.TrimPrefix(name, l.cfg.TopicPrefix))) + batchOverhead
	if known := l.limits.max.Load(); known != nil {
		if limit, ok := (*known)[name]; ok {
			return min(own, limit)
		}
	}
	return own
}

// maxBytesOf is the largest record for a topic.
func (l *Log) maxBytesOf(t Topic) int32 {
	return max(1, l.batchBytesOf(l.topicName(t))-batchOverhead)
}

// readLimits asks for the limits of the topics. Who may not ask (it takes the
// right DescribeConfigs) goes without.
func (l *Log) readLimits(ctx context.Context) {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = l.topicName(t)
	}
	described, err := l.adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		l.log.Debug("the topics' max.message.bytes are not known", "error", err)
		return
	}
	for _, r := range described {
		for _, c := range r.Configs {
			if n, err := strconv.ParseInt(c.MaybeValue(), 10, 32); c.Key == "max.message.bytes" && err == nil {
				l.limit(r.Name, int32(n))
			}
		}
	}
}

// limit notes what a topic takes; the client needs 512 bytes at least.
func (l *Log) limit(name string, most int32) {
	before := l.batchBytesOf(name)
	l.limits.mu.Lock()
	known := make(map[string]int32)
	if old := l.limits.max.Load(); old != nil {
		known = maps.Clone(*old)
	}
	known[name] = max(512, most)
	l.limits.max.Store(&known)
	l.limits.mu.Unlock()
	if now := l.batchBytesOf(name); now < before {
		l.log.Warn("the topic takes less than this process is configured for", "topic", name, "max.message.bytes", now, "configured", before)
	}
}

// refused says what a failed append of a record means. A record that is too
// large for a topic is that by its own size; else it was in a batch that was
// made before the topic's limit was lowered, and can be sent again.
func (l *Log) refused(r *kgo.Record, err error) error {
	if !errors.Is(err, kerr.MessageTooLarge) && !errors.Is(err, kerr.RecordListTooLarge) {
		return appendError(l.refusedWrite(r.Topic, err))
	}
	size := len(r.Key) + len(r.Value) + batchOverhead
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value)
	}
	if size > int(l.batchBytesOf(r.Topic)) {
		return appendError(err)
	}
	if l.limits.reading.CompareAndSwap(false, true) {
		l.spawn(func(ctx context.Context) {
			defer l.limits.reading.Store(false)
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			l.readLimits(ctx)
		})
	}
	return fmt.Errorf("%w: %s takes smaller batches than it did when this process started, which a restart puts right: %w", ErrUnavailable, r.Topic, err)
}
