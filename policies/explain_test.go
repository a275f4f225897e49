package policies

import (
	"context"
	"slices"
	"testing"
	"time"

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
	want := map[string]string{
		"denied":                     "denied by policy night-freeze: frozen",
		"filtered":                   `filter spec.filters[0].prefix.subject: "videos/1" is not a string that begins with "images/"`,
		"good":                       "type t*, matched by policy night-freeze",
		"late":                       "function thumbs does not exist",
		"missing":                    "filter spec.filters[0].exact.tenant: the event has no tenant",
		"paused":                     "paused, matched by policy night-freeze",
		"sql":                        "filter spec.filters[0].sql: missing attribute: tenant in tenant = 'x'",
		"type":                       `type "t" is not one of u, v.*`,
		"unmatched":                  "not in match of the trigger policies",
		"policy:night-freeze/c":      "added by policy night-freeze: extra",
		"policy:night-freeze/nobody": "function nobody does not exist",
	}
	if len(x.Links) != len(want) {
		t.Errorf("%d links, want %d", len(x.Links), len(want))
	}
	matched := []string{"good", "paused", "policy:night-freeze/c"}
	for _, l := range x.Links {
		if l.Why != want[l.Name] || l.Matched != slices.Contains(matched, l.Name) || l.Chosen != (l.Matched && l.Name != "paused") {
			t.Errorf("%+v, want %q", l, want[l.Name])
		}
	}
}
