package policies

import (
	"cmp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// reads is what the rules of a program may read: every reference to input in
// every rule they reach, cut where it becomes dynamic.
type reads struct {
	// whole is the whole input, event all of input.event.
	whole, event      bool
	data, links, time bool
	// fields are the others of input, such as identity; sorted.
	fields []string
	// attributes of input.event that are read by name, sorted.
	attributes []attributeKey
	// documents are the paths in data that are read and that no rule defines, sorted.
	documents []string
	// obstacles keep decisions from being remembered; the gravest first.
	obstacles []obstacle
}

// attributeKey is the name of an attribute, also as a term.
type attributeKey struct {
	name string
	term *ast.Term
}

// obstacle is an expression that keeps decisions from being remembered.
type obstacle struct {
	grade int
	// what a policy does, such as "reads input.time".
	what string
	at   *ast.Location
}

// Grades of obstacles: the lower the more it hides.
const (
	readsWhole = iota
	readsEvent
	readsData
	readsTime
	callsChance
	readsUnique
)

// analyse walks the compiled rules. It takes any mention of input for a read:
// following variables, as OPA's package dependencies does, would read less out
// of `e := input.event`, but a read that it missed would make remembered
// decisions wrong.
func analyse(c *ast.Compiler, answers []answer, docs *documents) reads {
	a := &analysis{visited: map[*ast.Rule]bool{}, docs: docs}
	for _, x := range answers {
		for _, r := range c.GetRules(x.ref) {
			a.reach(c, r)
		}
	}
	return a.result()
}

type analysis struct {
	reads   reads
	visited map[*ast.Rule]bool
	docs    *documents
}

func (a *analysis) result() reads {
	slices.SortFunc(a.reads.attributes, func(x, y attributeKey) int { return strings.Compare(x.name, y.name) })
	slices.Sort(a.reads.fields)
	slices.Sort(a.reads.documents)
	slices.SortFunc(a.reads.obstacles, func(x, y obstacle) int { return cmp.Or(cmp.Compare(x.grade, y.grade), strings.Compare(x.what, y.what)) })
	return a.reads
}

func (a *analysis) reach(c *ast.Compiler, r *ast.Rule) {
	if r == nil || a.visited[r] {
		return
	}
	a.visited[r] = true
	a.rule(r)
	a.reach(c, r.Else)
	for dep := range c.Graph.Dependencies(r) {
		if d, ok := dep.(*ast.Rule); ok {
			a.reach(c, d)
		}
	}
}

func (a *analysis) rule(r *ast.Rule) { a.walk(r, r.Location) }

// walk notes what x reads; at is where x stands, as near as is known.
func (a *analysis) walk(x any, at *ast.Location) {
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.Expr:
			if x.Location != nil {
				at = x.Location
			}
		case *ast.Term:
			if r, ok := x.Value.(ast.Ref); ok {
				a.ref(r, nearest(x.Location, at))
				return true
			}
		case ast.Ref:
			a.ref(x, at)
			return true
		case ast.Var:
			if x.Equal(ast.InputRootDocument.Value) {
				a.obstruct(readsWhole, "reads the whole input", at)
			}
		}
		return false
	}).Walk(x)
}

func nearest(a, b *ast.Location) *ast.Location {
	if a != nil {
		return a
	}
	return b
}

// ref notes one reference; the parts in brackets may hold others.
func (a *analysis) ref(r ast.Ref, at *ast.Location) {
	for _, t := range r[1:] {
		a.walk(t, nearest(t.Location, at))
	}
	if b, ok := ast.BuiltinMap[r.String()]; ok && (b.IsNondeterministic() || strings.HasPrefix(b.Name, "crypto.x509.parse_and_verify")) {
		a.obstruct(callsChance, "calls "+b.Name, at)
	}
	switch {
	case r[0].Equal(ast.InputRootDocument):
		a.input(r.ConstantPrefix(), at)
	case r[0].Equal(ast.DefaultRootDocument):
		a.document(stringPath(r.ConstantPrefix()[1:]))
	}
}

func (a *analysis) input(r ast.Ref, at *ast.Location) {
	switch name := part(r, 1); name {
	case "event":
		a.attribute(part(r, 2), at)
	case "links":
		a.reads.links = true
	case "time":
		a.obstruct(readsTime, "reads input.time", at)
	case "":
		a.obstruct(readsWhole, "reads the whole input", at)
	default:
		if !slices.Contains(a.reads.fields, name) {
			a.reads.fields = append(a.reads.fields, name)
		}
	}
}

func (a *analysis) attribute(name string, at *ast.Location) {
	switch name {
	case "":
		a.obstruct(readsEvent, "reads the whole input.event", at)
		return
	case "data":
		a.obstruct(readsData, "reads input.event.data", at)
		return
	case "id", "time":
		a.obstruct(readsUnique, "reads input.event."+name+", which differs from event to event", at)
	}
	if !slices.ContainsFunc(a.reads.attributes, func(k attributeKey) bool { return k.name == name }) {
		a.reads.attributes = append(a.reads.attributes, attributeKey{name, ast.StringTerm(name)})
	}
}

// document notes a read of data; what rules define is none.
func (a *analysis) document(path []string) {
	if name := strings.Join(path, "."); a.docs.at(path) != nil && len(path) > 0 && !slices.Contains(a.reads.documents, name) {
		a.reads.documents = append(a.reads.documents, name)
	}
}

func (a *analysis) obstruct(grade int, what string, at *ast.Location) {
	r := &a.reads
	switch grade {
	case readsWhole:
		r.whole = true
	case readsEvent:
		r.event = true
	case readsData:
		r.data = true
	case readsTime:
		r.time = true
	}
	i := slices.IndexFunc(r.obstacles, func(o obstacle) bool { return o.what == what })
	if i < 0 {
		r.obstacles = append(r.obstacles, obstacle{grade, what, at})
	} else if at.Compare(r.obstacles[i].at) < 0 { // rules are walked in no order
		r.obstacles[i].at = at
	}
}

// field reports whether input.name is read.
func (r *reads) field(name string) bool { return r.whole || slices.Contains(r.fields, name) }

// part is the i-th part of a constant reference; "" when it has none.
func part(r ast.Ref, i int) string {
	if i < len(r) {
		if s, ok := r[i].Value.(ast.String); ok {
			return string(s)
		}
	}
	return ""
}

// forgetful says why decisions cannot be remembered; "" when they can: the
// same attributes read, and the same candidates, give the same decision.
func (r *reads) forgetful() string {
	if len(r.obstacles) == 0 {
		return ""
	}
	return "a policy " + r.obstacles[0].what
}

// byPolicy is the gravest obstacle of each policy.
func (r *reads) byPolicy() map[string]string {
	by := make(map[string]string, len(r.obstacles))
	for _, o := range r.obstacles {
		p := placeOf(o.at, o.what)
		if _, told := by[p.Policy]; !told {
			by[p.Policy] = o.what
		}
	}
	return by
}
