package eventlog

import (
	"context"
	"time"
)

// Extent is what a partition holds: the offsets from Start up to End, without it.
type Extent struct{ Start, End int64 }

// Extents are those of every partition of a topic; End is behind the last
// record that a reader of committed records sees.
func (l *Log) Extents(ctx context.Context, topic Topic) (map[int32]Extent, error) {
	m, err := l.bounds(ctx, topic)
	out := make(map[int32]Extent, len(m))
	for p, b := range m {
		out[p] = Extent{Start: b.start, End: b.end}
	}
	return out, err
}

// OffsetsSince are, for every partition of a topic, the offset of the first
// record whose time in the log is not before t, or the end when there is none.
func (l *Log) OffsetsSince(ctx context.Context, topic Topic, t time.Time) (map[int32]int64, error) {
	m, err := l.ranges(ctx, topic, Since(t), nil)
	out := make(map[int32]int64, len(m))
	for p, b := range m {
		out[p] = b.start
	}
	return out, err
}
