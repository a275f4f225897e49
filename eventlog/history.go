package eventlog

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/twmb/franz-go/pkg/kadm"
)

// The headers of a record of the history: the number of the change, and that
// the record is an older version which was kept, and is not what stands.
const (
	revisionHeader = "signalbox_revision"
	keptHeader     = "signalbox_kept"
)

// History is a topic of keys and their versions, in one partition: the record
// of all changes of resources. Every version stays at least as long as the
// events do that were chosen for by it. On Apache Kafka the topic is compacted by
// the broker, after that time (see retain.go); on the embedded log by Compact.
type History struct {
	log   *Log
	topic Topic
	mu    sync.RWMutex // Compact excludes Append
}

// History returns the history of resources. There must be one writer of it at
// a time when the log is embedded.
func (l *Log) History() *History { return &History{log: l, topic: Resources} }

// Append records a change by its number, durably; a nil value is a deletion.
func (h *History) Append(ctx context.Context, key string, value []byte, revision uint64) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	v := Version{Key: key, Value: value, Revision: revision}
	_, err := h.log.Append(ctx, h.topic, []event.Message{v.message()})
	return err
}

// Load calls fn for every change there is up to now, oldest first: of each key
// at least the latest, deletions as a nil value.
func (h *History) Load(ctx context.Context, fn func(key string, value []byte) error) error {
	return h.Versions(ctx, func(v Version) error {
		if v.Kept {
			return nil
		}
		return fn(v.Key, v.Value)
	})
}

// Version is one change of the history.
type Version struct {
	Key string
	// Value is nil for a deletion.
	Value []byte
	// Revision is the number of the change; 0 where it was not noted.
	Revision uint64
	// Time is when the change was appended first.
	Time time.Time
	// Kept marks an older version that was appended again.
	Kept bool

	order uint64 // set by Compact
}

// Versions calls fn for every change that is kept, older versions included. They
// come in the order of the log, which need not be that of their revisions: what
// is Kept comes before what stands.
func (h *History) Versions(ctx context.Context, fn func(Version) error) error {
	return h.log.Read(ctx, h.topic, Earliest(), ReadOptions{}, func(r event.Record) error {
		return fn(versionOf(&r))
	})
}

func versionOf(r *event.Record) Version {
	v := Version{Key: string(r.Message.Key), Value: r.Message.Value, Time: r.Timestamp}
	if n, ok := r.Message.Header(revisionHeader); ok {
		v.Revision, _ = strconv.ParseUint(string(n), 10, 64)
	}
	_, v.Kept = r.Message.Header(keptHeader)
	return v
}

func (v *Version) message() event.Message {
	m := event.Message{Key: []byte(v.Key), Value: v.Value}
	if v.Revision > 0 {
		m.Headers = append(m.Headers, event.Header{Key: revisionHeader, Value: strconv.AppendUint(nil, v.Revision, 10)})
	}
	if v.Kept {
		m.Headers = append(m.Headers, event.Header{Key: keptHeader, Value: []byte("1")})
	}
	return m
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
