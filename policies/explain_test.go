package policies

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

func TestExplainGivesTheReason(t *testing.T) {
	paused := link("paused", "a", "t")
	paused.Spec.Paused = true
	e := newEngine(t, set([]*resource.Link{
		link("denied", "a", "t"),
		withFilters(link("filtered", "a", "t"), resource.Filter{Prefix: map[string]string{"subject": "images/"}}),
		link("good", "b", "t*"),
		link("late", "thumbs", "t"),
		withFilters(link("missing", "a", "t"), resource.Filter{Exact: map[string]string{"tenant": "x"}}),
		paused,
		withFilters(link("sql", "a", "t"), resource.Filter{SQL: "tenant = 'x'"}),
		link("type", "a", "u", "v.*"),
		link("unmatched", "c", "t"),
	}, trigger("night-freeze", `deny contains {"link": "denied", "reason": "frozen"}
match contains l.name if { some l in input.links; l.name != "unmatched" }
target contains {"function": "c", "reason": "extra"}
target contains {"function": "nobody"}`)))
	x, err := e.Snapshot().Explain(context.Background(), ev("t", "subject", "videos/1"), "", time.Time{})
	if err != nil || x.Revision != 7 {
		t.Fatal(x.Revision, err)
	}
	want := []struct{ name, why, rule string }{
		{"good", "type t*, matched by policy night-freeze:4", "night-freeze:4"},
		{"policy:night-freeze/c", "added by policy night-freeze:5: extra", "night-freeze:5"},
		{"denied", "denied by policy night-freeze:3: frozen", "night-freeze:3"},
		{"late", "function thumbs does not exist", ""},
		{"paused", "paused, matched by policy night-freeze:4", "night-freeze:4"},
		{"unmatched", "not in match of policy night-freeze:4", ""},
		{"policy:night-freeze/nobody", "function nobody does not exist", "night-freeze:6"},
		{"filtered", `filter spec.filters[0].prefix.subject: "videos/1" is not a string that begins with "images/"`, ""},
		{"missing", "filter spec.filters[0].exact.tenant: the event has no tenant", ""},
		{"sql", "filter spec.filters[0].sql: missing attribute: tenant in tenant = 'x'", ""},
		{"type", `type "t" is not one of u, v.*`, ""},
	}
	if len(x.Links) != len(want) {
		t.Fatalf("%d links, want %d", len(x.Links), len(want))
	}
	matched := []string{"good", "paused", "policy:night-freeze/c"}
	for i, l := range x.Links {
		if l.Name != want[i].name || l.Why != want[i].why || l.Rule != want[i].rule ||
			l.Matched != slices.Contains(matched, l.Name) || l.Chosen != (l.Matched && l.Name != "paused") {
			t.Errorf("%d: %+v, want %+v", i, l, want[i])
		}
	}
}

// TestExplainNamesTheRuleThatDecided, by the line at which it begins.
func TestExplainNamesTheRuleThatDecided(t *testing.T) {
	e := newEngine(t, set([]*resource.Link{link("one", "a", "t"), link("two", "b", "t")},
		trigger("p", `
deny contains {"link": link.name, "reason": sprintf("%s is not for %s", [link.function, input.event.tenant])} if {
	some link in input.links
	link.function == "b"
}

deny contains "closed" if closed

closed if input.event.tenant == "closed"`),
		trigger("q", `target contains {"function": f} if {
	f := input.event.extra
}
target contains "c" if input.event.tenant == "closed"`)))
	for tenant, want := range map[string]string{
		"acme":   "one: type t; two: denied by policy p:4: b is not for acme",
		"closed": "one: denied by policy p:9: closed; two: denied by policy p:4: b is not for closed; policy:q/c: denied by policy p:9: closed",
	} {
		if got := whys(t, e, ev("t", "tenant", tenant)); got != want {
			t.Errorf("%s: %s, want %s", tenant, got, want)
		}
	}
	if got := whys(t, e, ev("t", "extra", "c")); !strings.Contains(got, "policy:q/c: added by policy q:3") {
		t.Error(got)
	}
}

// whys are the links of an explanation with their reasons, in order.
func whys(t *testing.T, e *Engine, x *event.Event) string {
	t.Helper()
	why, err := e.Snapshot().Explain(t.Context(), x, string(x.Key()), time.Time{})
	if err != nil || why.Error != "" {
		t.Fatal(why.Error, err)
	}
	var out []string
	for _, l := range why.Links {
		out = append(out, l.Name+": "+l.Why)
	}
	return strings.Join(out, "; ")
}

func TestExplainSaysWhoWinsByPriority(t *testing.T) {
	over := trigger("over", `match contains "one"`)
	over.Spec.Priority = 10
	late := trigger("late", `deny contains {"link": "two", "reason": "late"}`)
	late.Spec.Priority = 20
	e := newEngine(t, set([]*resource.Link{link("one", "a", "t"), link("two", "b", "t")}, over, late,
		trigger("freeze", `deny contains "frozen"`), trigger("usual", `match contains "two"`)))
	want := "one: type t, matched by policy over:3 (priority 10), over the denial of policy freeze:3: frozen; two: denied by policy late:3 (priority 20): late"
	if got := whys(t, e, ev("t")); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestExplainSaysWhichVersionTrafficPicks(t *testing.T) {
	s := versionedSet(t, 1, `{"version":"v1","weight":90},{"version":"v2","weight":10}`, "v1", "v2")
	s.Links = []*resource.Link{link("l", "f", "t"), link("pinned", "f@v2", "t")}
	s.Policies = []*resource.Policy{trigger("p", `target contains "f"`)}
	e := newEngine(t, s)
	keys := map[string]string{}
	for i := 0; len(keys) < 2; i++ {
		key := fmt.Sprint("k", i)
		keys[s.Route("f").Pick(key, "", "").Spec.Version] = key
	}
	for version, weight := range map[string]int{"v1": 90, "v2": 10} {
		x := ev("t", "subject", keys[version])
		by := fmt.Sprintf(", version %s by traffic %d of 100 (key %s)", version, weight, keys[version])
		want := "l: type t" + by + "; pinned: type t; policy:p/f: added by policy p:3" + by
		if got := whys(t, e, x); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := whys(t, e, ev("t")); !strings.Contains(got, "of 100 (no key: by source and id)") {
		t.Error(got)
	}
}

func TestNearMissesComeFirst(t *testing.T) {
	filters := func(n int) (f []resource.Filter) {
		for i := range n {
			f = append(f, resource.Filter{Exact: map[string]string{fmt.Sprint("a", i): "x"}})
		}
		return f
	}
	for name, c := range map[string]struct {
		link *resource.Link
		near int
	}{
		"matches":                        {link("l", "a", "com.shop.order.placed"), 0},
		"one filter":                     {withFilters(link("l", "a", "com.*"), filters(1)...), 1},
		"two filters of three":           {withFilters(link("l", "a", "*"), append(filters(2), resource.Filter{Exact: map[string]string{"source": "/test"}})...), 2},
		"more filters than are told":     {withFilters(link("l", "a", "*"), filters(20)...), 9},
		"another case":                   {link("l", "a", "com.shop.Order.Placed"), 10},
		"a prefix in another case":       {link("l", "a", "Com.Shop.*"), 10},
		"the last part differs":          {link("l", "a", "com.shop.order.cancelled"), 12},
		"the last part and a filter":     {withFilters(link("l", "a", "com.shop.order.cancelled"), filters(1)...), 13},
		"one part more":                  {link("l", "a", "com.shop.order.placed.twice"), 12},
		"a prefix with one part of two":  {link("l", "a", "com.bank.*"), 15},
		"the nearest type counts":        {link("l", "a", "org.x", "com.shop.order.cancelled"), 12},
		"nothing in common":              {link("l", "a", "org.x"), NearNothing},
		"nothing in common, and filters": {withFilters(link("l", "a", "org.x"), filters(3)...), NearNothing},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, set([]*resource.Link{link("first", "a", "net.z"), c.link}))
			x, err := e.Snapshot().Explain(t.Context(), ev("com.shop.order.placed"), "", time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(x.Links, func(l LinkExplanation) bool { return l.Name == "l" })
			if x.Links[at].Near != c.near || (c.near < NearNothing) != (at == 0) {
				t.Errorf("near %d at place %d, want %d", x.Links[at].Near, at, c.near)
			}
		})
	}
}
