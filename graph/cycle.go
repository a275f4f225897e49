package graph

import (
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/resource"
)

// maxStarts bounds the functions of one component from which its shortest
// cycle is looked for.
const maxStarts = 100

// cycles tells of each strongly connected component of the graph once, with
// the shortest cycle in it.
func cycles(g *Graph, n *neighbours) []Finding {
	var all []Finding
	for _, c := range components(g, n) {
		inside := map[string]bool{}
		var functions []string
		for _, at := range c {
			inside[at] = true
			if n.nodes[at].Kind == KindFunction {
				functions = append(functions, at)
			}
		}
		slices.Sort(functions)
		path := shortest(n, inside, functions)
		f := warning(Cycle, resource.KindFunction, n.nodes[functions[0]].Name, strings.Join(functions, "\x00"), "events go round in a cycle: %s%s", route(n, path), filtered(n, path))
		f.Path = path
		all = append(all, f)
	}
	return all
}

// route writes a path for people.
func route(n *neighbours, path []string) string {
	words := make([]string, len(path))
	for i, at := range path {
		words[i] = n.nodes[at].Name
		if kind := n.nodes[at].Kind; kind != KindType {
			words[i] = kind + " " + words[i]
		}
	}
	return strings.Join(words, " -> ")
}

// filtered names the links of a path that may let nothing through.
func filtered(n *neighbours, path []string) string {
	var links []string
	for _, at := range path {
		if n.nodes[at].Filtered {
			links = append(links, n.nodes[at].Name)
		}
	}
	if len(links) == 0 {
		return ""
	}
	return " (unless the filters of " + strings.Join(links, ", ") + " end it)"
}

// shortest finds the shortest cycle through any of the functions.
func shortest(n *neighbours, inside map[string]bool, functions []string) []string {
	var best []string
	for _, start := range functions[:min(maxStarts, len(functions))] {
		if path := around(n, inside, start, len(best)); path != nil {
			best = path
		}
	}
	return turn(n, best)
}

// turn makes a cycle begin and end with the first of its types.
func turn(n *neighbours, cycle []string) []string {
	open := cycle[1:]
	first := -1
	for i, at := range open {
		if n.nodes[at].Kind == KindType && (first < 0 || at < open[first]) {
			first = i
		}
	}
	if first < 0 {
		return cycle
	}
	turned := append(slices.Clone(open[first:]), open[:first]...)
	return append(turned, open[first])
}

// around is the shortest way from start back to it, if it is shorter than
// limit (0: any).
func around(n *neighbours, inside map[string]bool, start string, limit int) []string {
	before := map[string]string{}
	depth := map[string]int{start: 1}
	for queue := []string{start}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if limit > 0 && depth[at]+1 >= limit {
			return nil
		}
		for _, next := range n.outOf[at] {
			if next == start {
				path := []string{start}
				for ; at != start; at = before[at] {
					path = append(path, at)
				}
				path = append(path, start)
				slices.Reverse(path)
				return path
			}
			if inside[next] && depth[next] == 0 {
				before[next], depth[next] = at, depth[at]+1
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// components are the strongly connected components of more than one node, in
// the order of their first one (Tarjan's algorithm, without recursion).
func components(g *Graph, n *neighbours) [][]string {
	t := tarjan{n: n, index: map[string]int{}, low: map[string]int{}, onStack: map[string]bool{}}
	for i := range g.Nodes {
		if at := g.Nodes[i].ID; t.index[at] == 0 {
			t.visit(at)
		}
	}
	slices.SortFunc(t.found, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return t.found
}

type tarjan struct {
	n       *neighbours
	index   map[string]int
	low     map[string]int
	stack   []string
	onStack map[string]bool
	found   [][]string
}

// frame is a node under way, with the next of its neighbours.
type frame struct {
	at   string
	next int
}

func (t *tarjan) enter(at string) frame {
	t.index[at] = len(t.index) + 1
	t.low[at] = t.index[at]
	t.stack = append(t.stack, at)
	t.onStack[at] = true
	return frame{at: at}
}

func (t *tarjan) visit(root string) {
	for work := []frame{t.enter(root)}; len(work) > 0; {
		f := &work[len(work)-1]
		if out := t.n.outOf[f.at]; f.next < len(out) {
			to := out[f.next]
			f.next++
			switch {
			case t.index[to] == 0:
				work = append(work, t.enter(to))
			case t.onStack[to]:
				t.low[f.at] = min(t.low[f.at], t.index[to])
			}
			continue
		}
		done := f.at
		work = work[:len(work)-1]
		if len(work) > 0 {
			parent := work[len(work)-1].at
			t.low[parent] = min(t.low[parent], t.low[done])
		}
		if t.low[done] == t.index[done] {
			t.pop(done)
		}
	}
}

// pop takes the component of its first node from the stack.
func (t *tarjan) pop(first string) {
	i := len(t.stack) - 1
	for t.stack[i] != first {
		i--
	}
	c := slices.Clone(t.stack[i:])
	t.stack = t.stack[:i]
	for _, at := range c {
		t.onStack[at] = false
	}
	if len(c) > 1 {
		slices.Sort(c)
		t.found = append(t.found, c)
	}
}
