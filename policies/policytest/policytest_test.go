package policytest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

func run(t *testing.T, path string, opts Options) Report {
	t.Helper()
	s, err := Load(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCasesThatHoldPass(t *testing.T) {
	r := run(t, "testdata/shop", Options{})
	for _, one := range r.Tests {
		if one.Outcome != Pass && one.Outcome != Skip {
			t.Errorf("%s:%d %s: %s %v", one.File, one.Line, one.Name, one.Outcome, one.Problems)
		}
	}
	if r.Passed != 19 || r.Skipped != 1 || !r.Good() {
		t.Errorf("%d passed, %d skipped", r.Passed, r.Skipped)
	}
}

// wrongs are what is said of the cases of testdata/wrong.
var wrongs = map[string]string{
	"a is chosen":                  "chosen: a is missing: denied by policy p:3: never a",
	"b is not":                     "chosen: b is not wanted: type t",
	"a for another reason":         `denied: a: want reason "another reason", got "never a"`,
	"b is denied":                  "denied: b is missing: type t",
	"f is added":                   "targets: f is missing",
	"exactly a":                    "chosen: a is missing: denied by policy p:3: never a|chosen: b is not wanted: type t|denied: a is not wanted: never a",
	"nothing is denied":            "denied: a is not wanted: never a",
	"nothing is added":             "targets: f is not wanted",
	"c is chosen":                  "chosen: c is missing: there is no such link",
	"admitted":                     "admitted: want true, got false: no admission policy allows it",
	"not admitted":                 "admitted: want false, got true",
	"for a reason":                 `reason: want "because", got "no admission policy allows it"`,
	"it conflicts":                 "admitted: ",
	"no error comes":               `error: want "budget", got none`,
	"signalbox.trigger.test_wrong": "the test is not true",
	"signalbox.trigger.test_error": "the test is not true",
}

func TestCasesThatDoNotHoldSayWhy(t *testing.T) {
	r := run(t, "testdata/wrong", Options{})
	for _, one := range r.Tests {
		want, wrong := wrongs[one.Name]
		got := strings.Join(one.Problems, "|")
		switch {
		case !wrong && one.Outcome != Pass:
			t.Errorf("%s: %s %s", one.Name, one.Outcome, got)
		case wrong && (one.Outcome != Fail || got != want && (one.Name != "it conflicts" || !strings.HasPrefix(got, want))):
			t.Errorf("%s: %s %q, want %q", one.Name, one.Outcome, got, want)
		}
		if one.Name == "signalbox.trigger.test_wrong" && (one.File != "testdata/wrong/wrong.yaml" || one.Line != 27 || !strings.Contains(one.Output, "what is denied:")) {
			t.Errorf("%+v", one)
		}
	}
	if len(r.Tests) != len(wrongs)+2 || r.Failed != len(wrongs) {
		t.Errorf("%d of %d failed", r.Failed, len(r.Tests))
	}
}

func TestRunSelectsByName(t *testing.T) {
	r := run(t, "testdata/shop", Options{Run: regexp.MustCompile("woken")})
	if len(r.Tests) != 2 || r.Passed != 2 {
		t.Errorf("%+v", r)
	}
}

func TestOneFileOfTestsRunsAlone(t *testing.T) {
	for file, want := range map[string]int{"night_test.rego": 5, "shop.cases.yaml": 16} {
		r := run(t, filepath.Join("testdata/shop", file), Options{})
		if len(r.Tests) != want {
			t.Errorf("%s: %d tests, want %d", file, len(r.Tests), want)
		}
	}
}

func TestShadowPoliciesCountWhenAskedFor(t *testing.T) {
	s, err := Load("testdata/shop", Options{})
	if err != nil || len(s.Left()) != 1 || s.Left()[0] != "loud" {
		t.Fatalf("left out %v, %v", s.Left(), err)
	}
	r := run(t, "testdata/shop", Options{Shadow: true, Run: regexp.MustCompile("image by day")})
	if r.Failed != 1 || !strings.Contains(r.Tests[0].Problems[0], "denied by policy loud:6: in shadow") {
		t.Errorf("%+v", r)
	}
}

func TestWrongCasesAreRefusedWithTheirLines(t *testing.T) {
	for name, tt := range map[string]struct{ cases, want string }{
		"unknown field":         {"cases:\n  - name: a\n    evnt: {}\n", "x.cases.yaml:3: field evnt not found in type policytest.Case"},
		"no name":               {"cases:\n\n  - event: {type: t}\n    expect: {exact: true}\n", "x.cases.yaml:3: cases[0]: name: missing"},
		"no event":              {"cases:\n  - name: a\n    expect: {exact: true}\n", "x.cases.yaml:2: cases[0]: want event or management"},
		"wrong event":           {"cases:\n  - name: a\n    event: {source: /s}\n    expect: {exact: true}\n", "x.cases.yaml:2: cases[0]: event: invalid CloudEvent: type: missing"},
		"nothing expected":      {"cases:\n  - name: a\n    event: {type: t}\n", "x.cases.yaml:2: cases[0]: expect: want at least one of"},
		"a name twice":          {"cases:\n  - {name: a, event: {type: t}, expect: {exact: true}}\n  - {name: a, event: {type: t}, expect: {exact: true}}\n", `x.cases.yaml:3: cases[1]: "a" stands twice`},
		"reason for nothing":    {"cases:\n  - {name: a, event: {type: t}, expect: {admitted: true, reason: x}}\n", "expect.reason: only with admitted: false"},
		"a request chooses":     {"cases:\n  - {name: a, management: {verb: read}, expect: {exact: true}}\n", "only with an event"},
		"a resource of nothing": {"cases:\n  - {name: a, management: {verb: read, resource: {name: f}}, expect: {admitted: true}}\n", `unknown field "name": want a resource`},
		"no YAML":               {"cases: [", "x.cases.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseCases("x.cases.yaml", []byte(tt.cases))
			var faults resource.Faults
			if !errors.As(err, &faults) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

func TestWhatDoesNotCompileIsLocated(t *testing.T) {
	dir := t.TempDir()
	for name, src := range map[string]string{
		"p.yaml":      "apiVersion: signalbox.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  rego: |\n    package signalbox.trigger\n\n    deny contains x if x := nothing(1)\n",
		"q.rego":      "package signalbox.trigger\n\nmatch contains y if nonsense(1)\n",
		"r_test.rego": "package r\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Check(dir)
	var faults resource.Faults
	if !errors.As(err, &faults) {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range faults {
		lines = append(lines, strings.TrimPrefix(Line(f), dir+"/"))
	}
	all := strings.Join(lines, "\n")
	for _, want := range []string{"p.yaml:8:25: Policy/p: rego_type_error: undefined function nothing", "q.rego:3:21: rego_type_error: undefined function nonsense"} {
		if !strings.Contains(all, want) {
			t.Errorf("%s\nwant %s", all, want)
		}
	}
}

func TestCheckSaysWhatPoliciesRead(t *testing.T) {
	r, err := Check("testdata/shop")
	if err != nil || r.Functions != 3 || r.Links != 3 || len(r.Policies) != 9 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, p := range r.Policies {
		want, ok := map[string]string{
			"freeze": "event.drill event.frozen", "night": "time|testdata/shop/lib/clock.rego:3: reads input.time: input.time",
			"audit-trail": "event.type event.data data.limits.amount|testdata/shop/shop.yaml:38: reads input.event.data: input.event.data.amount",
		}[p.Policy]
		if got := strings.Join(append([]string{strings.Join(p.Inputs(), " ")}, p.NotRemembered...), "|"); ok && got != want {
			t.Errorf("%s: %s, want %s", p.Policy, got, want)
		}
		if p.Policy == "loud" && p.Mode != resource.ModeShadow || p.File == "" {
			t.Errorf("%s: mode %s, file %q", p.Policy, p.Mode, p.File)
		}
	}
}

func TestExportWantsADirectoryOfItsOwn(t *testing.T) {
	s, err := Load("testdata/shop", Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	for range 2 {
		if err := s.Export(filepath.Join(dir, "new")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(other, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Export(other); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("%v", err)
	}
}

// TestOPARunsTheSameTestsWithTheSameVerdicts builds the opa command of the
// version in go.mod and compares it test by test with what runs here.
func TestOPARunsTheSameTestsWithTheSameVerdicts(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the opa command")
	}
	opa := buildOPA(t)
	for _, dir := range []string{"testdata/shop", "testdata/wrong", "testdata/night", "testdata/plain"} {
		t.Run(dir, func(t *testing.T) {
			s, err := Load(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			ours, err := s.Run(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			export := filepath.Join(t.TempDir(), "export")
			if err := s.Export(export); err != nil {
				t.Fatal(err)
			}
			theirs := opaVerdicts(t, opa, export)
			for _, r := range ours.Tests {
				name := "data." + r.Name
				if r.Kind == "case" {
					if r.Exported == "" {
						continue
					}
					name = "data.signalbox_cases_test." + r.Exported
				}
				if got, ok := theirs[name]; !ok || got != (r.Outcome == Pass || r.Outcome == Skip) {
					t.Errorf("%s is %s here, with opa: known %t, passed %t", r.Name, r.Outcome, ok, got)
				}
				delete(theirs, name)
			}
			if len(theirs) > 0 {
				t.Errorf("only opa ran %v", theirs)
			}
		})
	}
}

// buildOPA builds the command from the module that go.mod names, into a
// directory that other runs find too.
func buildOPA(t *testing.T) string {
	t.Helper()
	version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/open-policy-agent/opa").Output()
	if err != nil {
		t.Fatal(err)
	}
	v := strings.TrimSpace(string(version))
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(cache, "signalbox-test", "opa-"+v)
	opa := filepath.Join(bin, "opa")
	if _, err := os.Stat(opa); err == nil {
		return opa
	}
	cmd := exec.Command("go", "install", "github.com/open-policy-agent/opa@"+v)
	cmd.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return opa
}

// opaVerdicts says of each test whether opa passed it; skipped ones are passed.
func opaVerdicts(t *testing.T, opa, dir string) map[string]bool {
	t.Helper()
	out, err := exec.Command(opa, "test", "--format", "json", dir).Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 2) {
		t.Fatalf("opa test: %v\n%s", err, exit.Stderr)
	}
	var results []struct {
		Package, Name string
		Fail          bool
		Error         any
	}
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	verdicts := map[string]bool{}
	for _, r := range results {
		verdicts[r.Package+"."+r.Name] = !r.Fail && r.Error == nil
	}
	return verdicts
}
