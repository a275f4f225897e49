package policies

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// reads is what the rules of a program may read of the input: every reference
// to it in every rule they reach, cut where it becomes dynamic.
type reads struct {
	// whole is the whole input, event all of input.event.
	whole, event      bool
	data, links, time bool
	// attributes of input.event that are read by name, sorted.
	attributes []attributeKey
	// chance is a built-in whose result differs from call to call.
	chance string
}

// attributeKey is the name of an attribute, also as a term.
type attributeKey struct {
	name string
	term *ast.Term
}

// analyse walks the compiled rules. It takes any mention of input for a read:
// following variables, as OPA's package dependencies does, would read less out
// of `e := input.event`, but a read that it missed would make remembered
// decisions wrong.
func analyse(c *ast.Compiler, asked []ast.Ref) reads {
	a := &analysis{visited: map[*ast.Rule]bool{}}
	for _, ref := range asked {
		for _, r := range c.GetRules(ref) {
			a.reach(c, r)
		}
	}
	slices.SortFunc(a.reads.attributes, func(x, y attributeKey) int { return strings.Compare(x.name, y.name) })
	return a.reads
}

type analysis struct {
	reads   reads
	visited map[*ast.Rule]bool
}

func (a *analysis) reach(c *ast.Compiler, r *ast.Rule) {
	if r == nil || a.visited[r] {
		return
	}
	a.visited[r] = true
	a.walk(r)
	a.reach(c, r.Else)
	for dep := range c.Graph.Dependencies(r) {
		if d, ok := dep.(*ast.Rule); ok {
			a.reach(c, d)
		}
	}
}

func (a *analysis) walk(x any) {
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Ref:
			a.ref(x)
			return true
		case ast.Var:
			a.reads.whole = a.reads.whole || x.Equal(ast.InputRootDocument.Value)
		}
		return false
	}).Walk(x)
}

// ref notes one reference; the parts in brackets may hold others.
func (a *analysis) ref(r ast.Ref) {
	for _, t := range r[1:] {
		a.walk(t)
	}
	if b, ok := ast.BuiltinMap[r.String()]; ok && (b.IsNondeterministic() || strings.HasPrefix(b.Name, "crypto.x509.parse_and_verify")) {
		a.reads.chance = b.Name
	}
	if r[0].Equal(ast.InputRootDocument) {
		a.input(r.ConstantPrefix())
	}
}

func (a *analysis) input(r ast.Ref) {
	switch part(r, 1) {
	case "event":
		a.attribute(part(r, 2))
	case "links":
		a.reads.links = true
	case "time":
		a.reads.time = true
	case "":
		a.reads.whole = true
	}
}

func (a *analysis) attribute(name string) {
	switch name {
	case "":
		a.reads.event = true
	case "data":
		a.reads.data = true
	default:
		if !slices.ContainsFunc(a.reads.attributes, func(k attributeKey) bool { return k.name == name }) {
			a.reads.attributes = append(a.reads.attributes, attributeKey{name, ast.StringTerm(name)})
		}
	}
}

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
	switch {
	case r.whole:
		return "a policy reads the whole input"
	case r.event:
		return "a policy reads the whole input.event"
	case r.data:
		return "a policy reads input.event.data"
	case r.time:
		return "a policy reads input.time"
	case r.chance != "":
		return "a policy calls " + r.chance
	}
	for _, k := range r.attributes {
		if k.name == "id" || k.name == "time" {
			return "a policy reads input.event." + k.name + ", which differs from event to event"
		}
	}
	return ""
}
