package policies

import (
	"sync"
	"sync/atomic"

	"github.com/signalbox-dev/signalbox/resource"
)

// Snapshot is one compiled set. Nothing in it changes but the memo and the
// cache of policy links, so an event that is chosen by it is chosen by it
// alone. All methods are safe for concurrent use.
type Snapshot struct {
	cfg      Config
	shared   *shared
	revision uint64
	set      resource.Set
	// functions are those in force, by name.
	functions map[string]*resource.Function
	links     []compiledLink
	index     *typeIndex
	// policies are what rules was compiled from.
	policies []*resource.Policy
	rules    rules
	// memo and shadowMemo are nil where nothing is remembered.
	memo, shadowMemo *memo
	// added keeps the links of policy targets, by name.
	added sync.Map
}

// shared is what the snapshots of one engine have in common.
type shared struct {
	scratch sync.Pool
	// hits, misses and off are look-ups in the memo; failures those of policies.
	hits, misses, off, failures atomic.Uint64
}

func newShared() *shared {
	return &shared{scratch: sync.Pool{New: func() any { return new(scratch) }}}
}

// Compile compiles set by itself, beside whatever is in force. Faults are those
// of Engine.Load; zero values in cfg are the defaults, but a MemoSize of 0.
func Compile(set resource.Set, cfg Config) (*Snapshot, resource.Faults) {
	return compileSnapshot(set, nil, cfg.withDefaults(), newShared())
}

// Revision is that of the set it was compiled from.
func (s *Snapshot) Revision() uint64 { return s.revision }

// compileSnapshot compiles a set. previous is one of which parts that are still
// right are used again; nil is none.
func compileSnapshot(set resource.Set, previous *Snapshot, cfg Config, sh *shared) (*Snapshot, resource.Faults) {
	s := &Snapshot{cfg: cfg, shared: sh, revision: set.Revision, set: set, functions: make(map[string]*resource.Function, len(set.Functions)), policies: set.Policies}
	for _, fn := range set.Functions {
		s.functions[fn.Metadata.Name] = fn
	}
	faults := s.addRules(previous)
	faults = append(faults, s.addLinks(set.Links, previous)...)
	if len(faults) > 0 {
		return nil, faults
	}
	if cfg.MemoSize > 0 {
		s.memo, s.shadowMemo = newMemo(cfg.MemoSize), newMemo(cfg.MemoSize)
	}
	return s, nil
}

func (s *Snapshot) addRules(previous *Snapshot) (faults resource.Faults) {
	if previous != nil && sameRules(previous.policies, s.policies) {
		s.rules = previous.rules
		return nil
	}
	s.rules, faults = compileRules(s.policies)
	return faults
}
