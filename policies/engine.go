package policies

import (
	"sync"
	"sync/atomic"

	"github.com/signalbox-dev/signalbox/resource"
)

// Engine decides by the set that was loaded last. All methods are safe for
// concurrent use; none but Load takes long.
type Engine struct {
	cfg     Config
	loading sync.Mutex
	current atomic.Pointer[Snapshot]
	shared  *shared
}

// New makes an engine that chooses nothing and admits everything until Load.
func New(cfg Config) (*Engine, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, shared: newShared()}
	empty, _ := compileSnapshot(resource.Set{}, nil, cfg, e.shared)
	e.current.Store(empty)
	return e, nil
}

// Load compiles set and puts it in force. With a fault nothing changes; the
// faults name resource, field and problem, and for Rego the line within
// spec.rego. A link to a function that does not exist is none: it chooses
// nothing until a set has the function. Loads take turns; the order of
// revisions is the caller's.
func (e *Engine) Load(set resource.Set) resource.Faults {
	e.loading.Lock()
	defer e.loading.Unlock()
	s, faults := compileSnapshot(set, e.current.Load(), e.cfg, e.shared)
	if len(faults) > 0 {
		e.cfg.Logger.Error("policies refused: the old ones stay", "revision", set.Revision, "in_force", e.Revision(), "error", faults.Err())
		return faults
	}
	e.current.Store(s)
	e.cfg.Logger.Debug("policies in force", "revision", set.Revision, "links", len(set.Links), "policies", len(set.Policies))
	return nil
}

// Snapshot is what is in force. It stays what it is after the next Load.
func (e *Engine) Snapshot() *Snapshot { return e.current.Load() }

// Revision is that of the set in force; 0 before the first Load.
func (e *Engine) Revision() uint64 { return e.current.Load().revision }

// Stats are the engine's figures; counters count from New.
type Stats struct {
	Revision uint64
	// Links is the number of links; Unindexed is how many of them are tried
	// for every event, whatever its type and attributes.
	Links, Unindexed int
	// MemoEntries is the number of decisions remembered by the set in force.
	MemoEntries int
	// MemoOff says why the trigger policies in force are not remembered; "" when they are, or there are none.
	MemoOff string
	// MemoObstacles says of each policy that keeps decisions from being remembered, why.
	MemoObstacles map[string]string
	// MemoSkipped counts decisions that were not looked up, because of MemoOff.
	MemoHits, MemoMisses, MemoSkipped uint64
	// EvaluationErrors counts failures of policies of all stages, but those in shadow mode.
	EvaluationErrors uint64
}

// Stats reads the figures.
func (e *Engine) Stats() Stats {
	s := e.current.Load()
	st := Stats{
		Revision: s.revision, Links: len(s.links), Unindexed: len(s.index.everyEvent()),
		MemoHits: e.shared.hits.Load(), MemoMisses: e.shared.misses.Load(), MemoSkipped: e.shared.off.Load(),
		EvaluationErrors: e.shared.failures.Load(),
	}
	if s.memo != nil {
		st.MemoEntries = s.memo.len()
	}
	if p := s.rules.trigger.enforced; p != nil && s.memo == nil {
		st.MemoOff = "MemoSize is 0"
	} else if p != nil {
		st.MemoOff, st.MemoObstacles = p.full.forgetful, p.full.reads.byPolicy()
	}
	return st
}
