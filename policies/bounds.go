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
	// compiler's time doubles with each. maxDepth is how many terms may.
	maxNesting = 8
	maxDepth   = 1000
	// maxEffort is what compiling a module may cost, as effort counts it: some seconds.
	maxEffort = 20_000_000
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

// checkNesting refuses what stands too deep in one another.
func checkNesting(m *ast.Module) resource.Faults {
	var n nesting
	n.walk(m, 0, 0)
	return n.faults
}

type nesting struct{ faults resource.Faults }

// walk visits x, which stands in so many comprehensions and terms.
func (n *nesting) walk(x any, comprehensions, depth int) {
	ast.NewGenericVisitor(func(x any) bool {
		if len(n.faults) > 0 {
			return true
		}
		switch x := x.(type) {
		case *ast.Term:
			n.term(x, comprehensions, depth+1)
			return true
		case *ast.Every:
			if n.check(x.Location, comprehensions+1, depth) {
				n.walk(x.Domain, comprehensions, depth)
				n.walk(x.Body, comprehensions+1, depth)
			}
			return true
		}
		return false
	}).Walk(x)
}

func (n *nesting) term(t *ast.Term, comprehensions, depth int) {
	switch t.Value.(type) {
	case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
		comprehensions++
	}
	if n.check(t.Location, comprehensions, depth) {
		n.walk(t.Value, comprehensions, depth)
	}
}

func (n *nesting) check(at *ast.Location, comprehensions, depth int) bool {
	switch {
	case comprehensions > maxNesting:
		n.faults = resource.Faults{regoFault(at, fmt.Sprintf("comprehensions in one another: want at most %d", maxNesting))}
	case depth > maxDepth:
		n.faults = resource.Faults{regoFault(at, fmt.Sprintf("expressions in one another: want at most %d", maxDepth))}
	}
	return len(n.faults) == 0
}

// checkEffort refuses modules that would take the compiler minutes.
func checkEffort(m *ast.Module) resource.Faults {
	total := len(m.Rules) * len(m.Rules) / 2
	worst, at := 0, m.Package.Location
	for _, r := range m.Rules {
		e := effort(r)
		if total += e; e > worst {
			worst, at = e, r.Location
		}
	}
	if total <= maxEffort {
		return nil
	}
	return resource.Faults{regoFault(at, "too much to compile: want fewer rules, or fewer expressions and else in this one")}
}

// effort is what compiling a rule costs: to order the expressions of a body by
// what they need may cost their third power, and else their square.
func effort(r *ast.Rule) (n int) {
	branches := 0
	for x := r; x != nil; x = x.Else {
		branches++
	}
	ast.WalkBodies(r, func(b ast.Body) bool {
		k := min(len(b), 1000)
		n = min(n+k*k*k, maxEffort+1)
		return false
	})
	branches = min(branches, 10_000)
	return min(n+10*branches*branches, maxEffort+1)
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
