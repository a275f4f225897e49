package policies

import (
	"context"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/signalbox-dev/signalbox/event"
)

// Admission is what admission policies are asked about.
type Admission struct {
	Event *event.Event
	// Identity is who sends the event, in the types of encoding/json; nil is {}.
	Identity map[string]any
	// Route is the route the event came in by, such as /events.
	Route string
}

// Verdict is the answer of the admission policies.
type Verdict struct {
	Allowed bool
	// Reason says why not.
	Reason string
	// Policy is the one that denied; "" when none said so by name.
	Policy string
	// Err is set when the policies could not decide; then nothing is allowed.
	Err error
}

// Admit asks the admission policies; without any, everything is allowed. A
// policy that fails allows nothing: the sender still has the event.
func (e *Engine) Admit(ctx context.Context, a Admission) Verdict {
	p := e.current.Load().rules.admission
	if p == nil {
		return Verdict{Allowed: true}
	}
	v, err := p.admit(ctx, a, e.cfg.Clock(), e.cfg.Budget)
	if err != nil {
		e.shared.failures.Add(1)
		e.cfg.Logger.Warn("admission policy failed", "source", a.Event.Source, "id", a.Event.ID, "error", err)
		return Verdict{Reason: "the admission policy failed", Err: fmt.Errorf("admission policy failed: %w", err)}
	}
	return v
}

func (p *program) admit(ctx context.Context, a Admission, now time.Time, budget time.Duration) (Verdict, error) {
	input, err := p.reads.admissionInput(a, now)
	if err != nil {
		return Verdict{}, err
	}
	results, err := p.eval(ctx, input, now, budget)
	if err != nil {
		return Verdict{}, err
	}
	return verdictOf(p.answers, results)
}

// verdictOf lets a denial win over allow, whose undefined value is false.
func verdictOf(answers []answer, results []ast.Value) (Verdict, error) {
	v := Verdict{Allowed: true}
	for i, a := range answers {
		if a.rule == "allow" {
			if b, ok := results[i].(ast.Boolean); !ok || !bool(b) {
				v = Verdict{Reason: "no admission policy allows it"}
			}
			continue
		}
		set, ok := results[i].(ast.Set)
		if !ok {
			return Verdict{}, fmt.Errorf("rule deny of policy %s is undefined", a.policy)
		}
		for _, t := range set.Slice() {
			reason, err := field(t.Value, "reason")
			if err != nil {
				return Verdict{}, fmt.Errorf("rule deny of policy %s: %v: %w", a.policy, t, err)
			}
			return Verdict{Reason: reason, Policy: a.policy}, nil
		}
	}
	return v, nil
}

// admissionInput has the attributes and the payload only where they are read.
func (r *reads) admissionInput(a Admission, now time.Time) (ast.Value, error) {
	ev := r.eventInput(a.Event)
	ev.Insert(ast.InternedTerm("size"), ast.IntNumberTerm(len(a.Event.Data)))
	identity := ast.Value(ast.NewObject())
	if a.Identity != nil {
		var err error
		if identity, err = ast.InterfaceToValue(a.Identity); err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
	}
	return ast.NewObject(
		ast.Item(ast.InternedTerm("event"), ast.NewTerm(ev)),
		ast.Item(ast.InternedTerm("identity"), ast.NewTerm(identity)),
		ast.Item(ast.InternedTerm("route"), ast.StringTerm(a.Route)),
		ast.Item(ast.InternedTerm("time"), timeTerm(now)),
	), nil
}
