package policies

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/signalbox-dev/signalbox/resource"
)

// What a policy may be. Neither compiling nor evaluating can be broken off
// everywhere, so what would take OPA forever must not begin.
const (
	// maxSource is the length of a module in bytes.
	maxSource = 1 << 20
	// maxNesting is how many comprehensions and every may stand in one another: the
	// compiler's time doubles with each.
	maxNesting = 8
	// maxGrowth is how often one value may stand within another that a rule builds
	// out of its variables: x1 := [x0, x0], x2 := [x1, x1] and so on.
	maxGrowth = 100_000
	// maxMessage is how much of an error is told, in bytes.
	maxMessage = 1000
)

// clip shortens what OPA says to what can be read.
func clip(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	return s[:maxMessage] + "…"
}

// checkNesting refuses comprehensions within comprehensions beyond maxNesting.
func checkNesting(m *ast.Module) (faults resource.Faults) {
	var visit func(x any, depth int) bool
	visit = func(x any, depth int) bool {
		var inner []any
		var at *ast.Location
		switch x := x.(type) {
		case *ast.Term:
			switch c := x.Value.(type) {
			case *ast.ArrayComprehension:
				inner, at = []any{c.Term, c.Body}, x.Location
			case *ast.SetComprehension:
				inner, at = []any{c.Term, c.Body}, x.Location
			case *ast.ObjectComprehension:
				inner, at = []any{c.Key, c.Value, c.Body}, x.Location
			}
		case *ast.Every:
			inner, at = []any{x.Domain, x.Body}, x.Location
		}
		if inner == nil || len(faults) > 0 {
			return len(faults) > 0
		}
		if depth == maxNesting {
			faults = resource.Faults{regoFault(at, fmt.Sprintf("comprehensions in one another: want at most %d", maxNesting))}
			return true
		}
		for _, y := range inner {
			ast.NewGenericVisitor(func(x any) bool { return visit(x, depth+1) }).Walk(y)
		}
		return true
	}
	ast.NewGenericVisitor(func(x any) bool { return visit(x, 0) }).Walk(m)
	return faults
}

// checkGrowth refuses rules whose variables double a value again and again. It
// looks at compiled rules, whose variables have one name each.
func checkGrowth(modules map[string]*ast.Module) (faults resource.Faults) {
	for _, m := range modules {
		for _, r := range m.Rules {
			for ; r != nil; r = r.Else {
				if at := grows(r); at != nil {
					faults = append(faults, regoFault(at, fmt.Sprintf("a value grows to more than %d copies of another", maxGrowth)))
				}
			}
		}
	}
	return faults
}

// grows finds the expression by which a value of the rule becomes too big.
func grows(r *ast.Rule) *ast.Location {
	weights := map[ast.Var]int{}
	var found *ast.Location
	ast.WalkExprs(r, func(e *ast.Expr) bool {
		if found != nil || !e.IsEquality() {
			return found != nil
		}
		for i := range 2 {
			v, isVar := e.Operand(i).Value.(ast.Var)
			if !isVar {
				continue
			}
			w := weigh(e.Operand(1-i), weights)
			if w > maxGrowth {
				found = e.Location
			}
			weights[v] = max(weights[v], w)
		}
		return false
	})
	return found
}

// weigh counts the variables in a term, each for as much as it holds.
func weigh(t *ast.Term, weights map[ast.Var]int) (n int) {
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Var:
			n = min(n+max(weights[x], 1), maxGrowth+1)
		case ast.Ref, *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
			n = min(n+1, maxGrowth+1)
			return true
		}
		return false
	}).Walk(t)
	return n
}
