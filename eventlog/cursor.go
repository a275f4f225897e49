package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Cursor is progress on one partition of the events topic that is not the
// group's own: of a replay, or of a link that is paused.
type Cursor struct {
	// Offset is where reading goes on.
	Offset int64
	// Metadata is for whoever keeps the cursor, at most 4000 bytes.
	Metadata string
}

const maxCursorMetadata = 4000

// CommitCursor keeps progress of a name durably; partitions that are not named
// stay as they are. It is kept as the consumer group <Group>.<name>. Two
// processes must not commit the same name and partition at a time: the one
// that owns the partition does, and its Consume keeps the broker from forgetting it.
func (l *Log) CommitCursor(ctx context.Context, name string, at map[int32]Cursor) error {
	if name == "" {
		return errors.New("cursor without a name")
	}
	offsets := make(kadm.Offsets)
	for p, c := range at {
		if c.Offset < 0 || len(c.Metadata) > maxCursorMetadata {
			return fmt.Errorf("cursor %s of partition %d: offset %d with %d bytes of metadata: want 0 or more, with at most %d",
				name, p, c.Offset, len(c.Metadata), maxCursorMetadata)
		}
		offsets.Add(l.cursorOffset(p, c))
	}
	l.cursors.Lock()
	defer l.cursors.Unlock()
	return l.commitCursor(ctx, name, offsets)
}

func (l *Log) commitCursor(ctx context.Context, name string, offsets kadm.Offsets) error {
	if len(offsets) == 0 {
		return nil
	}
	if err := l.adm.CommitAllOffsets(ctx, l.cursorGroup(name), offsets); err != nil {
		return fmt.Errorf("%w: commit of cursor %s: %w", ErrUnavailable, name, lacking(err, "Read", l.cursorGroup(name)))
	}
	return nil
}

func (l *Log) cursorGroup(name string) string { return l.cfg.Group + "." + name }

// Cursors is the progress of a name; empty when there is none.
func (l *Log) Cursors(ctx context.Context, name string) (map[int32]Cursor, error) {
	resp, err := l.adm.FetchOffsets(ctx, l.cursorGroup(name))
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("%w: cursor %s: %w", ErrUnavailable, name, lacking(err, "Read", l.cursorGroup(name)))
	}
	at := make(map[int32]Cursor)
	for p, o := range resp[l.topicName(Events)] {
		if o.Err != nil {
			return nil, fmt.Errorf("%w: cursor %s of partition %d: %w", ErrUnavailable, name, p, o.Err)
		}
		if o.At >= 0 {
			at[p] = Cursor{Offset: o.At, Metadata: o.Metadata}
		}
	}
	return at, nil
}

// keepCursor commits a cursor as it is, for partitions owned: the broker
// forgets what it has not heard of for days.
func (l *Log) keepCursor(ctx context.Context, name string, owned map[int32]bool) error {
	l.cursors.Lock() // so that it does not go back meanwhile
	defer l.cursors.Unlock()
	at, err := l.Cursors(ctx, name)
	if err != nil {
		return err
	}
	offsets := make(kadm.Offsets)
	for p, c := range at {
		if owned[p] {
			offsets.Add(l.cursorOffset(p, c))
		}
	}
	return l.commitCursor(ctx, name, offsets)
}

func (l *Log) cursorOffset(p int32, c Cursor) kadm.Offset {
	return kadm.Offset{Topic: l.topicName(Events), Partition: p, At: c.Offset, LeaderEpoch: -1, Metadata: c.Metadata}
}

// CursorNames are the names that progress is kept of, sorted.
func (l *Log) CursorNames(ctx context.Context) ([]string, error) {
	groups, err := l.adm.ListGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: groups: %w", ErrUnavailable, err)
	}
	var names []string
	for _, g := range groups.Groups() {
		if name, ok := strings.CutPrefix(g, l.cfg.Group+"."); ok && name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// DropCursor forgets the progress of a name. Dropping what is not there is no error.
func (l *Log) DropCursor(ctx context.Context, name string) error {
	l.cursors.Lock()
	defer l.cursors.Unlock()
	_, err := l.adm.DeleteGroup(ctx, l.cursorGroup(name))
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("%w: drop of cursor %s: %w", ErrUnavailable, name, lacking(err, "Delete", l.cursorGroup(name)))
	}
	return nil
}

// Next is where the live stream of an owned partition goes on: behind the
// newest record that was handed over. owned is false for a partition that this
// process does not own, or of which it does not know the progress yet.
func (l *Log) Next(partition int32) (offset int64, owned bool) {
	c := l.consuming.Load()
	if c == nil {
		return 0, false
	}
	c.mu.Lock()
	p := c.partitions[partition]
	c.mu.Unlock()
	if p == nil {
		return 0, false
	}
	return p.account.next()
}
