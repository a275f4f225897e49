package policies

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// Explanation says for every link why it gets the event or does not.
type Explanation struct {
	// Links holds every link by name, then what policies added.
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
	// Matched is true when types, filters and policies all hold.
	Matched bool `json:"matched"`
	// Chosen is true when the event is delivered: Matched, and not paused.
	Chosen bool   `json:"chosen"`
	Why    string `json:"why"`
}

// Explain decides again, without the memo, and tells why. It looks at every link
// in turn, not through the index. key and now are those of Choose. An error is that of ctx.
func (s *Snapshot) Explain(ctx context.Context, ev *event.Event, key string, now time.Time) (Explanation, error) {
	x := Explanation{Revision: s.revision, Links: make([]LinkExplanation, len(s.links))}
	var candidates []candidate
	for i := range s.links {
		x.Links[i] = s.links[i].explain(ev)
		if x.Links[i].Matched {
			candidates = append(candidates, s.links[i].candidate(int32(i), ev, key))
		}
	}
	if !s.asks(candidates) {
		return x, ctx.Err()
	}
	d, err := s.decide(ctx, ev, candidates, now)
	switch {
	case err == nil:
		s.explainDecision(&x, d, candidates)
	case errors.Is(err, ErrPolicy):
		x.Error = err.Error()
		for _, c := range candidates {
			x.Links[c.link].refuse(x.Error)
		}
	default:
		return Explanation{}, err
	}
	return x, nil
}

func (l *LinkExplanation) refuse(why string) { l.Matched, l.Chosen, l.Why = false, false, why }

// explain says what the link itself says of ev.
func (c *compiledLink) explain(ev *event.Event) LinkExplanation {
	x := LinkExplanation{Name: c.link.Metadata.Name, Function: c.link.Spec.Function}
	pattern := matchingType(c.link.Spec.Types, ev.Type)
	switch why := c.filter.Why(ev); {
	case pattern == "":
		x.Why = fmt.Sprintf("type %q is not one of %s", ev.Type, strings.Join(c.link.Spec.Types, ", "))
	case why != "":
		x.Why = why
	case c.off != "":
		x.Why = c.off
	case c.link.Spec.Paused:
		x.Matched, x.Why = true, "paused"
	default:
		x.Matched, x.Chosen, x.Why = true, true, c.because(pattern)
	}
	return x
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

// explainDecision adds what the trigger policies said.
func (s *Snapshot) explainDecision(x *Explanation, d *decision, candidates []candidate) {
	x.LeftOut = d.leftOut
	for _, c := range candidates {
		l := &x.Links[c.link]
		in, ok := d.places(l.Name)
		if !ok {
			l.refuse("not in match of the trigger policies")
			continue
		}
		if in.policy != "" {
			l.Why += ", matched by " + named(in.policy, in.priority)
		}
		l.object(d, in.priority)
	}
	for _, a := range d.added {
		x.Links = append(x.Links, a.explain(d))
	}
}

// object adds the denial of the link, whether it takes it out or not.
func (l *LinkExplanation) object(d *decision, priority int) {
	v, objects := d.objection(l.Name)
	switch {
	case !objects:
	case v.priority < priority:
		l.Why += ", over the denial of " + named(v.policy, v.priority) + ": " + v.reason
	default:
		l.refuse(v.String())
	}
}

func (v denial) String() string { return "denied by " + named(v.policy, v.priority) + ": " + v.reason }

// named is a policy with its priority, unless that is the usual one.
func named(policy string, priority int) string {
	if priority == 0 {
		return "policy " + policy
	}
	return fmt.Sprintf("policy %s (priority %d)", policy, priority)
}

func (a *addition) explain(d *decision) LinkExplanation {
	x := LinkExplanation{Name: a.name(), Function: a.function, Matched: true, Chosen: true}
	x.Why = "added by " + named(a.policy, a.priority)
	if a.reason != "" {
		x.Why += ": " + a.reason
	}
	if a.why != "" {
		x.refuse(a.why)
		return x
	}
	x.object(d, a.priority)
	return x
}
