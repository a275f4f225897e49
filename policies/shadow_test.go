package policies

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

func shadowed(p *resource.Policy) *resource.Policy {
	p.Spec.Mode = resource.ModeShadow
	return p
}

// newShadow is an engine that writes down the differences.
func newShadow(t *testing.T, s resource.Set) (*Engine, *[]string) {
	t.Helper()
	e := newEngine(t, resource.Set{})
	told := new([]string)
	e.cfg.Shadow = func(_ *event.Event, d ShadowDifference) { *told = append(*told, tell(d)) }
	if faults := e.Load(s); faults != nil {
		t.Fatal(faults)
	}
	return e, told
}

func tell(d ShadowDifference) string {
	out := fmt.Sprintf("%s %s %s:", d.Stage, strings.Join(d.Policies, ","), strings.Join(d.Differences(), ","))
	for _, n := range d.Newly {
		out += " +" + n
	}
	for _, n := range d.Stops {
		out += " -" + n
	}
	if d.Verdict != nil && !d.Verdict.Allowed {
		out += " " + d.Verdict.Reason
	}
	if d.Err != nil {
		out += " " + d.Err.Error()
	}
	if d.Revision != 7 {
		out += " at another revision"
	}
	return out
}

func TestShadowPoliciesDecideNothingAndTellTheDifference(t *testing.T) {
	links := []*resource.Link{link("one", "a", "t"), link("two", "b", "t")}
	denyOne := `deny contains {"link": "one", "reason": "no"}`
	for name, c := range map[string]struct {
		policies   []*resource.Policy
		want, told string
	}{
		"a denial":                         {[]*resource.Policy{shadowed(trigger("s", denyOne))}, "one two", "trigger s stops: -one"},
		"a denial beside an enforced one":  {[]*resource.Policy{shadowed(trigger("s", denyOne)), trigger("p", `deny contains {"link": "two", "reason": "no"}`)}, "one -two(p: no)", "trigger s stops: -one"},
		"a denial that is made already":    {[]*resource.Policy{shadowed(trigger("s", denyOne)), trigger("p", denyOne)}, "two -one(p: no)", ""},
		"a denial that does not fire":      {[]*resource.Policy{shadowed(trigger("s", denyOne+" if input.event.freeze"))}, "one two", ""},
		"a target":                         {[]*resource.Policy{shadowed(trigger("s", `target contains "c"`))}, "one two", "trigger s newly: +policy:s/c"},
		"a target that does not exist":     {[]*resource.Policy{shadowed(trigger("s", `target contains "nobody"`))}, "one two", ""},
		"a match":                          {[]*resource.Policy{shadowed(trigger("s", `match contains "one"`))}, "one two", "trigger s stops: -two"},
		"a match of a higher priority":     {[]*resource.Policy{shadowed(ranked(trigger("s", `match contains {"one", "two"}[_]`), 9)), trigger("p", denyOne)}, "two -one(p: no)", "trigger s newly: +one"},
		"an enforced target it takes out":  {[]*resource.Policy{shadowed(trigger("s", `deny contains {"link": "policy:p/c", "reason": "no"}`)), trigger("p", `target contains "c"`)}, "one two policy:p/c", "trigger s stops: -policy:p/c"},
		"what others read of it":           {[]*resource.Policy{shadowed(trigger("s", `deny contains {"link": "other", "reason": "no"}`)), trigger("p", `target contains "c" if count(deny) == 1`)}, "one two", "trigger s newly: +policy:p/c"},
		"of two the one that says so":      {[]*resource.Policy{shadowed(trigger("r", `target contains "nobody"`)), shadowed(trigger("s", denyOne))}, "one two", "trigger s stops: -one"},
		"both":                             {[]*resource.Policy{shadowed(trigger("r", `target contains "c"`)), shadowed(trigger("s", denyOne))}, "one two", "trigger r,s newly,stops: +policy:r/c -one"},
		"one that fails":                   {[]*resource.Policy{shadowed(trigger("s", "deny contains 5"))}, "one two", "trigger s error: trigger policy s failed: rule deny: 5: want a name or an object"},
		"one that fails open":              {[]*resource.Policy{shadowed(open(trigger("s", "deny contains 5"))), shadowed(trigger("r", denyOne))}, "one two", "trigger r stops: -one"},
		"a document in shadow":             {[]*resource.Policy{shadowed(documentsOf("s", `{"frozen": ["one"]}`)), documentsOf("d", `{"frozen": ["two"]}`), trigger("p", `deny contains {"link": l, "reason": "no"} if some l in data.frozen`)}, "one -two(p: no)", "trigger s newly,stops: +two -one"},
		"a library in shadow":              {[]*resource.Policy{shadowed(policy("s", "package l\nimport rego.v1\nfrozen contains \"one\"")), trigger("p", `deny contains {"link": l, "reason": "no"} if some l in data.l.frozen`)}, "one two", "trigger s stops: -one"},
		"enforced and shadow, no decision": {[]*resource.Policy{shadowed(trigger("s", `x := 1`))}, "one two", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, told := newShadow(t, set(links, c.policies...))
			for range 2 { // the second time from the memo
				*told = nil
				if got := chosen(t, e, ev("t")); got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
				if got := strings.Join(*told, "; "); got != c.told {
					t.Errorf("told %q, want %q", got, c.told)
				}
			}
			if st := e.Stats(); st.EvaluationErrors != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestShadowAdmissionAndManagement(t *testing.T) {
	for name, c := range map[string]struct {
		policies []*resource.Policy
		allowed  bool
		told     string
	}{
		"would refuse":          {[]*resource.Policy{shadowed(admission("s", `deny contains "no"`))}, true, "admission s refuse: no"},
		"would refuse, too":     {[]*resource.Policy{shadowed(admission("s", `deny contains "no"`)), admission("p", `deny contains "no"`)}, false, ""},
		"would not allow":       {[]*resource.Policy{shadowed(admission("s", `allow if input.event.vip`))}, true, "admission s refuse: no admission policy allows it"},
		"would admit":           {[]*resource.Policy{shadowed(admission("s", `allow if input.event.type`)), admission("p", `allow if input.event.nothing`)}, false, "admission s admit:"},
		"does not fire":         {[]*resource.Policy{shadowed(admission("s", `deny contains "no" if input.event.vip`))}, true, ""},
		"fails":                 {[]*resource.Policy{shadowed(admission("s", `deny contains 5`))}, true, "admission s error: admission policy s failed: rule deny: 5: want a name or an object"},
		"management":            {[]*resource.Policy{shadowed(management("s", `deny contains "no" if input.verb == "write"`))}, true, "management s refuse: no"},
		"management that fails": {[]*resource.Policy{shadowed(management("s", `deny contains 5`))}, true, "management s error: management policy s failed: rule deny: 5: want a name or an object"},
	} {
		t.Run(name, func(t *testing.T) {
			e, told := newShadow(t, set(nil, c.policies...))
			a := e.Admit(t.Context(), Admission{Event: ev("t")})
			m := e.Manage(t.Context(), Management{Verb: VerbWrite})
			if (a.Allowed && m.Allowed) != c.allowed || a.Err != nil || m.Err != nil {
				t.Errorf("%+v, %+v", a, m)
			}
			if got := strings.Join(*told, "; "); got != c.told {
				t.Errorf("told %q, want %q", got, c.told)
			}
		})
	}
}

func TestASlowShadowPolicyIsSkippedInTheEnd(t *testing.T) {
	e, told := newShadow(t, set([]*resource.Link{link("one", "a", "t")}, shadowed(trigger("s", "deny contains \"x\" if "+slow))))
	budgetOf(e, time.Millisecond)
	for range 20 {
		if got := chosen(t, e, ev("t", "slow", "true")); got != "one" {
			t.Fatal(got)
		}
	}
	if len(*told) != e.cfg.BreakAfter || !strings.Contains((*told)[0], "budget of 1ms exceeded") {
		t.Errorf("told %q", *told)
	}
	if st := e.Stats(); st.EvaluationErrors != 0 || st.MemoSkipped+st.MemoMisses != 0 {
		t.Errorf("the figures of what is in force changed: %+v", st)
	}
}

func TestChooseWithAShadowDoesNotAllocate(t *testing.T) {
	e, told := newShadow(t, set(matchingLinks(100, 5), shadowed(trigger("s", `deny contains "x" if input.event.tenant == "none"`))))
	x := ev("t", "tenant", "acme")
	buf := make([]resource.Target, 0, 16)
	n := testing.AllocsPerRun(200, func() {
		if c, err := e.Choose(t.Context(), x, "", buf); err != nil || len(c.Targets) != 5 {
			t.Fatal(c, err)
		}
	})
	if (n != 0 && !raceEnabled) || len(*told) > 0 {
		t.Errorf("%v allocations, told %v", n, *told)
	}
}
