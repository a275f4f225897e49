package policies

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

func TestTriggerPolicies(t *testing.T) {
	batch := link("one", "a", "t")
	batch.Metadata.Labels = map[string]string{"tier": "batch"}
	links := []*resource.Link{batch, link("two", "b", "t")}
	data := ev("t")
	data.Data = []byte(`{"size": 5}`)
	text := ev("t")
	text.Data, text.DataContentType = []byte(`{"size": 5}`), "text/plain"
	freeze := trigger("night-freeze", `deny contains {"link": link.name, "reason": "frozen"} if {
	some link in input.links
	link.labels.tier == "batch"
	input.event.freeze == true
}`)
	for name, c := range map[string]struct {
		policies []*resource.Policy
		event    *event.Event
		want     string
	}{
		"a denial fires":                   {[]*resource.Policy{freeze}, ev("t", "freeze", "true"), "two -one(night-freeze: frozen)"},
		"a denial does not fire":           {[]*resource.Policy{freeze}, ev("t", "freeze", "false"), "one two"},
		"a denial without its attribute":   {[]*resource.Policy{freeze}, ev("t"), "one two"},
		"a denial of all":                  {[]*resource.Policy{trigger("p", `deny contains {"reason": "no"}`)}, ev("t"), "-one(p: no) -two(p: no)"},
		"a denial in plain text":           {[]*resource.Policy{trigger("p", `deny contains "no"`)}, ev("t"), "-one(p: no) -two(p: no)"},
		"a denial without a reason":        {[]*resource.Policy{trigger("p", `deny contains {"link": "one"}`)}, ev("t"), "two -one(p: denied)"},
		"denials name their policies":      {[]*resource.Policy{freeze, trigger("p", `deny contains {"link": "two", "reason": "x"}`)}, ev("t", "freeze", "true"), "-one(night-freeze: frozen) -two(p: x)"},
		"the first of two denials tells":   {[]*resource.Policy{freeze, trigger("p", `deny contains {"link": "one", "reason": "x"}`)}, ev("t", "freeze", "true"), "two -one(night-freeze: frozen)"},
		"a match instead of the default":   {[]*resource.Policy{trigger("p", `match contains "two"`)}, ev("t"), "two"},
		"matches of two policies add up":   {[]*resource.Policy{trigger("p", `match contains "two"`), trigger("q", `match contains {"link": "one"}`)}, ev("t"), "one two"},
		"a match with candidates":          {[]*resource.Policy{trigger("p", `match contains l if { some l in input.links; l.function == "b" }`)}, ev("t"), "two"},
		"a match does not add links":       {[]*resource.Policy{trigger("p", `match contains "three"`)}, ev("t"), ""},
		"the default match is readable":    {[]*resource.Policy{trigger("p", `deny contains {"link": "one", "reason": "crowd"} if count(match) > 1`)}, ev("t"), "two -one(p: crowd)"},
		"other policies' deny is readable": {[]*resource.Policy{freeze, trigger("p", `target contains {"function": "c"} if count(deny) > 0`)}, ev("t", "freeze", "true"), "two policy:p/c -one(night-freeze: frozen)"},
		"a target":                         {[]*resource.Policy{trigger("p", `target contains {"function": "c", "reason": "why not"}`)}, ev("t"), "one two policy:p/c"},
		"a target without candidates":      {[]*resource.Policy{trigger("p", `target contains "c" if input.event.type == "other"`)}, ev("other"), "policy:p/c"},
		"a target that does not exist":     {[]*resource.Policy{trigger("p", `target contains "nobody"`)}, ev("t"), "one two"},
		"a target with a version":          {[]*resource.Policy{trigger("p", `target contains {"function": "c@v1"}`)}, ev("t"), "one two policy:p/c@v1"},
		"a target that is denied":          {[]*resource.Policy{trigger("p", `target contains "c"`+"\n"+`deny contains {"link": "policy:p/c", "reason": "no"}`)}, ev("t"), "one two -policy:p/c(p: no)"},
		"a target twice":                   {[]*resource.Policy{trigger("p", `target contains {"function": "c", "reason": x} if some x in ["1", "2"]`)}, ev("t"), "one two policy:p/c"},
		"data where it is JSON":            {[]*resource.Policy{trigger("p", `deny contains "big" if input.event.data.size > 4`)}, data, "-one(p: big) -two(p: big)"},
		"no data where it is not":          {[]*resource.Policy{trigger("p", `deny contains "big" if input.event.data.size > 4`)}, text, "one two"},
		"the whole event":                  {[]*resource.Policy{trigger("p", `deny contains k if { some k, v in input.event; v == "acme" }`)}, ev("t", "tenant", "acme"), "-one(p: tenant) -two(p: tenant)"},
		"the whole input in a function":    {[]*resource.Policy{trigger("p", "f(x) := x.event.tenant\ndeny contains f(input)")}, ev("t", "tenant", "acme"), "-one(p: acme) -two(p: acme)"},
		"the time":                         {[]*resource.Policy{trigger("p", `deny contains input.time`)}, ev("t"), "-one(p: 2026-01-02T03:04:05Z) -two(p: 2026-01-02T03:04:05Z)"},
		"the clock of Rego":                {[]*resource.Policy{trigger("p", `deny contains "year" if time.date(time.now_ns())[0] == 2026`)}, ev("t"), "-one(p: year) -two(p: year)"},
		"a policy that asks for nothing":   {[]*resource.Policy{trigger("p", `helper := 1`)}, ev("t"), "one two"},
		"integers stay strings":            {[]*resource.Policy{trigger("p", `deny contains "x" if input.event.seq == "10"`)}, ev("t", "seq", "10"), "-one(p: x) -two(p: x)"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, set(links, c.policies...))
			for range 2 { // the second time from the memo, if there is one
				if got := chosen(t, e, c.event); got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
			}
			if got := explained(t, e, c.event); got != strings.Split(c.want, " -")[0] && got != "" {
				t.Errorf("explained %s, want %s", got, c.want)
			}
		})
	}
}

func TestAPolicyThatFailsChoosesNothing(t *testing.T) {
	for name, c := range map[string]struct{ rules, want string }{
		"a conflict":        {"x := 1 if input.event.type == \"t\"\nx := 2 if input.event.type == \"t\"\ndeny contains \"no\" if x == 1", "conflict"},
		"a wrong denial":    {"deny contains 5", "want a name or an object"},
		"an empty denial":   {"deny contains {}", "want fields link and reason"},
		"a wrong match":     {"match contains {\"x\": 1}", "want field link"},
		"a wrong target":    {"target contains {\"link\": \"x\"}", "want field function"},
		"a budget exceeded": {"deny contains \"no\" if { some i in numbers.range(1, 100000); some j in numbers.range(1, 100000); i * j == -1 }", "budget of 20ms exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, set([]*resource.Link{link("l", "a", "t")}, trigger("p", c.rules)))
			if strings.Contains(c.want, "budget") { // the others fail by themselves
				e.Snapshot().cfg.Budget = 20 * time.Millisecond
			}
			choice, err := e.Choose(context.Background(), ev("t"), "", nil)
			if !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), c.want) || len(choice.Targets) > 0 || choice.Revision != 7 {
				t.Errorf("%v, error %v, want %q", choice, err, c.want)
			}
			x, err := e.Snapshot().Explain(context.Background(), ev("t"), "", time.Time{})
			if err != nil || !strings.Contains(x.Error, c.want) || x.Links[0].Chosen {
				t.Errorf("explained %v, error %v", x, err)
			}
			if n := e.Stats().EvaluationErrors; n != 1 {
				t.Errorf("%d errors counted", n)
			}
		})
	}
}

func TestAnEndedContextIsNoPolicyError(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e := newEngine(t, set([]*resource.Link{link("l", "a", "t")}, trigger("p", `deny contains "x"`)))
	if _, err := e.Choose(ctx, ev("t"), "", nil); !errors.Is(err, context.Canceled) || errors.Is(err, ErrPolicy) {
		t.Error(err)
	}
}

func TestAChangedPolicyIsInForceAfterLoad(t *testing.T) {
	links := []*resource.Link{link("l", "a", "t")}
	e := newEngine(t, set(links, trigger("p", `deny contains "one"`)))
	for _, c := range []struct {
		policies []*resource.Policy
		want     string
	}{
		{[]*resource.Policy{trigger("p", `deny contains "two"`)}, "-l(p: two)"},
		{[]*resource.Policy{trigger("q", `deny contains "two"`)}, "-l(q: two)"},
		{nil, "l"},
	} {
		if faults := e.Load(set(links, c.policies...)); faults != nil {
			t.Fatal(faults)
		}
		if got := chosen(t, e, ev("t")); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
