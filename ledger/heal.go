package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// healLease is how long one replica keeps the others from healing too;
	// two at once would do no harm, only the work twice.
	healLease = 10 * time.Second
	// healTries bounds how often healing starts over because resources change meanwhile.
	healTries = 20
	// healPoll is how often a waiting replica looks whether healing is over.
	healPoll = 20 * time.Millisecond
)

// HealReport says what healing did.
type HealReport struct {
	// Revision is the ledger's afterwards.
	Revision uint64
	// Restored and Removed count resources written to and taken from Redis;
	// Appended counts those the history was given.
	Restored, Removed, Appended int
}

// Heal makes Redis and the History agree. Per resource the higher revision
// wins; a deletion in the History wins over a resource that Redis still has,
// unless the History lacks a later write. It restores an emptied Redis, at a
// revision above all that were seen, and appends what a crash kept from the
// History. It is safe to call at any time, on any replica: one does the work,
// the others wait for it. Errors: ErrUnavailable, ErrHistory.
func (l *Ledger) Heal(ctx context.Context) (HealReport, error) {
	release, err := l.lockHealing(ctx)
	if err != nil {
		return HealReport{}, err
	}
	defer release()
	for range healTries {
		state, err := l.redisState(ctx)
		if err != nil {
			return HealReport{}, err
		}
		// Read after Redis: what is confirmed there must be found here.
		history, err := l.load(ctx)
		if err != nil {
			return HealReport{}, err
		}
		p, err := makePlan(state, history, l.seen.Load())
		if err != nil {
			return HealReport{}, err
		}
		report, done, err := l.carryOut(ctx, state, p)
		if done || err != nil {
			return report, err
		}
	}
	return HealReport{}, fmt.Errorf("%w: resources change faster than they can be healed", ErrUnavailable)
}

// lockHealing waits until no other replica heals, then keeps the others out.
func (l *Ledger) lockHealing(ctx context.Context) (release func(), err error) {
	token := rand.Text()
	tick := time.NewTicker(healPoll)
	defer tick.Stop()
	for {
		got, err := l.tryLock(ctx, token)
		if err != nil {
			return nil, err
		}
		if got {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
	return func() {
		if _, err := l.run(context.WithoutCancel(ctx), releaseScript, []string{l.keys.healing}, token); err != nil {
			l.log.Warn("the right to heal was not given back", "lease", healLease, "error", err)
		}
	}, nil
}

func (l *Ledger) tryLock(ctx context.Context, token string) (bool, error) {
	bound, cancel := l.bound(ctx)
	defer cancel()
	err := l.client.SetArgs(bound, l.keys.healing, token, redis.SetArgs{Mode: "NX", TTL: healLease}).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, unavailable(ctx, err)
}

// redisState is what Redis holds, at one moment.
type redisState struct {
	// found says whether there is a revision at all.
	found     bool
	revision  uint64
	documents map[string]string
	pending   []pendingWrite
}

func (l *Ledger) redisState(ctx context.Context) (redisState, error) {
	bound, cancel := l.bound(ctx)
	defer cancel()
	var revision *redis.StringCmd
	var documents, pending *redis.MapStringStringCmd
	_, err := l.client.TxPipelined(bound, func(p redis.Pipeliner) error {
		revision = p.Get(bound, l.keys.revision)
		documents = p.HGetAll(bound, l.keys.documents)
		pending = p.HGetAll(bound, l.keys.pending)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return redisState{}, unavailable(ctx, err)
	}
	s := redisState{found: revision.Err() == nil, documents: documents.Val()}
	if s.found {
		if s.revision, err = strconv.ParseUint(revision.Val(), 10, 64); err != nil {
			return s, fmt.Errorf("key %s: %w", l.keys.revision, err)
		}
	}
	for token, value := range pending.Val() {
		p, err := parsePending(token, value)
		if err != nil {
			return s, err
		}
		s.pending = append(s.pending, p)
	}
	return s, nil
}

// plan is what healing will do.
type plan struct {
	// revision is the new one; rewrite says whether Redis is to be written at all.
	revision uint64
	rewrite  bool
	// restore are stored documents, remove fields.
	restore []version
	remove  []string
	// lacking are documents the history does not have, beside those of pending writes.
	lacking []version
}

// makePlan compares. floor is the highest revision this process has met.
func makePlan(state redisState, history loaded, floor uint64) (plan, error) {
	unsaved := make(map[string]uint64)
	for _, w := range state.pending {
		for _, f := range w.fields {
			unsaved[f] = max(unsaved[f], w.revision)
		}
	}
	p := plan{revision: max(state.revision, history.revision, floor)}
	for field, o := range history.objects {
		have, _, err := revisionIn(state.documents, field)
		if err != nil {
			return p, err
		}
		if o.Metadata.Revision > max(have, unsaved[field]) {
			stored, err := encodeStored(o)
			if err != nil {
				return p, err
			}
			p.restore = append(p.restore, version{field, stored})
		}
	}
	for field, stored := range state.documents {
		have, _, err := revisionIn(state.documents, field)
		if err != nil {
			return p, err
		}
		p.revision = max(p.revision, have)
		_, written := unsaved[field]
		o, kept := history.objects[field]
		switch {
		case written: // goes to the history with its pending write
		case history.deleted[field]:
			p.remove = append(p.remove, field)
		case !kept || o.Metadata.Revision < have:
			p.lacking = append(p.lacking, version{field, stored})
		}
	}
	changed := len(p.restore)+len(p.remove) > 0
	if changed || state.revision < p.revision {
		p.revision++
	}
	p.rewrite = changed || !state.found || state.revision < p.revision
	return p, nil
}

func revisionIn(documents map[string]string, field string) (uint64, bool, error) {
	s, ok := documents[field]
	if !ok {
		return 0, false, nil
	}
	revision, _, err := cutStored(s)
	if err != nil {
		err = fmt.Errorf("stored resource %s: %w", field, err)
	}
	return revision, true, err
}

// carryOut does what the plan says; done is false when resources changed since
// it was made.
func (l *Ledger) carryOut(ctx context.Context, state redisState, p plan) (report HealReport, done bool, err error) {
	report = HealReport{Revision: p.revision, Restored: len(p.restore), Removed: len(p.remove)}
	if p.rewrite {
		if done, err := l.rewrite(ctx, state, p); !done || err != nil {
			return report, false, err
		}
		level := slog.LevelWarn
		if !state.found && (l.cfg.Volatile || report.Restored == 0 && report.Removed == 0) {
			level = slog.LevelDebug // nothing was ever there
		}
		l.log.Log(ctx, level, "redis was behind and is healed from the history", "found", state.found, "from", state.revision,
			"revision", p.revision, "restored", report.Restored, "removed", report.Removed)
	}
	l.saw(p.revision)
	if l.history == nil {
		return report, true, nil
	}
	for _, v := range p.lacking {
		if err := l.record(ctx, "", p.revision, []version{v}); err != nil {
			return report, false, err
		}
		report.Appended++
	}
	restored := redisState{revision: p.revision, documents: after(state.documents, p)}
	for _, w := range state.pending {
		if err := l.recordPending(ctx, w, restored); err != nil {
			return report, false, err
		}
		report.Appended += len(w.fields)
	}
	return report, true, nil
}

func (l *Ledger) rewrite(ctx context.Context, state redisState, p plan) (bool, error) {
	expected := ""
	if state.found {
		expected = strconv.FormatUint(state.revision, 10)
	}
	args := []any{l.keys.notice, expected, p.revision}
	for _, v := range p.restore {
		args = append(args, v.field, v.stored)
	}
	for _, f := range p.remove {
		args = append(args, f, "")
	}
	out, err := l.run(ctx, healScript, []string{l.keys.revision, l.keys.documents}, args...)
	return text(out, 0) == "1", err
}

// after is documents with the plan carried out.
func after(documents map[string]string, p plan) map[string]string {
	out := maps.Clone(documents)
	for _, v := range p.restore {
		out[v.field] = v.stored
	}
	for _, f := range p.remove {
		delete(out, f)
	}
	return out
}
