package policies

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// said is what a rule of a policy puts into its set: for match and deny name is
// a link, "" every one, for target a function. Only a denial has a reason.
type said struct{ rule, policy, name, reason string }

// traced says at which line of its module a rule said something.
type traced map[said]int

// rule is the policy, with the line where it says so if that is known, such as night-freeze:5.
func (t traced) rule(s said) string {
	line, ok := t[s]
	if s.name = ""; !ok && s.rule == "deny" { // of every link
		line, ok = t[s]
	}
	if !ok {
		return s.policy
	}
	return fmt.Sprintf("%s:%d", s.policy, line)
}

// traceBudget is how many budgets an evaluation may take that is looked at step by step.
const traceBudget = 10

// trace evaluates the program once more and notes which rules say what. What
// goes wrong leaves lines out: the decision itself is made already.
func trace[T any](ctx context.Context, p *program, q question[T]) traced {
	input, err := q.input(p)
	if err != nil {
		return nil
	}
	t := &tracer{rules: map[*ast.Rule]answer{}, lines: traced{}}
	for _, a := range p.answers {
		for _, r := range p.compiler.GetRulesExact(a.ref) {
			t.rules[r] = a
		}
	}
	_, _ = p.eval(ctx, p.all, input, q.now, traceBudget*q.budget, t)
	return t.lines
}

// tracer notes what the rules that are asked for say.
type tracer struct {
	rules map[*ast.Rule]answer
	lines traced
}

// Enabled implements topdown.QueryTracer.
func (t *tracer) Enabled() bool { return true }

// Config implements topdown.QueryTracer.
func (t *tracer) Config() topdown.TraceConfig { return topdown.TraceConfig{PlugLocalVars: true} }

// TraceEvent implements topdown.QueryTracer.
func (t *tracer) TraceEvent(e topdown.Event) {
	r, ok := e.Node.(*ast.Rule)
	if !ok || e.Op != topdown.ExitOp || r.Head.Key == nil || r.Location == nil {
		return
	}
	a, asked := t.rules[r]
	if !asked || a.source == nil {
		return
	}
	s, err := saidBy(a, plug(r.Head.Key, e.Locals))
	if line, told := t.lines[s]; err == nil && (!told || r.Location.Row < line) {
		t.lines[s] = r.Location.Row
	}
}

// plug puts values in the place of variables.
func plug(key *ast.Term, locals *ast.ValueMap) ast.Value {
	v, err := ast.TransformVars(key.Copy(), func(v ast.Var) (ast.Value, error) {
		if value := locals.Get(v); value != nil {
			return value, nil
		}
		return v, nil
	})
	if value, ok := v.(ast.Value); ok && err == nil {
		return value
	}
	return key.Value
}

// saidBy reads an element of a rule's set as decisions do.
func saidBy(a answer, v ast.Value) (s said, err error) {
	s = said{rule: a.rule, policy: a.source.name}
	switch a.rule {
	case "match":
		s.name, err = field(v, "name", "link")
	case "target":
		s.name, err = field(v, "function")
	default:
		s.name, s.reason, err = denialOf(v)
	}
	return s, err
}

// where lists the places at which policies define a rule, such as: policy p:4, q:7.
func (p *program) where(rule string) string {
	var places []string
	for _, a := range p.answers {
		if a.rule != rule || a.source == nil {
			continue
		}
		for _, r := range p.compiler.GetRulesExact(a.ref) {
			if r.Location != nil {
				places = append(places, fmt.Sprintf("%s:%d", a.source.name, r.Location.Row))
			}
		}
	}
	return "policy " + strings.Join(slices.Compact(places), ", ")
}
