package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/signalbox-dev/signalbox/resource"
)

// Get returns one resource; ErrNotFound when there is none.
func (l *Ledger) Get(ctx context.Context, kind, name string) (resource.Object, error) {
	field := fieldOf(kind, name)
	var stored *redis.StringCmd
	_, err := l.read(ctx, func(p redis.Pipeliner) { stored = p.HGet(ctx, l.keys.documents, field) })
	if err != nil {
		return resource.Object{}, err
	}
	if stored.Err() != nil {
		return resource.Object{}, fmt.Errorf("%s: %w", field, ErrNotFound)
	}
	return decodeStored(field, stored.Val())
}

// List returns the resources of one kind, sorted by name.
func (l *Ledger) List(ctx context.Context, kind string) ([]resource.Object, error) {
	_, all, err := l.Snapshot(ctx)
	return slices.DeleteFunc(all, func(o resource.Object) bool { return o.Kind != kind }), err
}

// Snapshot returns all resources as they were at one revision, sorted by kind
// and name. While Redis is found behind it heals first, so that an emptied
// Redis is never taken for an empty configuration.
func (l *Ledger) Snapshot(ctx context.Context) (revision uint64, objects []resource.Object, err error) {
	var stored *redis.MapStringStringCmd
	revision, err = l.read(ctx, func(p redis.Pipeliner) { stored = p.HGetAll(ctx, l.keys.documents) })
	if err != nil {
		return 0, nil, err
	}
	objects = make([]resource.Object, 0, len(stored.Val()))
	for field, s := range stored.Val() {
		o, err := decodeStored(field, s)
		if err != nil {
			return 0, nil, err
		}
		objects = append(objects, o)
	}
	slices.SortFunc(objects, func(a, b resource.Object) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Metadata.Name, b.Metadata.Name))
	})
	return revision, objects, nil
}

// Revision returns the number of the last change, as Redis has it now.
func (l *Ledger) Revision(ctx context.Context) (uint64, error) {
	return l.read(ctx, func(redis.Pipeliner) {})
}

// read runs queue's commands and the reading of the revision in one atomic
// step. A Redis that is behind is healed, once.
func (l *Ledger) read(ctx context.Context, queue func(redis.Pipeliner)) (uint64, error) {
	revision, err := l.tryRead(ctx, queue)
	if !errors.Is(err, errBehind) {
		return revision, err
	}
	if _, err := l.Heal(ctx); err != nil {
		return 0, err
	}
	if revision, err = l.tryRead(ctx, queue); errors.Is(err, errBehind) {
		return 0, unavailable(ctx, err)
	}
	return revision, err
}

func (l *Ledger) tryRead(ctx context.Context, queue func(redis.Pipeliner)) (uint64, error) {
	bound, cancel := l.bound(ctx)
	defer cancel()
	// Loaded first: a change that lands meanwhile must not make Redis look behind.
	floor := l.seen.Load()
	var revision *redis.StringCmd
	_, err := l.client.TxPipelined(bound, func(p redis.Pipeliner) error {
		revision = p.Get(bound, l.keys.revision)
		queue(p)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, unavailable(ctx, err)
	}
	if revision.Err() != nil {
		return 0, errBehind
	}
	n, err := strconv.ParseUint(revision.Val(), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("key %s: %w", l.keys.revision, err)
	}
	if n < floor {
		return 0, errBehind
	}
	l.saw(n)
	return n, nil
}
