package ledger

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// History is where every version of every resource is kept in order: the
// topic signalbox.resources. Keys are kind/name, values the resource as JSON;
// one key of another shape, RevisionKey, keeps the number of the last deletion.
type History interface {
	// Append adds a version at the end, with the number of the change that wrote
	// it, and returns when it is durable. A nil value is a deletion. Of one key the
	// versions may come in another order than their numbers. It respects ctx.
	// After an error the version may still turn up. It is called concurrently.
	Append(ctx context.Context, key string, value []byte, revision uint64) error
	// Load calls fn for what was appended before Load was called, in the order
	// of appending: at least the last version of every key that is not deleted.
	// Older versions, and deletions as nil values, may be left out (compaction).
	// fn must not keep value. An error of fn ends it and is returned.
	Load(ctx context.Context, fn func(key string, value []byte) error) error
}

// RevisionKey is the history's key of {"revision": n}, the number of the last
// deletion, whose own record is a null value and has no room for it. Without
// it a Redis healed after the last resource was deleted would count backwards.
const RevisionKey = "@revision"

// maxRounds bounds how often one write follows others to the history; the
// rest is left pending, for settle.
const maxRounds = 64

// version is a resource as the history is to have it: stored "" is a deletion.
type version struct {
	field, stored string
}

// pendingWrite is a write whose resources the history may lack, stored in the
// pending hash under its token as `milliseconds revision kind/name kind/name …`.
type pendingWrite struct {
	token    string
	since    time.Time
	revision uint64
	fields   []string
}

func parsePending(token, s string) (pendingWrite, error) {
	parts := strings.Split(s, " ")
	if len(parts) < 3 {
		return pendingWrite{}, fmt.Errorf("pending write %s: %d parts", token, len(parts))
	}
	ms, err1 := strconv.ParseInt(parts[0], 10, 64)
	revision, err2 := strconv.ParseUint(parts[1], 10, 64)
	return pendingWrite{token: token, since: time.UnixMilli(ms), revision: revision, fields: parts[2:]}, errors.Join(err1, err2)
}

// newToken names one write while it is pending; "" without a history.
func (l *Ledger) newToken() string {
	if l.history == nil {
		return ""
	}
	return rand.Text()
}

// recordChange brings a change to the history, or takes it back. It goes on
// when the caller gives up: half a change helps nobody.
func (l *Ledger) recordChange(ctx context.Context, token string, revision uint64, writes []write) error {
	var versions []version
	for i := range writes {
		if w := &writes[i]; w.done {
			v := version{field: w.field}
			if w.object != nil {
				v.stored = strconv.FormatUint(revision, 10) + " " + w.digest + " " + w.body
			}
			versions = append(versions, v)
		}
	}
	if l.history == nil || len(versions) == 0 {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	err := l.record(ctx, token, revision, versions)
	if err == nil || !errors.Is(err, ErrHistory) {
		return nil // in force; what is left to confirm stays pending
	}
	if undoErr := l.undo(ctx, token, revision, writes); undoErr != nil {
		return fmt.Errorf("%w; taking the change back: %w", err, undoErr)
	}
	return err
}

// record appends versions, and follows whoever wrote the same resources
// meanwhile until what was appended last is what stands. So the last record of
// a key is right whatever the order in which concurrent appends landed.
func (l *Ledger) record(ctx context.Context, token string, revision uint64, versions []version) error {
	for range maxRounds {
		for _, v := range versions {
			if err := l.append(ctx, revision, v); err != nil {
				return err
			}
		}
		stale, now, err := l.confirm(ctx, token, versions)
		if err != nil {
			l.log.Warn("a write stays pending", "error", err)
			return err
		}
		if len(stale) == 0 {
			return nil
		}
		versions, revision = stale, now
	}
	return nil
}

// append gives one version to the history; revision is a deletion's.
func (l *Ledger) append(ctx context.Context, revision uint64, v version) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.HistoryTimeout)
	defer cancel()
	var value []byte
	if v.stored == "" {
		mark, err := json.Marshal(revisionMark{Revision: revision})
		if err != nil {
			return err
		}
		if err := l.history.Append(ctx, RevisionKey, mark, revision); err != nil {
			return fmt.Errorf("%w: %w", ErrHistory, err)
		}
	} else {
		o, err := decodeStored(v.field, v.stored)
		if err != nil {
			return err
		}
		revision = o.Metadata.Revision
		if value, err = json.Marshal(o); err != nil {
			return err
		}
	}
	if err := l.history.Append(ctx, v.field, value, revision); err != nil {
		return fmt.Errorf("%w: %w", ErrHistory, err)
	}
	return nil
}

// revisionMark is the value of RevisionKey.
type revisionMark struct {
	Revision uint64 `json:"revision"`
}

// confirm ends the pending write, or returns what stands instead of versions,
// and the revision at which it did.
func (l *Ledger) confirm(ctx context.Context, token string, versions []version) (stale []version, now uint64, err error) {
	args := []any{token}
	for _, v := range versions {
		revision, _, _ := strings.Cut(v.stored, " ")
		args = append(args, v.field, revision)
	}
	out, err := l.run(ctx, confirmScript, []string{l.keys.documents, l.keys.pending, l.keys.revision}, args...)
	if err != nil || len(out) == 0 {
		return nil, 0, err
	}
	if now, err = strconv.ParseUint(text(out, 0), 10, 64); err != nil {
		return nil, 0, fmt.Errorf("key %s: %w", l.keys.revision, err)
	}
	for i := 1; i < len(out); i += 2 {
		stale = append(stale, version{field: text(out, i), stored: text(out, i+1)})
	}
	return stale, now, nil
}

// undo takes back what a change wrote and nobody has replaced since.
func (l *Ledger) undo(ctx context.Context, token string, revision uint64, writes []write) error {
	args := []any{l.keys.notice, token, l.now().UnixMilli(), revision}
	for i := range writes {
		if !writes[i].done {
			continue
		}
		_, before, _ := strings.Cut(writes[i].before, " ")
		args = append(args, writes[i].field, before)
	}
	out, err := l.run(ctx, undoScript, []string{l.keys.revision, l.keys.documents, l.keys.pending}, args...)
	if err != nil {
		return err
	}
	if n, err := strconv.ParseUint(text(out, 0), 10, 64); err == nil {
		l.saw(n)
	}
	return nil
}

// settle brings to the history what writers left pending that failed or died
// longer ago than a write takes.
func (l *Ledger) settle(ctx context.Context) error {
	if l.history == nil {
		return nil
	}
	state, err := l.redisState(ctx)
	if err != nil {
		return err
	}
	for _, p := range state.pending {
		if l.now().Sub(p.since) < 2*l.cfg.HistoryTimeout {
			continue
		}
		if err := l.recordPending(ctx, p, state); err != nil {
			return err
		}
		l.log.Info("a pending write is in the history now", "resources", p.fields)
	}
	return nil
}

// recordPending gives the history what stands of a pending write's resources.
func (l *Ledger) recordPending(ctx context.Context, p pendingWrite, state redisState) error {
	versions := make([]version, len(p.fields))
	for i, f := range p.fields {
		versions[i] = version{field: f, stored: state.documents[f]}
	}
	return l.record(ctx, p.token, max(p.revision, state.revision), versions)
}

// loaded is what the history says.
type loaded struct {
	// revision is the highest number met.
	revision uint64
	// objects are the last versions; deleted are keys whose last record is a deletion.
	objects map[string]resource.Object
	deleted map[string]bool
}

// load reads the history. A record that is no resource is logged and left out.
func (l *Ledger) load(ctx context.Context) (loaded, error) {
	h := loaded{objects: map[string]resource.Object{}, deleted: map[string]bool{}}
	if l.history == nil {
		return h, nil
	}
	err := l.history.Load(ctx, func(key string, value []byte) error {
		if err := h.add(key, value); err != nil {
			l.log.Warn("a record of the history is no resource", "key", key, "error", err)
		}
		return nil
	})
	if err != nil {
		return h, fmt.Errorf("%w: load: %w", ErrHistory, err)
	}
	return h, nil
}

func (h *loaded) add(key string, value []byte) error {
	if key == RevisionKey {
		var m revisionMark
		err := json.Unmarshal(value, &m)
		h.revision = max(h.revision, m.Revision)
		return err
	}
	if value == nil {
		delete(h.objects, key)
		h.deleted[key] = true
		return nil
	}
	var o resource.Object
	if err := json.Unmarshal(value, &o); err != nil {
		return err
	}
	if fieldOf(o.Kind, o.Metadata.Name) != key {
		return fmt.Errorf("holds %s", fieldOf(o.Kind, o.Metadata.Name))
	}
	h.revision = max(h.revision, o.Metadata.Revision)
	if old, ok := h.objects[key]; ok && old.Metadata.Revision > o.Metadata.Revision {
		return nil
	}
	h.objects[key] = o
	delete(h.deleted, key)
	return nil
}
