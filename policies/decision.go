package policies

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// decision is what the trigger policies said. It is immutable; the zero value
// is that of no policies: all candidates.
type decision struct {
	// matched says for links who puts them in; nil is all candidates.
	matched map[string]placement
	// denied is by the name of the link; "" denies every one.
	denied map[string]denial
	added  []addition
}

// placement is a policy that puts a link in; the zero policy is none.
type placement struct {
	policy   string
	priority int
}

// lowest is the priority of candidates that no policy has put in.
const lowest = -1 << 31

// denial says who denies and why.
type denial struct {
	policy, reason string
	priority       int
}

// addition is a function that a policy adds; why is set where there is no such function.
type addition struct {
	policy, function, reason string
	priority                 int
	link                     *resource.Link
	to                       destination
	why                      string
}

// places says who puts the candidate name in; false when nobody does.
func (d *decision) places(name string) (placement, bool) {
	if d.matched == nil {
		return placement{priority: lowest}, true
	}
	p, ok := d.matched[name]
	return p, ok
}

// objection is the denial of the link name with the highest priority.
func (d *decision) objection(name string) (denial, bool) {
	v, ok := d.denied[name]
	if all, any := d.denied[""]; any && (!ok || all.priority > v.priority) {
		return all, true
	}
	return v, ok
}

// verdict is the denial that takes the link name out, which a policy of that
// priority put in: one of no lower priority.
func (d *decision) verdict(name string, priority int) (denial, bool) {
	v, ok := d.objection(name)
	return v, ok && v.priority >= priority
}

// gets reports whether the candidate name gets the event.
func (d *decision) gets(name string) bool {
	p, ok := d.places(name)
	if ok {
		_, denied := d.verdict(name, p.priority)
		ok = !denied
	}
	return ok
}

// gets reports whether the function gets the event.
func (a *addition) gets(d *decision) bool {
	_, denied := d.verdict(a.name(), a.priority)
	return a.why == "" && !denied
}

// name is that of the link by which the function gets the event.
func (a *addition) name() string { return "policy:" + a.policy + "/" + a.function }

// question asks trigger policies about an event.
func (s *Snapshot) question(ev *event.Event, candidates []candidate, now time.Time) question[*decision] {
	links := func() *ast.Term {
		terms := make([]*ast.Term, len(candidates))
		for i, c := range candidates {
			terms[i] = s.links[c.link].termOf(c)
		}
		return ast.ArrayTerm(terms...)
	}
	return question[*decision]{
		input:  func(p *program) (ast.Value, error) { return p.reads.triggerInput(ev, links, s.timeOr(now)), nil },
		read:   s.interpret,
		now:    s.timeOr(now),
		budget: s.cfg.Budget,
	}
}

// interpret turns results into a decision. An element of a wrong shape is a
// failure: a denial that nobody understands must not let the event through.
func (s *Snapshot) interpret(p *program, results []ast.Value) (*decision, []*PolicyError) {
	d := &decision{}
	var failures []*PolicyError
	for i, v := range results {
		if err := s.takeAll(d, p.answers[i], v); err != nil {
			failures = append(failures, p.blame(p.answers[i], err))
		}
	}
	return d, failures
}

func (s *Snapshot) takeAll(d *decision, a answer, v ast.Value) error {
	set, ok := v.(ast.Set)
	if !ok {
		return fmt.Errorf("rule %s is undefined", a.rule)
	}
	if a.rule == "match" && d.matched == nil {
		d.matched = make(map[string]placement, set.Len())
	}
	for _, t := range set.Slice() {
		if err := s.take(d, a, t.Value); err != nil {
			return fmt.Errorf("rule %s: %s: %w", a.rule, show(t.Value), err)
		}
	}
	return nil
}

// show is a value for a message. What is built of other values is not written
// out: it may be larger than it looks.
func show(v ast.Value) string {
	switch v := v.(type) {
	case *ast.Array:
		return "an array"
	case ast.Set:
		return "a set"
	case ast.Object:
		return "an object"
	default:
		return clip(v.String())
	}
}

// take adds one element of a rule's set to the decision.
func (s *Snapshot) take(d *decision, a answer, v ast.Value) error {
	from := a.source
	switch a.rule {
	case "match":
		name, err := field(v, "name", "link")
		if have, ok := d.matched[name]; !ok || have.priority < from.priority {
			d.matched[name] = placement{from.name, from.priority}
		}
		return err
	case "target":
		return s.takeTarget(d, from, v)
	}
	link, reason, err := denialOf(v)
	if have, told := d.denied[link]; err == nil && (!told || have.priority < from.priority) {
		if d.denied == nil {
			d.denied = map[string]denial{}
		}
		d.denied[link] = denial{from.name, reason, from.priority}
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
		return "", fmt.Errorf("%s: want a string that is not empty", show(t.Value))
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

func (s *Snapshot) takeTarget(d *decision, from *source, v ast.Value) error {
	fn, err := field(v, "function")
	if err != nil {
		return err
	}
	if slices.ContainsFunc(d.added, func(x addition) bool { return x.policy == from.name && x.function == fn }) {
		return nil
	}
	add := addition{policy: from.name, priority: from.priority, function: fn}
	if o, ok := v.(ast.Object); ok {
		if t := o.Get(ast.StringTerm("reason")); t != nil {
			if add.reason, err = text(t); err != nil {
				return err
			}
		}
	}
	add.link, add.to, add.why = s.addedTarget(from.name, fn)
	d.added = append(d.added, add)
	return nil
}
