package policies

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// versionedSet has the function f with v1 and v2 (and more, if need be), of
// which the last is in force and may split the traffic.
func versionedSet(t testing.TB, revision uint64, traffic string, versions ...string) resource.Set {
	t.Helper()
	var objects []resource.Object
	for i, v := range versions {
		o := resource.Object{APIVersion: resource.APIVersion, Kind: resource.KindFunction, Metadata: resource.Metadata{Name: "f@" + v},
			Spec: fmt.Appendf(nil, `{"url":"http://f/","version":%q}`, v)}
		if i == len(versions)-1 {
			o.Metadata.Name, o.Spec = "f", fmt.Appendf(nil, `{"url":"http://f/","version":%q,"traffic":[%s]}`, v, traffic)
		}
		objects = append(objects, o)
	}
	s, faults := resource.NewSet(revision, objects)
	if faults != nil {
		t.Fatal(faults)
	}
	return s
}

const halves = `{"version":"v1","weight":1},{"version":"v2","weight":1}`

// versionsOf are the versions chosen, by link.
func versionsOf(t *testing.T, e *Engine, x *event.Event, key string) string {
	t.Helper()
	c, err := e.Choose(context.Background(), x, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, target := range c.Targets {
		out = append(out, target.Link.Metadata.Name+"="+target.Function.Spec.Version)
	}
	for _, d := range c.Denied {
		out = append(out, "-"+d.Link)
	}
	return strings.Join(out, " ")
}

func TestVersions(t *testing.T) {
	target := trigger("p", `target contains f if some f in ["f", "f@v1", "f@v9"]`)
	for name, c := range map[string]struct {
		traffic string
		links   map[string]string
		policy  *resource.Policy
		want    string
	}{
		"the one in force, without traffic":  {"", map[string]string{"l": "f"}, nil, "l=v2"},
		"one that is kept, by its name":      {"", map[string]string{"l": "f@v1"}, nil, "l=v1"},
		"the one in force, by its name":      {"", map[string]string{"l": "f@v2"}, nil, "l=v2"},
		"one there is not":                   {"", map[string]string{"l": "f@v9"}, nil, ""},
		"all traffic to a kept one":          {`{"version":"v1","weight":1}`, map[string]string{"l": "f", "m": "f@v2"}, nil, "l=v1 m=v2"},
		"none to the one in force":           {`{"version":"v1","weight":1},{"version":"v2","weight":0}`, map[string]string{"l": "f"}, nil, "l=v1"},
		"a policy, with and without version": {"", nil, target, "policy:p/f=v2 policy:p/f@v1=v1"},
		"a policy, by traffic":               {`{"version":"v1","weight":1}`, nil, target, "policy:p/f=v1 policy:p/f@v1=v1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := versionedSet(t, 1, c.traffic, "v1", "v2")
			for name, to := range c.links {
				s.Links = append(s.Links, link(name, to, "t"))
			}
			if len(s.Links) == 2 && s.Links[0].Metadata.Name > s.Links[1].Metadata.Name {
				s.Links[0], s.Links[1] = s.Links[1], s.Links[0]
			}
			if c.policy != nil {
				s.Policies = []*resource.Policy{c.policy}
			}
			if got := versionsOf(t, newEngine(t, s), ev("t"), "k"); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestPoliciesSeeTheVersionThatTrafficPicks, also when the decision is remembered.
func TestPoliciesSeeTheVersionThatTrafficPicks(t *testing.T) {
	s := versionedSet(t, 1, halves, "v1", "v2")
	s.Links = []*resource.Link{link("l", "f", "t"), link("pinned", "f@v1", "t")}
	s.Policies = []*resource.Policy{trigger("p", `deny contains {"link": l.name, "reason": "not yet"} if { some l in input.links; l.version == "v2" }
target contains "f"`)}
	e := newEngine(t, s)
	seen := map[string]int{}
	for i := range 200 {
		key := fmt.Sprintf("key-%d", i%100)
		picked := s.Route("f").Pick(key, "", "").Spec.Version
		want := "l=v1 pinned=v1 policy:p/f=v1"
		if picked == "v2" {
			want = "pinned=v1 policy:p/f=v2 -l"
		}
		x := ev("t")
		x.ID = fmt.Sprint(i)
		if got := versionsOf(t, e, x, key); got != want {
			t.Fatalf("key %s: %s, want %s", key, got, want)
		}
		seen[picked]++
	}
	if st := e.Stats(); seen["v1"] < 50 || seen["v2"] < 50 || st.MemoMisses != 2 || st.MemoHits != 198 {
		t.Errorf("%v, %d hits and %d misses: want one miss for each version", seen, st.MemoHits, st.MemoMisses)
	}
}

func TestWithoutAKeyTheEventPicks(t *testing.T) {
	s := versionedSet(t, 1, halves, "v1", "v2")
	s.Links = []*resource.Link{link("l", "f", "t")}
	e, seen := newEngine(t, s), map[string]bool{}
	for i := range 100 {
		x := ev("t")
		x.ID = fmt.Sprint(i)
		first := versionsOf(t, e, x, "")
		if again := versionsOf(t, e, x, ""); again != first {
			t.Fatalf("event %d: %s, then %s", i, first, again)
		}
		seen[first] = true
	}
	if len(seen) != 2 {
		t.Errorf("only %v", seen)
	}
}

func TestChoosingByTrafficDoesNotAllocate(t *testing.T) {
	s := versionedSet(t, 1, halves, "v1", "v2")
	s.Links = []*resource.Link{link("l", "f", "t"), link("m", "f", "t")}
	e, x, buf := newEngine(t, s), ev("t"), make([]resource.Target, 0, 4)
	x.Source = "/a/source/that/is/longer/than/32/bytes"
	if n := testing.AllocsPerRun(100, func() { e.Choose(context.Background(), x, "", buf) }); n != 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}
