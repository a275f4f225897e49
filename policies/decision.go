package policies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// decision is what the trigger policies said. It is immutable.
type decision struct {
	// matched names the links that get the event; nil is all candidates.
	matched map[string]bool
	// denied is by the name of the link; "" denies every one.
	denied map[string]denial
	added  []addition
}

// denial says who denies and why.
type denial struct{ policy, reason string }

// addition is a function that a policy adds; why is set where there is no such function.
type addition struct {
	policy, function, reason string
	link                     *resource.Link
	to                       destination
	why                      string
}

// verdict says what becomes of the link name.
func (d *decision) verdict(name string) (denial, bool) {
	if v, ok := d.denied[name]; ok {
		return v, true
	}
	v, ok := d.denied[""]
	return v, ok
}

// decide evaluates the trigger policies for the candidates.
func (s *Snapshot) decide(ctx context.Context, ev *event.Event, candidates []candidate, now time.Time, budget time.Duration) (*decision, error) {
	p := s.rules.trigger
	links := func() *ast.Term {
		terms := make([]*ast.Term, len(candidates))
		for i, c := range candidates {
			terms[i] = s.links[c.link].termOf(c)
		}
		return ast.ArrayTerm(terms...)
	}
	results, err := p.eval(ctx, p.reads.triggerInput(ev, links, now), now, budget)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	return s.interpret(p.answers, results)
}

// interpret turns results into a decision. An element of a wrong shape is an
// error: a denial that nobody understands must not let the event through.
func (s *Snapshot) interpret(answers []answer, results []ast.Value) (*decision, error) {
	d := &decision{denied: map[string]denial{}}
	for i, a := range answers {
		set, ok := results[i].(ast.Set)
		if !ok {
			return nil, fmt.Errorf("%w: rule %s%s is undefined", ErrPolicy, a.rule, of(a.policy))
		}
		if a.rule == "match" {
			d.matched = make(map[string]bool, set.Len())
		}
		for _, t := range set.Slice() {
			if err := s.take(d, a, t.Value); err != nil {
				return nil, fmt.Errorf("%w: rule %s%s: %v: %w", ErrPolicy, a.rule, of(a.policy), t, err)
			}
		}
	}
	return d, nil
}

func of(policy string) string {
	if policy == "" {
		return ""
	}
	return " of policy " + policy
}

// take adds one element of a rule's set to the decision.
func (s *Snapshot) take(d *decision, a answer, v ast.Value) error {
	switch a.rule {
	case "match":
		name, err := field(v, "name", "link")
		d.matched[name] = true
		return err
	case "target":
		return s.takeTarget(d, a, v)
	}
	link, reason, err := denialOf(v)
	if _, told := d.denied[link]; err == nil && !told {
		d.denied[link] = denial{a.policy, reason}
	}
	return err
}

var errShape = errors.New("want a name or an object")

// field reads a string, or the first of the fields an object has.
func field(v ast.Value, names ...string) (string, error) {
	switch v := v.(type) {
	case ast.String:
		return string(v), nil
	case ast.Object:
		for _, n := range names {
			if t := v.Get(ast.StringTerm(n)); t != nil {
				return text(t)
			}
		}
		return "", fmt.Errorf("want field %s", names[len(names)-1])
	}
	return "", errShape
}

func text(t *ast.Term) (string, error) {
	s, ok := t.Value.(ast.String)
	if !ok || s == "" {
		return "", fmt.Errorf("%v: want a string that is not empty", t)
	}
	return string(s), nil
}

// denialOf reads {"link", "reason"}; a string, or no link, denies all.
func denialOf(v ast.Value) (link, reason string, err error) {
	reason = "denied"
	switch v := v.(type) {
	case ast.String:
		return "", string(v), nil
	case ast.Object:
		if t := v.Get(ast.StringTerm("reason")); t != nil {
			if reason, err = text(t); err != nil {
				return "", "", err
			}
		} else if v.Get(ast.StringTerm("link")) == nil {
			return "", "", errors.New("want fields link and reason")
		}
		if t := v.Get(ast.StringTerm("link")); t != nil {
			link, err = text(t)
		}
		return link, reason, err
	}
	return "", "", errShape
}

func (s *Snapshot) takeTarget(d *decision, a answer, v ast.Value) error {
	fn, err := field(v, "function")
	if err != nil {
		return err
	}
	if slices.ContainsFunc(d.added, func(x addition) bool { return x.policy == a.policy && x.function == fn }) {
		return nil
	}
	add := addition{policy: a.policy, function: fn}
	if o, ok := v.(ast.Object); ok {
		if t := o.Get(ast.StringTerm("reason")); t != nil {
			if add.reason, err = text(t); err != nil {
				return err
			}
		}
	}
	add.link, add.to, add.why = s.addedTarget(a.policy, fn)
	d.added = append(d.added, add)
	return nil
}
