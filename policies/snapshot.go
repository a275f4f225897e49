package policies

import (
	"fmt"
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/signalbox-dev/signalbox/resource"
)

// snapshot is one compiled set. Nothing in it changes but the memo and the
// cache of policy links, so an event that is chosen by it is chosen by it alone.
type snapshot struct {
	revision  uint64
	functions map[string]*resource.Function
	links     []compiledLink
	index     *typeIndex
	// policies are what rules was compiled from.
	policies []*resource.Policy
	rules    rules
	memo     *memo
	// added keeps the links of policy targets, by name.
	added sync.Map
}

// rules are the programs of the stages; nil where no policy decides.
type rules struct{ trigger, admission *program }

// compiledLink is a link with what is needed to decide about it.
type compiledLink struct {
	link *resource.Link
	// function is nil where off says why the link chooses nothing.
	function *resource.Function
	off      string
	// filter is compiled also where the link is not in the index: off.
	filter *Filter
	// term is the link as a candidate in input.links; nil when no policy reads it.
	term *ast.Term
}

// emptySnapshot chooses nothing and admits everything.
func emptySnapshot() *snapshot { return &snapshot{index: indexBuilder{}.build()} }

// compileSnapshot compiles a set. previous is one whose programs may be used
// again; nil is none.
func compileSnapshot(set resource.Set, previous *snapshot, memoSize int) (*snapshot, resource.Faults) {
	s := &snapshot{revision: set.Revision, functions: make(map[string]*resource.Function, len(set.Functions)), policies: set.Policies}
	for _, fn := range set.Functions {
		s.functions[fn.Metadata.Name] = fn
	}
	faults := s.addRules(previous)
	faults = append(faults, s.addLinks(set.Links)...)
	if len(faults) > 0 {
		return nil, faults
	}
	if t := s.rules.trigger; t != nil && memoSize > 0 && t.reads.forgetful() == "" {
		s.memo = newMemo(memoSize)
	}
	return s, nil
}

func (s *snapshot) addRules(previous *snapshot) (faults resource.Faults) {
	if previous != nil && slices.EqualFunc(previous.policies, s.policies, samePolicy) {
		s.rules = previous.rules
		return nil
	}
	s.rules, faults = compileRules(s.policies)
	return faults
}

func samePolicy(a, b *resource.Policy) bool {
	return a.Metadata.Name == b.Metadata.Name && a.Spec.Rego == b.Spec.Rego
}

// compileRules parses every policy and compiles those of a stage together.
func compileRules(policies []*resource.Policy) (r rules, faults resource.Faults) {
	byStage := map[string][]*module{}
	for _, p := range policies {
		m, fs := parseModule(p)
		if faults = append(faults, fs...); m != nil {
			byStage[m.stage.pkg] = append(byStage[m.stage.pkg], m)
		}
	}
	if len(faults) > 0 {
		return rules{}, faults
	}
	r.trigger, faults = compile(triggerStage(), byStage[triggerStage().pkg])
	admission, fs := compile(admissionStage(), byStage[admissionStage().pkg])
	r.admission = admission
	return r, append(faults, fs...)
}

func (s *snapshot) addLinks(links []*resource.Link) (faults resource.Faults) {
	t := s.rules.trigger
	terms := t != nil && (t.reads.whole || t.reads.links)
	b := indexBuilder{}
	s.links = make([]compiledLink, len(links))
	for i, l := range links {
		c, fs := s.compileLink(l)
		faults = append(faults, fs...)
		if c.off == "" && len(fs) == 0 {
			b.add(int32(i), l.Spec.Types, c.filter)
			if terms {
				c.term = linkTerm(l, c.function)
			}
		}
		s.links[i] = c
	}
	s.index = b.build()
	return faults
}

func (s *snapshot) compileLink(l *resource.Link) (compiledLink, resource.Faults) {
	filter, faults := NewFilter("spec.filters", l.Spec.Filters)
	for i := range faults {
		faults[i].Resource = resource.KindLink + "/" + l.Metadata.Name
	}
	c := compiledLink{link: l, filter: filter}
	c.function, c.off = s.function(l.Spec.Function)
	return c, faults
}

// function finds name or name@version; otherwise it says why there is none.
func (s *snapshot) function(ref string) (*resource.Function, string) {
	spec := resource.LinkSpec{Function: ref}
	name, version := spec.FunctionName()
	fn := s.functions[name]
	switch {
	case fn == nil:
		return nil, fmt.Sprintf("function %s does not exist", name)
	case version != "" && fn.Spec.Version != version:
		return nil, fmt.Sprintf("function %s has version %q, not %s", name, fn.Spec.Version, version)
	}
	return fn, ""
}

// addedTarget is a function that a policy adds. Its link is named
// policy:<policy>/<function> and delivers by the defaults.
func (s *snapshot) addedTarget(policy, ref string) (resource.Target, string) {
	fn, why := s.function(ref)
	if fn == nil {
		return resource.Target{}, why
	}
	name := "policy:" + policy + "/" + ref
	l, ok := s.added.Load(name)
	if !ok {
		l, _ = s.added.LoadOrStore(name, &resource.Link{
			Metadata: resource.Metadata{Name: name, Revision: s.revision},
			Spec:     resource.LinkSpec{Function: ref, Types: []string{"*"}},
		})
	}
	return resource.Target{Link: l.(*resource.Link), Function: fn}, ""
}
