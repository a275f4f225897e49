package policies

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// compiledLink is a link with what is needed to decide about it.
type compiledLink struct {
	link *resource.Link
	// to is nowhere when off says why the link chooses nothing.
	to  destination
	off string
	// filter is compiled also where the link is not in the index: off.
	filter *Filter
	// terms are the link as a candidate in input.links, one for each version it may
	// lead to, made when they are first asked for; nil when not all policies read them.
	terms []atomic.Pointer[ast.Term]
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
	t := c.terms[x.version].Load()
	if t == nil {
		t = linkTerm(c.link, x.function)
		c.terms[x.version].Store(t)
	}
	return t
}

// addLinks compiles the links, which are sorted by name, and their index. What
// previous has compiled of a link that did not change is used again.
func (s *Snapshot) addLinks(links []*resource.Link, previous *Snapshot) (faults resource.Faults) {
	terms := s.rules.readLinks()
	b := newIndexBuilder(len(links))
	s.links = make([]compiledLink, len(links))
	old := previously{previous, 0}
	for i, l := range links {
		c := &s.links[i]
		c.link = l
		c.to, c.off = s.destination(l.Spec.Function)
		was := old.find(l.Metadata.Name)
		faults = append(faults, c.addFilter(was)...)
		if c.off != "" || c.filter == nil {
			continue
		}
		b.add(int32(i), l.Spec.Types, c.filter)
		if terms {
			c.addTerms(was)
		}
	}
	if len(faults) == 0 {
		s.index = b.build()
	}
	return faults
}

// previously walks through the links of the snapshot before, by name.
type previously struct {
	*Snapshot
	next int
}

// find is nil when there was no link of the name.
func (p *previously) find(name string) *compiledLink {
	if p.Snapshot == nil {
		return nil
	}
	for p.next < len(p.links) && p.links[p.next].link.Metadata.Name < name {
		p.next++
	}
	if p.next < len(p.links) && p.links[p.next].link.Metadata.Name == name {
		return &p.links[p.next]
	}
	return nil
}

// addFilter compiles the link's filters; was, which may be nil, is the link before.
func (c *compiledLink) addFilter(was *compiledLink) resource.Faults {
	if was != nil && (was.link == c.link || slices.EqualFunc(was.link.Spec.Filters, c.link.Spec.Filters, sameFilter)) {
		c.filter = was.filter
		return nil
	}
	filter, faults := NewFilter("spec.filters", c.link.Spec.Filters)
	for i := range faults {
		faults[i].Resource = resource.KindLink + "/" + c.link.Metadata.Name
	}
	if len(faults) == 0 {
		c.filter = filter
	}
	return faults
}

func sameFilter(a, b resource.Filter) bool {
	if (a.Not == nil) != (b.Not == nil) || (a.Not != nil && !sameFilter(*a.Not, *b.Not)) {
		return false
	}
	return a.SQL == b.SQL && maps.Equal(a.Exact, b.Exact) && maps.Equal(a.Prefix, b.Prefix) && maps.Equal(a.Suffix, b.Suffix) &&
		slices.EqualFunc(a.All, b.All, sameFilter) && slices.EqualFunc(a.Any, b.Any, sameFilter)
}

// addTerms makes room for them, or takes those of before.
func (c *compiledLink) addTerms(was *compiledLink) {
	if was != nil && was.terms != nil && c.looksAs(was) {
		c.terms = was.terms
		return
	}
	c.terms = make([]atomic.Pointer[ast.Term], len(c.to.versions()))
}

// looksAs reports whether policies see the link as before.
func (c *compiledLink) looksAs(was *compiledLink) bool {
	a, b := &c.link.Metadata, &was.link.Metadata
	return maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations) && slices.Equal(c.link.Spec.Types, was.link.Spec.Types) &&
		slices.EqualFunc(c.to.versions(), was.to.versions(), func(x, y *resource.Function) bool {
			return x.Metadata.Name == y.Metadata.Name && x.Spec.Version == y.Spec.Version
		})
}
