package graph

import "slices"

// partSteps is how many edges the neighbourhood of a node reaches: for a
// function that is its types and those that emit them, what it emits, and
// who listens to that.
const partSteps = 3

// Part is the graph around one node, up to the next functions either way. It
// is nil when there is no such node.
func (g *Graph) Part(kind, name string) *Graph {
	n := newNeighbours(g)
	start := id(kind, name)
	if n.nodes[start] == nil {
		return nil
	}
	keep := map[string]bool{}
	walk(n.outOf, start, partSteps, keep)
	walk(n.into, start, partSteps, keep)
	for _, e := range g.Edges { // policies that deny a link stand beside it
		if e.Kind == Denies && keep[e.To] {
			keep[e.From] = true
		}
	}
	part := &Graph{Revision: g.Revision, Nodes: []Node{}, Edges: []Edge{}, Findings: []Finding{}}
	for _, x := range g.Nodes {
		if keep[x.ID] {
			part.Nodes = append(part.Nodes, x)
		}
	}
	for _, e := range g.Edges {
		if keep[e.From] && keep[e.To] {
			part.Edges = append(part.Edges, e)
		}
	}
	for _, f := range g.Findings {
		if keep[nodeOf(f.Resource)] || slices.ContainsFunc(f.Path, func(at string) bool { return at == start }) {
			part.Findings = append(part.Findings, f)
		}
	}
	return part
}

// walk marks all that is reached within some steps.
func walk(edges map[string][]string, start string, steps int, reached map[string]bool) {
	seen := map[string]bool{start: true}
	reached[start] = true
	for todo := []string{start}; steps > 0 && len(todo) > 0; steps-- {
		var next []string
		for _, at := range todo {
			for _, to := range edges[at] {
				if !seen[to] {
					seen[to], reached[to] = true, true
					next = append(next, to)
				}
			}
		}
		todo = next
	}
}
