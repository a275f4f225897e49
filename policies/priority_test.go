package policies

import (
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

func ranked(p *resource.Policy, priority int) *resource.Policy {
	p.Spec.Priority = priority
	return p
}

func TestPriorities(t *testing.T) {
	links := []*resource.Link{link("one", "a", "t"), link("two", "b", "t")}
	denyAll, denyOne := `deny contains "no"`, `deny contains {"link": "one", "reason": "no"}`
	for name, c := range map[string]struct {
		policies []*resource.Policy
		want     string
		// why is part of the reason for link one.
		why string
	}{
		"deny takes candidates out, whatever its priority": {[]*resource.Policy{ranked(trigger("p", denyOne), -1000)}, "two -one(p: no)", "denied by policy p (priority -1000): no"},
		"deny wins at equal priority":                      {[]*resource.Policy{trigger("p", denyOne), trigger("q", `match contains {"one", "two"}[_]`)}, "two -one(p: no)", "denied by policy p: no"},
		"deny wins at a higher priority":                   {[]*resource.Policy{ranked(trigger("p", denyOne), 2), ranked(trigger("q", `match contains {"one", "two"}[_]`), 1)}, "two -one(p: no)", "denied by policy p (priority 2): no"},
		"a match of a higher priority stays":               {[]*resource.Policy{ranked(trigger("p", denyAll), 1), ranked(trigger("q", `match contains "one"`), 2)}, "one", "type t, matched by policy q (priority 2), over the denial of policy p (priority 1): no"},
		"of two matches the higher counts":                 {[]*resource.Policy{ranked(trigger("p", denyAll), 1), trigger("q", `match contains {"one", "two"}[_]`), ranked(trigger("r", `match contains "one"`), 2)}, "one -two(p: no)", "matched by policy r (priority 2), over"},
		"of two denials the higher counts":                 {[]*resource.Policy{trigger("p", `deny contains "low"`), ranked(trigger("q", `deny contains "high"`), 5)}, "-one(q: high) -two(q: high)", "denied by policy q (priority 5): high"},
		"a denial of all may count more than one of it":    {[]*resource.Policy{ranked(trigger("p", denyOne), 1), ranked(trigger("q", `deny contains "all"`), 3), ranked(trigger("r", `match contains {"one", "two"}[_]`), 2)}, "-one(q: all) -two(q: all)", "denied by policy q (priority 3): all"},
		"a denial of it tells first at equal priority":     {[]*resource.Policy{trigger("p", `deny contains "all"`), trigger("q", denyOne)}, "-one(q: no) -two(p: all)", "denied by policy q: no"},
		"a target of a higher priority stays":              {[]*resource.Policy{trigger("p", denyAll), ranked(trigger("q", `target contains "c"`), 1)}, "policy:q/c -one(p: no) -two(p: no)", "denied by policy p: no"},
		"a target of the same priority does not":           {[]*resource.Policy{trigger("p", denyAll), trigger("q", `target contains "c"`)}, "-one(p: no) -two(p: no) -policy:q/c(p: no)", "denied by policy p: no"},
		"no match, nothing to stay":                        {[]*resource.Policy{trigger("p", `deny contains {"link": "two", "reason": "no"}`), ranked(trigger("q", `match contains "two"`), 1)}, "two", "not in match of policy q"},
		"who matches is said":                              {[]*resource.Policy{trigger("q", `match contains "one"`)}, "one", "type t, matched by policy q"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, set(links, c.policies...))
			if got := chosen(t, e, ev("t")); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			x, err := e.Snapshot().Explain(t.Context(), ev("t"), "", e.cfg.Clock())
			for _, l := range x.Links {
				if l.Name == "one" && !strings.Contains(strings.ReplaceAll(l.Why, ":3", ""), c.why) { // without the line of the rule
					t.Errorf("%+v, want %q", l, c.why)
				}
			}
			if err != nil {
				t.Error(err)
			}
			if got := explained(t, e, ev("t")); got != strings.TrimSpace(strings.Split(" "+c.want, " -")[0]) {
				t.Errorf("explained %q, chosen %q", got, c.want)
			}
		})
	}
}
