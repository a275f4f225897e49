package policies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// Explanation says for every link why it gets the event or does not.
type Explanation struct {
	// Links holds every link, and what policies added: first those that are
	// chosen, then those that match and are not delivered, then the rest by Near.
	// Alike ones are in the order of their names.
	Links    []LinkExplanation `json:"links"`
	Revision uint64            `json:"revision"`
	// LeftOut are policies that failed, and without which was decided: why.
	LeftOut []string `json:"leftOut,omitempty"`
	// Error is why the trigger policies could not decide; nothing is chosen then.
	Error string `json:"error,omitempty"`
}

// LinkExplanation says what becomes of one link.
type LinkExplanation struct {
	Name     string `json:"name"`
	Function string `json:"function"`
	// Version is that of the function which the event gets, or would get; "" when
	// there is none, or it has no name.
	Version string `json:"version,omitempty"`
	// Matched is true when types, filters and policies all hold.
	Matched bool `json:"matched"`
	// Chosen is true when the event is delivered: Matched, and not paused.
	Chosen bool   `json:"chosen"`
	Why    string `json:"why"`
	// Rule is the rule of a policy that decided, as policy:line of spec.rego; "" is none.
	Rule string `json:"rule,omitempty"`
	// Near is 0 when types and filters hold, else how far they are from it: 1 to 9
	// is the number of filters that do not; from 10 on the type is another, the
	// more so the higher; NearNothing has nothing in common.
	Near int `json:"near"`
}

// NearNothing is Near of a link whose types have nothing in common with that of the event.
const NearNothing = 20

// Explain decides again, without the memo, and tells why. It looks at every link
// in turn, not through the index. key and now are those of Choose. An error is that of ctx.
func (s *Snapshot) Explain(ctx context.Context, ev *event.Event, key string, now time.Time) (Explanation, error) {
	x := Explanation{Revision: s.revision, Links: make([]LinkExplanation, len(s.links))}
	var candidates []candidate
	call := event.CallTarget(ev)
	for i := range s.links {
		x.Links[i] = s.explainLink(&s.links[i], ev, key)
		if call != "" && x.Links[i].Matched {
			x.Links[i].refuse("the event is a call of function " + call + " alone")
		}
		if x.Links[i].Matched {
			candidates = append(candidates, s.links[i].candidate(int32(i), ev, key))
		}
	}
	if direct, function := event.Direct(ev); direct != "" {
		x.Links = append(x.Links, s.explainDirect(direct, function, ev, key))
	}
	if to := event.Callback(ev); to != "" {
		x.Links = append(x.Links, explainCallback(to))
	}
	if s.asks(candidates) || len(x.Links) > len(s.links) && s.rules.trigger.enforced != nil {
		if err := s.explainPolicies(ctx, &x, ev, key, candidates, now); err != nil {
			return Explanation{}, err
		}
	}
	slices.SortStableFunc(x.Links, func(a, b LinkExplanation) int {
		return cmp.Or(cmp.Compare(a.place(), b.place()), cmp.Compare(a.Near, b.Near))
	})
	return x, ctx.Err()
}

// place orders links: those that are chosen, those that only match, the rest.
func (l *LinkExplanation) place() int {
	switch {
	case l.Chosen:
		return 0
	case l.Near == 0:
		return 1
	}
	return 2
}

func (l *LinkExplanation) refuse(why string) { l.Matched, l.Chosen, l.Why = false, false, why }

// explainLink says what the link itself says of ev.
func (s *Snapshot) explainLink(c *compiledLink, ev *event.Event, key string) LinkExplanation {
	pattern := matchingType(c.link.Spec.Types, ev.Type)
	x := LinkExplanation{Name: c.link.Metadata.Name, Function: c.link.Spec.Function, Near: c.near(pattern, ev)}
	if c.off == "" {
		x.Version = c.to.pick(ev, key).Spec.Version
	}
	switch {
	case pattern == "":
		x.Why = fmt.Sprintf("type %q is not one of %s", ev.Type, strings.Join(c.link.Spec.Types, ", "))
	case x.Near > 0:
		x.Why = c.filter.Why(ev)
	case c.off != "":
		x.Why = c.off
	case c.link.Spec.Paused:
		x.Matched, x.Why = true, "paused"
	default:
		x.Matched, x.Chosen, x.Why = true, true, c.because(pattern)+s.byTraffic(c.link.Spec.Function, x.Version, key)
	}
	return x
}

// explainDirect says where an event goes that is for one function.
func (s *Snapshot) explainDirect(name, function string, ev *event.Event, key string) LinkExplanation {
	x := LinkExplanation{Name: name, Function: function, Matched: true, Chosen: true, Why: "an event of type " + ev.Type + " is for the function its subject names"}
	if event.CallTarget(ev) != "" {
		x.Why = "the event is a call of this function"
	}
	to, why := s.destination(function)
	if why != "" {
		x.refuse(why)
		return x
	}
	x.Version = to.pick(ev, key).Spec.Version
	x.Why += s.byTraffic(function, x.Version, key)
	return x
}

// explainCallback says where an answer goes.
func explainCallback(to string) LinkExplanation {
	t, err := resource.CallbackTarget(to)
	if err != nil {
		return LinkExplanation{Name: "callback", Function: resource.CallbackFunction, Why: err.Error()}
	}
	return LinkExplanation{
		Name: t.Link.Metadata.Name, Function: resource.CallbackFunction, Version: t.Function.Spec.Version, Matched: true, Chosen: true,
		Why: "the caller wants the answer there",
	}
}

func matchingType(patterns []string, typ string) string {
	for _, p := range patterns {
		if matchesType(p, typ) {
			return p
		}
	}
	return ""
}

func (c *compiledLink) because(pattern string) string {
	switch n := len(c.link.Spec.Filters); n {
	case 0:
		return "type " + pattern
	case 1:
		return "type " + pattern + " and its filter"
	default:
		return fmt.Sprintf("type %s and its %d filters", pattern, n)
	}
}

// byTraffic says why it is that version, where traffic decides; "" where it does not.
func (s *Snapshot) byTraffic(ref, version, key string) string {
	name, named, _ := strings.Cut(ref, "@")
	if named != "" || s.functions[name] == nil || len(s.functions[name].Spec.Traffic) == 0 {
		return ""
	}
	weight, total := 0, 0
	for _, t := range s.functions[name].Spec.Traffic {
		if total += t.Weight; t.Version == version {
			weight = t.Weight
		}
	}
	by := "key " + key
	if key == "" {
		by = "no key: by source and id"
	}
	return fmt.Sprintf(", version %s by traffic %d of %d (%s)", version, weight, total, by)
}

// explainPolicies adds what the trigger policies say.
func (s *Snapshot) explainPolicies(ctx context.Context, x *Explanation, ev *event.Event, key string, candidates []candidate, now time.Time) error {
	q := s.question(ev, candidates, now)
	q.left = func(e *PolicyError) { x.LeftOut = append(x.LeftOut, e.Error()) }
	d, used, err := ask(ctx, s.rules.trigger.enforced, s.rules.trigger.enforced.full, nil, q)
	switch {
	case errors.Is(err, ErrPolicy):
		x.Error = err.Error()
		for _, c := range candidates {
			x.Links[c.link].refuse(x.Error)
		}
		for i := len(s.links); i < len(x.Links); i++ {
			x.Links[i].refuse(x.Error)
		}
		return nil
	case err != nil:
		return err
	}
	v := verdicts{decision: d, traced: traced{}, noMatch: "not in match of the trigger policies"}
	if used != nil {
		v.traced, v.noMatch = trace(ctx, used, q), "not in match of "+used.where("match")
	}
	for _, c := range candidates {
		v.explain(&x.Links[c.link])
	}
	for i := len(s.links); i < len(x.Links); i++ {
		if x.Links[i].Matched {
			v.object(&x.Links[i], lowest)
		}
	}
	for _, a := range d.added {
		l := v.addition(&a)
		if l.Matched {
			l.Version = a.to.pick(ev, key).Spec.Version
			l.Why += s.byTraffic(a.function, l.Version, key)
		}
		x.Links = append(x.Links, l)
	}
	return nil
}

// verdicts are a decision with the places of the rules that made it.
type verdicts struct {
	*decision
	traced
	noMatch string
}

// explain adds what the decision says of a candidate.
func (v *verdicts) explain(l *LinkExplanation) {
	in, ok := v.places(l.Name)
	if !ok {
		l.refuse(v.noMatch)
		return
	}
	if in.policy != "" {
		l.Rule = v.rule(said{rule: "match", policy: in.policy, name: l.Name})
		l.Why += ", matched by " + named(l.Rule, in.priority)
	}
	v.object(l, in.priority)
}

// object adds the denial of the link, whether it takes it out or not.
func (v *verdicts) object(l *LinkExplanation, priority int) {
	d, objects := v.objection(l.Name)
	if !objects {
		return
	}
	rule := v.rule(said{rule: "deny", policy: d.policy, name: l.Name, reason: d.reason})
	words := named(rule, d.priority) + ": " + d.reason
	if d.priority < priority {
		l.Why += ", over the denial of " + words
		return
	}
	l.refuse("denied by " + words)
	l.Rule = rule
}

// addition is the link of a function that a policy adds.
func (v *verdicts) addition(a *addition) LinkExplanation {
	x := LinkExplanation{Name: a.name(), Function: a.function, Matched: true, Chosen: true}
	x.Rule = v.rule(said{rule: "target", policy: a.policy, name: a.function})
	x.Why = "added by " + named(x.Rule, a.priority)
	if a.reason != "" {
		x.Why += ": " + a.reason
	}
	if a.why != "" {
		x.refuse(a.why)
		return x
	}
	v.object(&x, a.priority)
	return x
}

// named is a rule of a policy with its priority, unless that is the usual one.
func named(rule string, priority int) string {
	if priority == 0 {
		return "policy " + rule
	}
	return fmt.Sprintf("policy %s (priority %d)", rule, priority)
}
