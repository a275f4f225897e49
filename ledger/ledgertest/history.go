package ledgertest

import (
	"context"
	"slices"
	"sync"
)

// History is a ledger.History in memory, shared by any number of ledgers. The
// zero value is ready.
type History struct {
	mu      sync.Mutex
	records []Record
	fail    func(key string) error
}

// Record is one version; Value is nil for a deletion.
type Record struct {
	Key      string
	Value    []byte
	Revision uint64
}

// Fail makes every Append ask fn first: an error is returned and nothing is
// kept. nil lets everything pass again. fn must not call the history.
func (h *History) Fail(fn func(key string) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail = fn
}

// Append implements ledger.History.
func (h *History) Append(ctx context.Context, key string, value []byte, revision uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if h.fail != nil {
		if err := h.fail(key); err != nil {
			return err
		}
	}
	h.records = append(h.records, Record{Key: key, Value: slices.Clone(value), Revision: revision})
	return nil
}

// Load implements ledger.History.
func (h *History) Load(ctx context.Context, fn func(key string, value []byte) error) error {
	for _, r := range h.Records() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(r.Key, r.Value); err != nil {
			return err
		}
	}
	return nil
}

// Records are all versions so far, in order.
func (h *History) Records() []Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.records)
}

// Compact keeps only the last version of each key and drops deletions, as the
// compaction of a Kafka topic does in the end.
func (h *History) Compact() {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := map[string]int{}
	for i, r := range h.records {
		last[r.Key] = i
	}
	var kept []Record
	for i, r := range h.records {
		if last[r.Key] == i && r.Value != nil {
			kept = append(kept, r)
		}
	}
	h.records = kept
}
