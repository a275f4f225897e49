package policies

import (
	"sync"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/signalbox-dev/signalbox/event"
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

// compiledLink is a link with what is needed to decide about it.
type compiledLink struct {
	link *resource.Link
	// to is nowhere when off says why the link chooses nothing.
	to  destination
	off string
	// filter is compiled also where the link is not in the index: off.
	filter *Filter
	// terms are the link as a candidate in input.links, one for each version it
	// may lead to; nil when no policy reads them.
	terms []*ast.Term
}

// candidate is the link with the version that ev gets by it.
func (c *compiledLink) candidate(i int32, ev *event.Event, key string) candidate {
	fn := c.to.pick(ev, key)
	return candidate{link: i, version: int32(c.to.version(fn)), function: fn}
}

// termOf is the candidate as policies see it. It is made anew where not all
// policies read them, and one that does has come to decide without the others.
func (c *compiledLink) termOf(x candidate) *ast.Term {
	if c.terms == nil {
		return linkTerm(c.link, x.function)
	}
	return c.terms[x.version]
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
	faults = append(faults, s.addLinks(set.Links)...)
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

func (s *Snapshot) addLinks(links []*resource.Link) (faults resource.Faults) {
	terms := s.rules.readLinks()
	b := indexBuilder{}
	s.links = make([]compiledLink, len(links))
	for i, l := range links {
		c, fs := s.compileLink(l)
		faults = append(faults, fs...)
		if c.off == "" && len(fs) == 0 {
			b.add(int32(i), l.Spec.Types, c.filter)
			if terms {
				c.terms = c.candidateTerms()
			}
		}
		s.links[i] = c
	}
	s.index = b.build()
	return faults
}

func (s *Snapshot) compileLink(l *resource.Link) (compiledLink, resource.Faults) {
	filter, faults := NewFilter("spec.filters", l.Spec.Filters)
	for i := range faults {
		faults[i].Resource = resource.KindLink + "/" + l.Metadata.Name
	}
	c := compiledLink{link: l, filter: filter}
	c.to, c.off = s.destination(l.Spec.Function)
	return c, faults
}

func (c *compiledLink) candidateTerms() []*ast.Term {
	versions := []*resource.Function{c.to.function}
	if c.to.route != nil {
		versions = c.to.route.Versions()
	}
	terms := make([]*ast.Term, len(versions))
	for i, fn := range versions {
		terms[i] = linkTerm(c.link, fn)
	}
	return terms
}
