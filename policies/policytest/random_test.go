package policytest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/tester"
	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/event"
)

// randomRules are what the policies of a random suite say.
var randomRules = []string{
	`deny contains {"link": l.name, "reason": "odd"} if { some l in input.links; endswith(l.name, input.event.tenant) }`,
	`deny contains {"link": "l1", "reason": "never l1"} if input.event.type == "t.b"`,
	`deny contains {"link": "l1"}`,
	`deny contains "all of it" if input.event.tenant == "3"`,
	`deny contains {"reason": sprintf("from %s", [input.event.source])} if input.event.data.n > 7`,
	`match contains l.name if { some l in input.links; l.labels.tier != "batch" }`,
	`match contains {"link": "l2"} if input.event.data.n > 3`,
	`match contains l if some l in input.links`,
	`target contains "f1" if input.event.data.n > 5`,
	`target contains {"function": "f2", "reason": "why not"}`,
	`target contains "gone"`,
	`deny contains {"link": "policy:p1/f2", "reason": "not that"} if input.event.tenant == "2"`,
}

// TestRandomSuitesHaveTheSameVerdictsInRego writes down what the engine decides
// about random policies as exact cases, and runs their export by OPA's tester.
func TestRandomSuitesHaveTheSameVerdictsInRego(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 15 {
		dir := filepath.Join(t.TempDir(), fmt.Sprint(round))
		randomSuite(t, r, dir)
		s, err := Load(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.cases = decided(t, r, s)
		ours, err := s.Run(t.Context())
		if err != nil || !ours.Good() {
			t.Fatalf("%+v, %v", ours, err)
		}
		export := filepath.Join(dir, "export")
		if err := s.Export(export); err != nil {
			t.Fatal(err)
		}
		results, err := tester.Run(context.Background(), export)
		if err != nil || len(results) != len(s.cases) {
			t.Fatalf("%d results, %v", len(results), err)
		}
		for _, one := range results {
			if !one.Pass() {
				cases, _ := os.ReadFile(filepath.Join(export, "cases_test.rego"))
				t.Errorf("round %d: %v\n%s", round, one, cases)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// randomSuite writes functions, links and policies.
func randomSuite(t *testing.T, r *rand.Rand, dir string) {
	t.Helper()
	var b strings.Builder
	for i := range 3 {
		fmt.Fprintf(&b, "---\napiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: f%d}\nspec: {url: \"http://127.0.0.1:9/\"}\n", i)
	}
	for i := range 5 {
		fmt.Fprintf(&b, "---\napiVersion: signalbox.dev/v1\nkind: Link\nmetadata: {name: l%d, labels: {tier: %s}}\nspec: {function: f%d, types: [%s], paused: %t}\n",
			i, []string{"batch", "live"}[r.IntN(2)], i%3, []string{"t.a", "t.*"}[r.IntN(2)], r.IntN(6) == 0)
	}
	for i := range r.IntN(5) {
		fmt.Fprintf(&b, "---\napiVersion: signalbox.dev/v1\nkind: Policy\nmetadata: {name: p%d}\nspec:\n  priority: %d\n  rego: |\n    package signalbox.trigger\n", i, r.IntN(3))
		for range 1 + r.IntN(2) {
			fmt.Fprintf(&b, "    %s\n", randomRules[r.IntN(len(randomRules))])
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "all.yaml"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// decided are cases that say exactly what the engine decides.
func decided(t *testing.T, r *rand.Rand, s *Suite) (cases []Case) {
	t.Helper()
	d, err := s.compile()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		e := &event.Event{
			ID: fmt.Sprint(i), Source: "/s", Type: []string{"t.a", "t.b"}[r.IntN(2)], DataContentType: "application/json",
			Data: fmt.Appendf(nil, `{"n": %d}`, r.IntN(10)),
		}
		e.SetExtension("tenant", fmt.Sprint(r.IntN(5)))
		c := Case{Name: fmt.Sprintf("case %d", i), event: e, file: "random.cases.yaml", line: i}
		got, err := d.engine.Snapshot().Choose(t.Context(), e, "", d.now, nil)
		if err != nil {
			t.Fatal(err)
		}
		m := madeOf(&got)
		c.Expect = Expect{Exact: true, Chosen: sorted(m.chosen), Targets: sorted(m.targets), Denied: m.denied}
		cases = append(cases, c)
	}
	if b, err := yaml.Marshal(cases[0].Expect); err == nil {
		t.Logf("such as %s", strings.ReplaceAll(string(b), "\n", " "))
	}
	return cases
}
