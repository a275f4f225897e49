package policies

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

func TestBrokenPoliciesAreRefusedWithLineAndReason(t *testing.T) {
	for name, c := range map[string]struct {
		rego string
		line int
		want string
	}{
		"syntax":              {"package signalbox.trigger\nimport rego.v1\ndeny contains x if {\n  x = = 1\n}", 4, "rego_parse_error"},
		"empty":               {"# nothing\n", 0, "empty"},
		"no package":          {"deny contains 1", 1, "package expected"},
		"another stage":       {"package signalbox.other", 1, "package signalbox.other: want signalbox.trigger, signalbox.admission or signalbox.management"},
		"a package below":     {"package signalbox.trigger.sub", 1, "want signalbox.trigger, "},
		"the package above":   {"package signalbox", 1, "package signalbox: want"},
		"the system package":  {"package system.log", 1, "package system.log: want"},
		"unsafe variable":     {"package signalbox.trigger\n\ndeny contains x if y > 1", 3, "var x is unsafe"},
		"unknown function":    {"package signalbox.trigger\ndeny contains x if x := nope(1)", 2, "undefined function nope"},
		"type error":          {"package signalbox.trigger\ndeny contains x if x := 1 + \"a\"", 2, "rego_type_error"},
		"network":             {"package signalbox.trigger\ndeny contains x if x := http.send({\"method\": \"get\", \"url\": \"http://x\"}).status", 2, "is not allowed in policies"},
		"names":               {"package signalbox.trigger\ndeny contains x if some x in net.lookup_ip_addr(\"x\")", 2, "is not allowed in policies"},
		"environment":         {"package signalbox.admission\nallow if opa.runtime().env.X == \"1\"", 2, "is not allowed in policies"},
		"schemas":             {"package signalbox.admission\ndeny contains \"x\" if not json.match_schema(input.event.data, input.event.data.schema)[0]", 2, "json.match_schema is not allowed in policies"},
		"checks of schemas":   {"package signalbox.admission\ndeny contains \"x\" if not json.verify_schema({\"$ref\": \"file:///etc/hostname\"})[0]", 2, "json.verify_schema is not allowed in policies"},
		"recursion":           {"package signalbox.trigger\ndeny contains \"x\" if count(deny) > 0", 2, "rule data.signalbox.trigger.deny is recursive"},
		"deny as a value":     {"package signalbox.trigger\n\ndeny := {\"x\"}", 3, "rule deny: want a set: deny contains"},
		"deny as an object":   {"package signalbox.trigger\n\ndeny[x] := 1 if x := \"a\"", 3, "rule deny: want a set"},
		"match as a function": {"package signalbox.trigger\nmatch(x) := x", 2, "rule match: want a set"},
		"target below":        {"package signalbox.trigger\ntarget.x contains 1", 2, "rule target: want a set"},
		"allow as a set":      {"package signalbox.admission\nallow contains 1", 2, "rule allow: want one value"},
		"default twice":       {"package signalbox.admission\ndefault allow := true\ndefault allow := false", 0, "multiple default rules"},
	} {
		t.Run(name, func(t *testing.T) {
			faults := CheckPolicy(policy("p", c.rego))
			if len(faults) == 0 {
				t.Fatal("no fault")
			}
			f := faults[0]
			if f.Field != "spec.rego" || !strings.Contains(f.Problem, c.want) || (c.line > 0 && f.Line != c.line) {
				t.Errorf("%+v, want line %d and %q", f, c.line, c.want)
			}
			if f.Line > 0 && (f.Resource != "Policy/p" || !strings.HasPrefix(f.Problem, fmt.Sprintf("line %d, column ", f.Line))) {
				t.Errorf("%+v: no place", f)
			}
		})
	}
}

func TestPoliciesOfASetCompileTogether(t *testing.T) {
	p := trigger("p", "deny contains \"x\" if h\nh if count(target) > 0")
	q := trigger("q", "target contains \"a\" if count(deny) > 0")
	for _, one := range []*resource.Policy{p, q} {
		if faults := CheckPolicy(one); faults != nil {
			t.Errorf("by itself: %v", faults)
		}
	}
	faults := CheckSet(set(nil, p, q))
	if len(faults) == 0 || !strings.Contains(faults.Error(), "recursive") {
		t.Errorf("recursion over two policies: %v", faults)
	}
	faults = CheckSet(set(nil, admission("p", "default allow := false"), admission("q", "default allow := false")))
	if len(faults) == 0 || !strings.Contains(faults.Error(), "multiple default rules") {
		t.Errorf("two defaults: %v", faults)
	}
	if faults := CheckSet(set([]*resource.Link{link("late", "nobody", "t")})); faults != nil {
		t.Errorf("a late link: %v", faults)
	}
}

func TestBrokenFiltersAreRefused(t *testing.T) {
	l := withFilters(link("l", "a", "t"), resource.Filter{Exact: map[string]string{"a": "b"}},
		resource.Filter{Any: []resource.Filter{{Not: &resource.Filter{SQL: "a = = 1"}}, {SQL: "FOO(a)"}}})
	faults := CheckLink(l)
	if len(faults) != 2 || faults[0].Field != "spec.filters[1].any[0].not.sql" || faults[0].Resource != "Link/l" ||
		!strings.Contains(faults[0].Problem, "line 1, column 5") || !strings.Contains(faults[1].Problem, "function FOO/1: want ABS") {
		t.Errorf("%v", faults)
	}
}

func TestABrokenSetLeavesTheOldOneInForce(t *testing.T) {
	e := newEngine(t, set([]*resource.Link{link("l", "a", "t")}))
	for _, broken := range []resource.Set{
		{Revision: 8, Links: []*resource.Link{withFilters(link("x", "a", "t"), resource.Filter{SQL: "("})}},
		{Revision: 9, Policies: []*resource.Policy{policy("p", "package signalbox.trigger\ndeny contains")}},
	} {
		if faults := e.Load(broken); len(faults) == 0 {
			t.Error("loaded")
		}
	}
	if got := chosen(t, e, ev("t")); got != "l" || e.Revision() != 7 {
		t.Errorf("%s at revision %d", got, e.Revision())
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	_, err := New(Config{Budget: time.Hour, MemoSize: -1, BreakAfter: -2, BreakFor: time.Hour})
	if err == nil || !strings.Contains(err.Error(), "BreakAfter -2: want 1 to 1000, or -1") || !strings.Contains(err.Error(), "BreakFor 1h0m0s: want 10ms to 10m") || !strings.Contains(err.Error(), "Budget 1h0m0s: want 1ms to 10s") || !strings.Contains(err.Error(), "MemoSize -1: want 0 to 1000000") {
		t.Error(err)
	}
}
