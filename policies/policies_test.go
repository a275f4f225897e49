package policies

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

func newEngine(t testing.TB, set resource.Set) *Engine {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Budget = 5 * time.Second // the race detector is slow
	cfg.Clock = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if faults := e.Load(set); faults != nil {
		t.Fatal(faults)
	}
	return e
}

func link(name, function string, types ...string) *resource.Link {
	return &resource.Link{Metadata: resource.Metadata{Name: name}, Spec: resource.LinkSpec{Function: function, Types: types}}
}

func withFilters(l *resource.Link, f ...resource.Filter) *resource.Link {
	l.Spec.Filters = f
	return l
}

func function(name string) *resource.Function {
	return &resource.Function{Metadata: resource.Metadata{Name: name}, Spec: resource.FunctionSpec{Version: "v1", URL: "http://127.0.0.1:1/"}}
}

func policy(name, rego string) *resource.Policy {
	return &resource.Policy{Metadata: resource.Metadata{Name: name}, Spec: resource.PolicySpec{Rego: rego}}
}

func trigger(name, rules string) *resource.Policy {
	return policy(name, "package signalbox.trigger\nimport rego.v1\n"+rules)
}

func admission(name, rules string) *resource.Policy {
	return policy(name, "package signalbox.admission\nimport rego.v1\n"+rules)
}

// set has the functions a, b, c and the given links and policies.
func set(links []*resource.Link, ps ...*resource.Policy) resource.Set {
	return resource.Set{Revision: 7, Functions: []*resource.Function{function("a"), function("b"), function("c")}, Links: links, Policies: ps}
}

func ev(typ string, attributes ...string) *event.Event {
	e := &event.Event{ID: "1", Source: "/test", Type: typ}
	for i := 0; i < len(attributes); i += 2 {
		if attributes[i] == "subject" {
			e.Subject = attributes[i+1]
		} else {
			e.SetExtension(attributes[i], attributes[i+1])
		}
	}
	return e
}

// chosen is the names of the targets' links, then the denials.
func chosen(t testing.TB, e *Engine, event *event.Event) string {
	t.Helper()
	c, err := e.Choose(context.Background(), event, string(event.Key()), nil)
	if err != nil {
		t.Fatal(err)
	}
	return describe(c)
}

func describe(c Choice) string {
	var out []string
	for _, x := range c.Targets {
		out = append(out, x.Link.Metadata.Name)
	}
	for _, d := range c.Denied {
		out = append(out, fmt.Sprintf("-%s(%s: %s)", d.Link, d.Policy, d.Reason))
	}
	return strings.Join(out, " ")
}

func TestTypesAreExactOrPrefixes(t *testing.T) {
	e := newEngine(t, set([]*resource.Link{
		link("all", "a", "*"),
		link("both", "a", "com.example.x", "com.*", "com.example.*"),
		link("exact", "a", "com.example.x"),
		link("late", "nobody", "com.example.x"),
		link("other", "b", "com.example.y", "org.*"),
		link("prefix", "b", "com.example.*"),
		link("same", "a", "com.example.x"),
		link("version", "a@v1", "com.example.x"),
		link("wrongversion", "a@v2", "com.example.x"),
	}))
	for typ, want := range map[string]string{
		"com.example.x": "all both exact prefix same version",
		"com.example.":  "all both prefix",
		"com.example":   "all both",
		"com.example.y": "all both other prefix",
		"org.x":         "all other",
		"":              "all",
	} {
		if got := chosen(t, e, ev(typ)); got != want {
			t.Errorf("type %q: %s, want %s", typ, got, want)
		}
	}
}

func TestFiltersOfEveryDialect(t *testing.T) {
	m := func(kv ...string) map[string]string {
		out := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			out[kv[i]] = kv[i+1]
		}
		return out
	}
	x := ev("t", "subject", "images/a.png", "tenant", "acme", "seq", "10")
	for name, c := range map[string]struct {
		filter resource.Filter
		want   bool
	}{
		"exact holds":                    {resource.Filter{Exact: m("tenant", "acme", "type", "t")}, true},
		"exact needs every entry":        {resource.Filter{Exact: m("tenant", "acme", "type", "u")}, false},
		"exact is with case":             {resource.Filter{Exact: m("tenant", "Acme")}, false},
		"exact needs the attribute":      {resource.Filter{Exact: m("nothing", "x")}, false},
		"prefix holds":                   {resource.Filter{Prefix: m("subject", "images/")}, true},
		"prefix does not":                {resource.Filter{Prefix: m("subject", "videos/")}, false},
		"prefix needs the attribute":     {resource.Filter{Prefix: m("nothing", "x")}, false},
		"suffix holds":                   {resource.Filter{Suffix: m("subject", ".png")}, true},
		"suffix does not":                {resource.Filter{Suffix: m("subject", ".PNG")}, false},
		"not turns a missing one round":  {resource.Filter{Not: &resource.Filter{Exact: m("nothing", "x")}}, true},
		"not":                            {resource.Filter{Not: &resource.Filter{Exact: m("tenant", "acme")}}, false},
		"all":                            {resource.Filter{All: []resource.Filter{{Exact: m("tenant", "acme")}, {Suffix: m("subject", ".png")}}}, true},
		"all with one that fails":        {resource.Filter{All: []resource.Filter{{Exact: m("tenant", "acme")}, {Suffix: m("subject", ".gif")}}}, false},
		"any":                            {resource.Filter{Any: []resource.Filter{{Exact: m("tenant", "x")}, {Suffix: m("subject", ".png")}}}, true},
		"any with none":                  {resource.Filter{Any: []resource.Filter{{Exact: m("tenant", "x")}, {Suffix: m("subject", ".gif")}}}, false},
		"sql":                            {resource.Filter{SQL: "tenant = 'acme' AND seq > 9"}, true},
		"sql with an error":              {resource.Filter{SQL: "missing != 'x'"}, false},
		"not turns an sql error round":   {resource.Filter{Not: &resource.Filter{SQL: "missing = 'x'"}}, true},
		"canonical strings are compared": {resource.Filter{Exact: m("seq", "010")}, false},
		"specversion is an attribute":    {resource.Filter{Exact: m("specversion", "1.0")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, set([]*resource.Link{withFilters(link("l", "a", "t"), c.filter)}))
			if got := chosen(t, e, x) == "l"; got != c.want {
				t.Errorf("chosen: %v, want %v", got, c.want)
			}
		})
	}
}

func TestPausedLinksAreChosenAndExplainedAsPaused(t *testing.T) {
	l := link("l", "a", "t")
	l.Spec.Paused = true
	e := newEngine(t, set([]*resource.Link{l}))
	if got := chosen(t, e, ev("t")); got != "l" {
		t.Errorf("chosen: %q", got)
	}
	x, err := e.Snapshot().Explain(t.Context(), ev("t"), "", time.Time{})
	if err != nil || x.Links[0].Chosen || !x.Links[0].Matched || x.Links[0].Why != "paused" {
		t.Errorf("explained: %+v, %v", x.Links, err)
	}
}

// explained is the names of the links an explanation calls matched.
func explained(t testing.TB, e *Engine, x *event.Event) string {
	t.Helper()
	why, err := e.Snapshot().Explain(context.Background(), x, string(x.Key()), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range why.Links {
		if l.Matched { // what Choose chooses: a paused link too
			names = append(names, l.Name)
		}
		if l.Why == "" {
			t.Errorf("link %s: no reason", l.Name)
		}
	}
	return strings.Join(names, " ")
}
