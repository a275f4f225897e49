package graph

import (
	"fmt"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/resource"
)

// What findings are about.
const (
	// Cycle: events can lead back to their own type.
	Cycle = "cycle"
	// Unreachable: nothing leads to a function.
	Unreachable = "unreachable"
	// Unheard: a function emits a type that no link listens to.
	Unheard = "unheard"
	// Off: a link leads to a function or version that there is not.
	Off = "off"
	// Unsent: nobody is known to emit what a link listens to. It is information
	// only, since senders outside are not known before they send.
	Unsent = "unsent"
)

// The severities of findings.
const (
	Warning = "warning"
	Info    = "info"
)

// Finding is something to be said about a graph.
type Finding struct {
	Kind     string `json:"kind"`
	Severity string `json:"severity"`
	// Resource is Kind/name of what it is about.
	Resource string `json:"resource"`
	Text     string `json:"text"`
	// Path are the nodes of a cycle, from a type back to it.
	Path []string `json:"path,omitempty"`
	// key is the same in another graph that has the same fault.
	key string
}

// find says everything there is to say, in order of kind and name.
func find(g *Graph, set *resource.Set) []Finding {
	n := newNeighbours(g)
	all := cycles(g, n)
	all = append(all, unreachable(g, n)...)
	all = append(all, unheard(g, n)...)
	all = append(all, off(set)...)
	all = append(all, unsent(g, n, set)...)
	if all == nil {
		all = []Finding{}
	}
	return all
}

// Introduced are the warnings of after that before has not: what a change is
// to be blamed for.
func Introduced(before, after *Graph) []Finding {
	old := map[string]bool{}
	for _, f := range before.Findings {
		old[f.key] = true
	}
	var fresh []Finding
	for _, f := range after.Findings {
		if f.Severity == Warning && !old[f.key] {
			fresh = append(fresh, f)
		}
	}
	return fresh
}

func warning(kind, resourceKind, name, key, format string, args ...any) Finding {
	return Finding{Kind: kind, Severity: Warning, Resource: resourceKind + "/" + name, Text: fmt.Sprintf(format, args...), key: kind + "\x00" + key}
}

func unreachable(g *Graph, n *neighbours) []Finding {
	var all []Finding
	for i := range g.Nodes {
		fn := &g.Nodes[i]
		if fn.Kind == KindFunction && !fn.Missing && !fn.Scheduled && len(n.into[fn.ID]) == 0 {
			all = append(all, warning(Unreachable, resource.KindFunction, fn.Name, fn.Name, "function %s is never called: no link leads to it, it has no schedule, and no policy was seen to choose it", fn.Name))
		}
	}
	return all
}

func unheard(g *Graph, n *neighbours) []Finding {
	var all []Finding
	for _, e := range g.Edges {
		if e.Kind != Emits || len(n.outOf[e.To]) > 0 {
			continue
		}
		fn, typ := n.nodes[e.From].Name, n.nodes[e.To].Name
		how := "emits"
		if !e.Declared {
			how = "was seen to emit"
		}
		all = append(all, warning(Unheard, resource.KindFunction, fn, fn+"\x00"+typ, "function %s %s %s, and no link listens to it", fn, how, typ))
	}
	return all
}

func off(set *resource.Set) []Finding {
	var all []Finding
	for _, l := range set.Links {
		name, version := l.Spec.FunctionName()
		link := l.Metadata.Name
		switch {
		case set.Function(name, version) != nil:
		case set.Function(name, "") == nil:
			all = append(all, warning(Off, resource.KindLink, link, link+"\x00"+l.Spec.Function, "link %s is off: there is no function %s", link, name))
		default:
			all = append(all, warning(Off, resource.KindLink, link, link+"\x00"+l.Spec.Function, "link %s is off: function %s has no version %s", link, name, version))
		}
	}
	return all
}

// unsent tells of links, none of whose types anybody is known to emit.
func unsent(g *Graph, n *neighbours, set *resource.Set) []Finding {
	var all []Finding
	for _, l := range set.Links {
		known := false
		for _, from := range n.into[id(KindLink, l.Metadata.Name)] {
			known = known || n.nodes[from].Seen || len(n.into[from]) > 0
		}
		if !known {
			all = append(all, Finding{
				Kind: Unsent, Severity: Info, Resource: resource.KindLink + "/" + l.Metadata.Name, key: Unsent + "\x00" + l.Metadata.Name,
				Text: fmt.Sprintf("link %s listens to %s: no function emits that and no event of it was seen so far", l.Metadata.Name, strings.Join(l.Spec.Types, " ")),
			})
		}
	}
	return all
}

// neighbours are the edges by their ends; neighbours of a node are sorted.
type neighbours struct {
	nodes       map[string]*Node
	outOf, into map[string][]string
}

func newNeighbours(g *Graph) *neighbours {
	n := &neighbours{nodes: map[string]*Node{}, outOf: map[string][]string{}, into: map[string][]string{}}
	for i := range g.Nodes {
		n.nodes[g.Nodes[i].ID] = &g.Nodes[i]
	}
	for _, e := range g.Edges {
		if e.Kind == Denies { // leads no event anywhere
			continue
		}
		n.outOf[e.From] = append(n.outOf[e.From], e.To)
		n.into[e.To] = append(n.into[e.To], e.From)
	}
	for _, from := range n.into {
		slices.Sort(from)
	}
	return n
}
