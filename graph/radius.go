package graph

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/resource"
)

// What becomes of a resource.
const (
	Added     = "added"
	Changed   = "changed"
	Unchanged = "unchanged"
)

// Change is one resource of a change.
type Change struct {
	// Resource is Kind/name.
	Resource string `json:"resource"`
	Action   string `json:"action"`
}

// Radius is what a change can reach: its own functions and links, before and
// after, and all that events can come to from there.
type Radius struct {
	Changes []Change `json:"changes"`
	// Functions and Types are sorted by their distance, then by name.
	Functions []Reached `json:"functions"`
	Types     []Reached `json:"types"`
	// Notes are what reaches further than the graph shows, such as a policy.
	Notes []string `json:"notes"`
}

// Reached is a function or a type that a change reaches.
type Reached struct {
	Name string `json:"name"`
	// Distance is how many functions an event goes through on the way: 0 is the
	// change's own.
	Distance int `json:"distance"`
	// Rate is the events a second, over the last hour, of the type, or of all types
	// that lead to the function, which its links' filters may lessen; nil is unknown.
	Rate *float64 `json:"rate,omitempty"`
}

// Affected computes the radius of a change between two graphs. schemas are the
// types that each Schema is for, by its name.
func Affected(before, after *Graph, changes []Change, schemas map[string][]string) Radius {
	r := Radius{Changes: changes, Functions: []Reached{}, Types: []Reached{}, Notes: []string{}}
	both := union(newNeighbours(before), newNeighbours(after))
	distance := map[string]int{}
	var todo []string
	for _, c := range changes {
		if c.Action == Unchanged {
			continue
		}
		r.note(c, schemas)
		if at := nodeOf(c.Resource); both.nodes[at] != nil {
			distance[at] = 0
			todo = append(todo, at)
		}
	}
	both.spread(todo, distance)
	for at, d := range distance {
		n := both.nodes[at]
		switch {
		case n.Kind == KindFunction && !n.Missing:
			r.Functions = append(r.Functions, Reached{n.Name, d, both.rateInto(at)})
		case n.Kind == KindType:
			r.Types = append(r.Types, Reached{n.Name, d, rateOf(n)})
		}
	}
	order := func(a, b Reached) int {
		return cmp.Or(cmp.Compare(a.Distance, b.Distance), cmp.Compare(a.Name, b.Name))
	}
	slices.SortFunc(r.Functions, order)
	slices.SortFunc(r.Types, order)
	return r
}

// nodeOf is the node of a resource, by Kind/name; a kept version is its function.
func nodeOf(res string) string {
	kind, name, _ := strings.Cut(res, "/")
	if function, _, ok := resource.CutVersion(name); ok && kind == resource.KindFunction {
		name = function
	}
	return id(strings.ToLower(kind), name)
}

// note says what a policy or a schema reaches, which no edge shows.
func (r *Radius) note(c Change, schemas map[string][]string) {
	kind, name, _ := strings.Cut(c.Resource, "/")
	switch kind {
	case resource.KindPolicy:
		r.Notes = append(r.Notes, "policy "+name+" may decide about every event or request: the links and functions it concerns are in its rules")
	case resource.KindSchema:
		if types := schemas[name]; len(types) > 0 {
			r.Notes = append(r.Notes, "schema "+name+" checks the events of "+strings.Join(types, " "))
		} else {
			r.Notes = append(r.Notes, "schema "+name+" checks events that name it in dataschema, and the schemas that refer to it")
		}
	}
}

// union has the nodes and edges of both.
func union(a, b *neighbours) *neighbours {
	u := &neighbours{nodes: map[string]*Node{}, outOf: map[string][]string{}, into: map[string][]string{}}
	for _, n := range []*neighbours{a, b} {
		for at, x := range n.nodes {
			u.nodes[at] = x
		}
		for at, to := range n.outOf {
			u.outOf[at] = append(u.outOf[at], to...)
		}
		for at, from := range n.into {
			u.into[at] = append(u.into[at], from...)
		}
	}
	return u
}

// spread fills in how far everything is that can be reached: leaving a
// function costs one.
func (n *neighbours) spread(todo []string, distance map[string]int) {
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		cost := 0
		if n.nodes[at].Kind == KindFunction {
			cost = 1
		}
		for _, to := range n.outOf[at] {
			d := distance[at] + cost
			if have, ok := distance[to]; !ok || d < have {
				distance[to] = d
				todo = append(todo, to)
			}
		}
	}
}

func rateOf(n *Node) *float64 {
	if !n.Seen {
		return nil
	}
	return &n.Rate
}

// rateInto adds up the types that lead to a function.
func (n *neighbours) rateInto(function string) *float64 {
	types := map[string]bool{}
	for _, link := range n.into[function] {
		for _, t := range n.into[link] {
			types[t] = true
		}
	}
	var sum *float64
	for _, t := range slices.Sorted(maps.Keys(types)) {
		if r := rateOf(n.nodes[t]); r != nil {
			if sum == nil {
				sum = new(float64)
			}
			*sum += *r
		}
	}
	return sum
}
