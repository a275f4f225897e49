package eventlog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/twmb/franz-go/pkg/kgo"
)

// compactFrom is how many changes there must be, and how many for each one that
// stays, for Compact to do something.
const compactFrom, compactRatio = 1000, 4

// Compact shortens the history of an embedded log when it is long enough to be
// worth it. What stays are the living values, every version that is younger than
// the oldest event of the log, and of each key the one before those: the
// resources can still be put together as they were when that event was chosen
// for. It appends all that once more before it deletes what came before: a crash
// in between loses nothing, and what it left there does not count as a change.
func (h *History) Compact(ctx context.Context) error {
	if !h.log.cfg.Embedded {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Version
	if err := h.Versions(ctx, func(v Version) error { all = append(all, v); return nil }); err != nil {
		return err
	}
	if len(all) < compactFrom {
		return nil
	}
	oldest, err := h.log.oldestEvent(ctx)
	if err != nil {
		return err
	}
	kept := compacted(all, oldest)
	if len(all) < compactRatio*len(kept) {
		return nil
	}
	first, err := h.rewrite(ctx, kept)
	if err != nil {
		return fmt.Errorf("snapshot of %s: %w", h.log.topicName(h.topic), err)
	}
	return h.log.TruncateBefore(ctx, h.topic, first)
}

// oldestEvent is the log time of the oldest event there is; now without one.
func (l *Log) oldestEvent(ctx context.Context) (time.Time, error) {
	oldest := time.Now()
	bounds, err := l.bounds(ctx, Events)
	if err != nil {
		return oldest, err
	}
	for p, b := range bounds {
		if b.start >= b.end {
			continue
		}
		recs, _, err := l.fetch(ctx, Events, p, b.start, 1)
		if err != nil {
			return oldest, err
		}
		if len(recs) > 0 && recs[0].Timestamp.Before(oldest) {
			oldest = recs[0].Timestamp
		}
	}
	return oldest, nil
}

// compacted are the versions that stay: the kept ones, then those that stand.
func compacted(all []Version, oldest time.Time) []Version {
	byKey := make(map[string][]Version)
	var keys []string
	newest := uint64(0)
	for _, v := range all {
		newest = max(newest, v.Revision)
		if v.order = v.Revision; v.order == 0 {
			v.order = newest // its number was not noted
		}
		if byKey[v.Key] == nil {
			keys = append(keys, v.Key)
		}
		byKey[v.Key] = append(byKey[v.Key], v)
	}
	var kept, living []Version
	for _, k := range keys {
		for _, v := range needed(byKey[k], oldest) {
			switch {
			case v.Kept:
				kept = append(kept, v)
			case v.Value == nil: // nothing stands, and what came before is marked
				v.Kept = true
				kept = append(kept, v)
			default:
				living = append(living, v)
			}
		}
	}
	return append(kept, living...)
}

// needed are the versions of a key to keep, in the order of their revisions:
// those not before a time, and the last one before it. All are marked as kept
// but the one that stands: the last one that was not.
func needed(versions []Version, oldest time.Time) (kept []Version) {
	slices.SortStableFunc(versions, func(a, b Version) int { return cmp.Compare(a.order, b.order) })
	standing := len(versions) - 1
	for standing >= 0 && versions[standing].Kept { // left by a crash
		standing--
	}
	for i := range versions {
		versions[i].Kept = i != standing
	}
	for _, v := range versions {
		again := len(kept) > 0 && v.Revision > 0 && kept[len(kept)-1].Revision == v.Revision
		switch {
		case again && !kept[len(kept)-1].Kept: // the one that stands was met
			continue
		case again:
			kept = kept[:len(kept)-1]
		case v.Time.Before(oldest) && !standingIn(kept):
			kept = kept[:0]
		}
		if v.Value != nil || len(kept) > 0 {
			kept = append(kept, v)
		}
	}
	return kept
}

// standingIn reports whether the version that stands is among them: what comes
// behind it is left by a crash.
func standingIn(kept []Version) bool { return len(kept) > 0 && !kept[len(kept)-1].Kept }

// rewriteRecords is how many records are sent in one piece.
const rewriteRecords = 16

// rewrite appends versions with their times and returns where the first one
// stands, or the end of the topic when there are none.
func (h *History) rewrite(ctx context.Context, versions []Version) (event.Position, error) {
	if len(versions) == 0 {
		b, err := h.log.bounds(ctx, h.topic)
		return event.Position{Offset: b[0].end}, err
	}
	first := event.Position{Offset: -1}
	for piece := range slices.Chunk(versions, rewriteRecords) {
		records := make([]*kgo.Record, len(piece))
		for i := range piece {
			records[i] = new(kgo.Record)
			m := piece[i].message()
			fillRecord(records[i], h.log.topicName(h.topic), &m, piece[i].Time)
		}
		results := h.log.cl.ProduceSync(ctx, records...)
		if err := results.FirstErr(); err != nil {
			return first, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if first.Offset < 0 {
			first = event.Position{Partition: records[0].Partition, Offset: records[0].Offset}
		}
	}
	return first, nil
}
