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
	// Route is the route the event came in by, such as /events; Method the HTTP
	// method, "" where there was none.
	Route  string
	Method string
}

// Verdict is the answer of admission and management policies.
type Verdict struct {
	Allowed bool
	// Reason says why not.
	Reason string
	// Policy is the one that denied or failed; "" when none said so by name.
	Policy string
	// Ruled: a policy says who is allowed, by a rule named allow. Without any, the
	// shipped one allows everything.
	Ruled bool
	// Revision is that of the resources by which was decided.
	Revision uint64
	// Err is set when the policies could not decide; then nothing is allowed. It
	// wraps ErrPolicy, or is that of the context.
	Err error
}

// Admit asks the admission policies; without any, everything is allowed. When
// a policy fails that does not fail open, nothing is allowed: the sender still
// has the event.
func (e *Engine) Admit(ctx context.Context, a Admission) Verdict {
	return e.current.Load().Admit(ctx, a)
}

// Admit is as that of Engine, by this set.
func (s *Snapshot) Admit(ctx context.Context, a Admission) Verdict {
	c := &s.rules.admission
	if c.enforced == nil && c.shadow == nil {
		return Verdict{Allowed: true, Revision: s.revision}
	}
	now := s.cfg.Clock()
	input := func(p *program) (ast.Value, error) { return p.reads.admissionInput(a, now) }
	v := s.gate(ctx, c, input, now, "source", a.Event.Source, "id", a.Event.ID)
	s.shadowGate(ctx, c, input, now, a.Event, v, ShadowDifference{Stage: StageAdmission, Admission: &a})
	return v
}

// gate asks policies that allow or deny.
func (s *Snapshot) gate(ctx context.Context, c *court, input func(*program) (ast.Value, error), now time.Time, about ...any) Verdict {
	if c.enforced == nil {
		return Verdict{Allowed: true, Revision: s.revision}
	}
	q := question[Verdict]{input: input, read: readVerdict, now: now, budget: s.cfg.Budget, watch: s.watch(c.enforced, about...)}
	v, _, err := begin(ctx, c.enforced, q, &s.cfg)
	return s.sealed(v, err, c.enforced.stage.name)
}

// sealed is a verdict with its revision, or that nothing is allowed for err.
func (s *Snapshot) sealed(v Verdict, err error, stage string) Verdict {
	if err != nil {
		v = Verdict{Reason: "the " + stage + " policy failed", Err: err}
		if failed, ok := err.(*PolicyError); ok {
			v.Policy = failed.Policy
		}
	}
	v.Revision = s.revision
	return v
}

// readVerdict lets a denial win over allow, whose undefined value is false.
// Of several denials the one with the highest priority tells.
func readVerdict(p *program, results []ast.Value) (Verdict, []*PolicyError) {
	v := Verdict{Allowed: true}
	ruled := false
	var failures []*PolicyError
	var by *source
	for i, r := range results {
		a := p.answers[i]
		if a.rule == "allow" {
			if b, ok := r.(ast.Boolean); !ok || !bool(b) {
				v = Verdict{Reason: "no " + p.stage + " policy allows it"}
			}
			ruled = true
			continue
		}
		reason, denied, err := denialIn(r)
		switch {
		case err != nil:
			failures = append(failures, p.blame(a, err))
		case denied && (by == nil || a.source.priority > by.priority):
			by = a.source
			v = Verdict{Reason: reason, Policy: by.name}
		}
	}
	v.Ruled = ruled
	return v, failures
}

// denialIn is the first reason in a set of denials.
func denialIn(v ast.Value) (reason string, denied bool, err error) {
	set, ok := v.(ast.Set)
	if !ok {
		return "", false, fmt.Errorf("rule deny is undefined")
	}
	for i, t := range set.Slice() {
		r, err := field(t.Value, "reason")
		if err != nil {
			return "", false, fmt.Errorf("rule deny: %s: %w", show(t.Value), err)
		}
		if i == 0 {
			reason = r
		}
	}
	return reason, set.Len() > 0, nil
}

// admissionInput has the attributes, the payload and the identity only where
// they are read.
func (r *reads) admissionInput(a Admission, now time.Time) (ast.Value, error) {
	ev := r.eventInput(a.Event)
	ev.Insert(ast.InternedTerm("size"), ast.IntNumberTerm(len(a.Event.Data)))
	o := ast.NewObject(ast.Item(ast.InternedTerm("event"), ast.NewTerm(ev)))
	return o, r.insertRequest(o, a.Identity, a.Route, a.Method, now)
}

// insertRequest adds what is known of a request.
func (r *reads) insertRequest(o ast.Object, identity map[string]any, route, method string, now time.Time) error {
	if r.field("identity") {
		who := ast.Value(ast.NewObject())
		if identity != nil {
			var err error
			if who, err = ast.InterfaceToValue(identity); err != nil {
				return fmt.Errorf("identity: %w", err)
			}
		}
		o.Insert(ast.InternedTerm("identity"), ast.NewTerm(who))
	}
	o.Insert(ast.InternedTerm("route"), ast.StringTerm(route))
	o.Insert(ast.InternedTerm("method"), ast.StringTerm(method))
	o.Insert(ast.InternedTerm("time"), timeTerm(now))
	return nil
}
