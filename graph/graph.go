package graph

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/resource"
)

// The kinds of nodes.
const (
	KindType     = "type"
	KindLink     = "link"
	KindFunction = "function"
	KindPolicy   = "policy"
)

// The kinds of edges.
const (
	// Listens leads from a type to a link that it fits.
	Listens = "listens"
	// Delivers leads from a link to its function.
	Delivers = "delivers"
	// Emits leads from a function to a type.
	Emits = "emits"
	// Adds leads from a policy to a function that it chose, Denies to a link that
	// it took out; both are observed only.
	Adds   = "adds"
	Denies = "denies"
)

// Graph is the state of one revision. It is not changed once it is built.
type Graph struct {
	Revision uint64 `json:"revision"`
	// Nodes are sorted by kind (types, links, functions, policies) and name.
	Nodes []Node `json:"nodes"`
	// Edges are sorted by From, To and Kind.
	Edges []Edge `json:"edges"`
	// Findings are what is to be said about the graph.
	Findings []Finding `json:"findings"`
}

// Node is a type, a link, a function or a policy.
type Node struct {
	// ID is kind:name.
	ID   string `json:"id"`
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Pattern: the type is a prefix ending in '*'.
	Pattern bool `json:"pattern,omitempty"`
	// Seen: events of the type were seen, Rate of them a second over the last hour.
	Seen bool    `json:"seen,omitempty"`
	Rate float64 `json:"rate,omitempty"`
	// Versions are the function's, the one in force first; none where there is only
	// one without a name.
	Versions []Version `json:"versions,omitempty"`
	// Scheduled: the function runs at certain times too.
	Scheduled bool `json:"scheduled,omitempty"`
	// Missing: there is no such function, or not the version that a link names.
	Missing bool `json:"missing,omitempty"`
	// Types are what a link listens to, as it says it.
	Types []string `json:"types,omitempty"`
	// Paused and Filtered are of a link.
	Paused   bool `json:"paused,omitempty"`
	Filtered bool `json:"filtered,omitempty"`
}

// Version is one version of a function with its part of the events, 0 to 1.
type Version struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"`
}

// Edge leads from one node to another.
type Edge struct {
	From string `json:"from"`
	To   string `json:"to"`
	Kind string `json:"kind"`
	// Version is the version of the function that a link names.
	Version string `json:"version,omitempty"`
	// Declared: the resources say so. Observed: it was seen to happen.
	Declared bool `json:"declared,omitempty"`
	Observed bool `json:"observed,omitempty"`
}

// Observed is what was seen to happen; the zero value is nothing.
type Observed struct {
	Types    []SeenType
	Emits    []Emit
	Policies []Effect
}

// SeenType is a type of which events were seen, Rate a second over the last hour.
type SeenType struct {
	Name string
	Rate float64
}

// Emit is a type that a function was seen to answer with.
type Emit struct{ Function, Type string }

// Effect is a policy that was seen to add a function, or to deny a link.
type Effect struct{ Policy, Link, Function string }

func id(kind, name string) string { return kind + ":" + name }

// builder collects nodes and edges, each once.
type builder struct {
	set   *resource.Set
	nodes map[string]*Node
	edges map[edgeKey]*Edge
}

type edgeKey struct{ from, to, kind string }

// Build makes the graph of a set, which NewSet made, and of what was observed.
func Build(set resource.Set, seen Observed) *Graph {
	b := &builder{set: &set, nodes: map[string]*Node{}, edges: map[edgeKey]*Edge{}}
	b.functions()
	b.observed(seen)
	for _, l := range set.Links {
		b.link(l)
	}
	b.listeners()
	g := &Graph{Revision: set.Revision, Nodes: []Node{}, Edges: []Edge{}}
	for _, n := range b.nodes {
		g.Nodes = append(g.Nodes, *n)
	}
	slices.SortFunc(g.Nodes, func(a, b Node) int {
		return cmp.Or(cmp.Compare(rank(a.Kind), rank(b.Kind)), cmp.Compare(a.Name, b.Name))
	})
	for _, e := range b.edges {
		g.Edges = append(g.Edges, *e)
	}
	slices.SortFunc(g.Edges, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Kind, b.Kind))
	})
	g.Findings = find(g, &set)
	return g
}

func rank(kind string) int {
	return slices.Index([]string{KindType, KindLink, KindFunction, KindPolicy}, kind)
}

func (b *builder) node(kind, name string) *Node {
	at := id(kind, name)
	n := b.nodes[at]
	if n == nil {
		n = &Node{ID: at, Kind: kind, Name: name}
		n.Pattern = kind == KindType && strings.HasSuffix(name, "*")
		b.nodes[at] = n
	}
	return n
}

func (b *builder) edge(from, to *Node, kind string) *Edge {
	k := edgeKey{from.ID, to.ID, kind}
	if b.edges[k] == nil {
		b.edges[k] = &Edge{From: from.ID, To: to.ID, Kind: kind}
	}
	return b.edges[k]
}

// functions adds every function in force with its versions and what those that
// can get events declare to emit.
func (b *builder) functions() {
	named := map[string]bool{} // versions that links name
	for _, l := range b.set.Links {
		named[l.Spec.Function] = true
	}
	for _, fn := range b.set.Functions {
		n := b.node(KindFunction, fn.Metadata.Name)
		n.Scheduled = len(fn.Spec.Schedule) > 0
		versions := []*resource.Function{fn}
		if r := b.set.Route(fn.Metadata.Name); r != nil {
			versions = r.Versions()
		}
		shares := sharesOf(fn)
		for _, v := range versions {
			if len(versions) > 1 || v.Spec.Version != "" {
				n.Versions = append(n.Versions, Version{v.Spec.Version, shares[v.Spec.Version]})
			}
			if shares[v.Spec.Version] == 0 && !named[resource.VersionName(fn.Metadata.Name, v.Spec.Version)] {
				continue
			}
			for _, t := range v.Spec.Emits {
				b.edge(n, b.node(KindType, t), Emits).Declared = true
			}
		}
	}
}

// sharesOf is the part of a function's events that each version gets.
func sharesOf(fn *resource.Function) map[string]float64 {
	total := 0
	for _, t := range fn.Spec.Traffic {
		total += t.Weight
	}
	if total == 0 {
		return map[string]float64{fn.Spec.Version: 1}
	}
	shares := map[string]float64{}
	for _, t := range fn.Spec.Traffic {
		shares[t.Version] = float64(t.Weight) / float64(total)
	}
	return shares
}

// observed adds what was seen; of functions, links and policies that are gone
// nothing is shown.
func (b *builder) observed(seen Observed) {
	for _, t := range seen.Types {
		n := b.node(KindType, t.Name)
		n.Seen, n.Rate = true, t.Rate
		n.Pattern = false // a type that is named like a pattern
	}
	for _, e := range seen.Emits {
		if fn := b.nodes[id(KindFunction, e.Function)]; fn != nil {
			b.edge(fn, b.node(KindType, e.Type), Emits).Observed = true
		}
	}
	policies := map[string]bool{}
	for _, p := range b.set.Policies {
		policies[p.Metadata.Name] = true
	}
	links := map[string]bool{}
	for _, l := range b.set.Links {
		links[l.Metadata.Name] = true
	}
	for _, e := range seen.Policies {
		fn := b.nodes[id(KindFunction, e.Function)]
		switch {
		case !policies[e.Policy]:
		case links[e.Link]:
			b.edge(b.node(KindPolicy, e.Policy), b.node(KindLink, e.Link), Denies).Observed = true
		case e.Link == "" && fn != nil:
			b.edge(b.node(KindPolicy, e.Policy), fn, Adds).Observed = true
		}
	}
}

func (b *builder) link(l *resource.Link) {
	n := b.node(KindLink, l.Metadata.Name)
	n.Paused, n.Filtered, n.Types = l.Spec.Paused, len(l.Spec.Filters) > 0, l.Spec.Types
	name, version := l.Spec.FunctionName()
	fn := b.nodes[id(KindFunction, name)]
	if b.set.Function(name, version) == nil { // this one the link gets nothing to
		fn = b.node(KindFunction, l.Spec.Function)
		fn.Missing, version = true, ""
	}
	e := b.edge(n, fn, Delivers)
	e.Declared, e.Version = true, version
	for _, t := range l.Spec.Types {
		b.edge(b.node(KindType, t), n, Listens).Declared = true
	}
}

// listeners adds the edges from each type to the links whose patterns it fits,
// and from each pattern that a function emits to those that listen to a part of it.
func (b *builder) listeners() {
	x := NewListeners(b.set.Links)
	emitted := map[string]bool{}
	for k := range b.edges {
		if k.kind == Emits {
			emitted[k.to] = true
		}
	}
	for _, at := range slices.Sorted(maps.Keys(b.nodes)) {
		n := b.nodes[at]
		if n.Kind != KindType || n.Pattern && !emitted[at] {
			continue
		}
		for _, link := range x.listeners(n.Name, n.Pattern) {
			b.edge(n, b.node(KindLink, link), Listens).Declared = true
		}
	}
}
