package policytest

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"

	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
)

// casesRego says in Rego how the engine makes a choice of what the rules say.
//
//go:embed cases.rego
var casesRego string

// marker is the file that tells an export from other directories.
const marker = "signalbox_cases.rego"

// Export writes the policies, their documents and tests, and the cases as Rego
// tests into dir, so that `opa test DIR` runs what Run runs. dir must be new,
// empty, or an export, which is replaced.
//
// What only the engine knows is computed here: which links are candidates for
// an event. A case that expects an error has no counterpart.
func (s *Suite) Export(dir string) error {
	files, err := s.exported()
	if err != nil {
		return err
	}
	if err := removeExport(dir); err != nil {
		return err
	}
	for _, name := range sorted(files) {
		full := filepath.Join(dir, filepath.FromSlash(name))
		// #nosec G301 -- policies of the user's, exported
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		// #nosec G306 -- policies of the user's, exported
		if err := os.WriteFile(full, []byte(files[name]), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// removeExport removes an earlier export; anything else must not be there.
func removeExport(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, marker)); err != nil {
		return fmt.Errorf("%s is not empty, and no earlier export: want a new directory", dir)
	}
	for _, name := range []string{"policies", "shipped", "tests", "data.json", "cases_test.rego", marker} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// exported are the files of an export by their paths.
func (s *Suite) exported() (map[string]string, error) {
	d, err := s.compile()
	if err != nil {
		return nil, err
	}
	modules, err := s.modules()
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	data, err := s.data()
	if err != nil {
		return nil, err
	}
	if len(data) > 0 {
		b, err := json.MarshalIndent(data, "", "  ")
		if err != nil {
			return nil, err
		}
		files["data.json"] = string(b) + "\n"
	}
	for i, t := range s.tests {
		files[fmt.Sprintf("tests/%03d_%s", i, filepath.Base(t.file))] = string(t.src)
	}
	defined := definitions(modules)
	for name, m := range policies.Shipped(func(pkg, rule string) bool { return defined[pkg+"."+rule] && !isShipped(modules, pkg, rule) }) {
		b, err := format.Ast(m)
		if err != nil {
			return nil, err
		}
		files[name] = string(b)
	}
	x := &exporter{files: files, set: &s.set}
	if err := x.stages(modules); err != nil {
		return nil, err
	}
	names := s.exportedNames()
	tests := []string{"# Made from the cases by `signalbox policy test --export`.\npackage signalbox_cases_test\n\nimport rego.v1\n"}
	for i := range s.cases {
		t, err := s.cases[i].rego(names[i], d)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	files["cases_test.rego"] = strings.Join(tests, "\n")
	return files, nil
}

// isShipped reports whether a rule comes from what is shipped.
func isShipped(modules map[string]*ast.Module, pkg, rule string) bool {
	for name, m := range modules {
		if strings.HasPrefix(name, "shipped/") && definitions(map[string]*ast.Module{name: m})[pkg+"."+rule] {
			return true
		}
	}
	return false
}

// exporter writes the policies, with the rules of each under names of their own
// where it matters whose they are.
type exporter struct {
	files map[string]string
	set   *resource.Set
	// helper is what is added to casesRego: whose rule says what.
	helper strings.Builder
}

// The stages as the cases ask them, and the rules whose author matters.
var exportStages = []struct {
	pkg   string
	rules []string
}{
	{"signalbox.trigger", []string{"match", "deny", "target"}},
	{"signalbox.admission", []string{"deny"}},
	{"signalbox.management", []string{"deny"}},
}

func (x *exporter) stages(modules map[string]*ast.Module) error {
	x.helper.WriteString(casesRego)
	for _, p := range x.set.Policies {
		if p.Spec.Rego != "" {
			x.files["policies/"+p.Metadata.Name+".rego"] = p.Spec.Rego
		}
	}
	for _, stage := range exportStages {
		for _, rule := range stage.rules {
			if err := x.rule(stage.pkg, rule, modules); err != nil {
				return err
			}
		}
	}
	var paused, functions []string
	for _, l := range x.set.Links {
		if l.Spec.Paused {
			paused = append(paused, l.Metadata.Name)
		}
	}
	for _, fn := range x.set.Functions {
		functions = append(functions, fn.Metadata.Name)
		for _, v := range x.set.Route(fn.Metadata.Name).Versions() {
			functions = append(functions, resource.VersionName(fn.Metadata.Name, v.Spec.Version))
		}
	}
	fmt.Fprintf(&x.helper, "\npaused := %s\n\nfunctions := %s\n", setOf(paused), setOf(functions))
	x.files[marker] = x.helper.String()
	return nil
}

// rule writes who says what under a rule, renamed per policy if there are
// several or their priorities count.
func (x *exporter) rule(pkg, rule string, modules map[string]*ast.Module) error {
	var definers []*resource.Policy
	for _, p := range x.set.Policies {
		if m := modules[policyFile(p.Metadata.Name)]; m != nil && definitions(map[string]*ast.Module{"": m})[pkg+"."+rule] {
			definers = append(definers, p)
		}
	}
	list := strings.TrimPrefix(pkg, "signalbox.") + "_" + rule
	switch {
	case len(definers) == 0 && rule == "match":
		fmt.Fprintf(&x.helper, "\n%s := [{\"says\": l.name, \"priority\": -1001} | some l in input.links]\n", list)
		return nil
	case len(definers) == 0: // the shipped one holds nothing, but tells OPA the type
		fmt.Fprintf(&x.helper, "\n%s := [%s]\n", list, comprehension(pkg+"."+rule, &resource.Policy{}))
		return nil
	case len(definers) == 1:
		fmt.Fprintf(&x.helper, "\n%s := [%s]\n", list, comprehension(pkg+"."+rule, definers[0]))
		return nil
	}
	parts := make([]string, len(definers))
	for i, p := range definers {
		name := fmt.Sprintf("%s_%d", rule, i)
		if err := x.rename(p, pkg, rule, name, modules[policyFile(p.Metadata.Name)]); err != nil {
			return err
		}
		parts[i] = "\t[" + comprehension(pkg+"."+name, p) + "],\n"
	}
	fmt.Fprintf(&x.helper, "\n%s := [x | some part in [\n%s]; some x in part]\n", list, strings.Join(parts, ""))
	return nil
}

func comprehension(ref string, p *resource.Policy) string {
	return fmt.Sprintf("{\"says\": x, \"priority\": %d, \"policy\": %s} | some x in data.%s", p.Spec.Priority, quote(p.Metadata.Name), ref)
}

// rename writes a policy with a rule under another name, and the rule under its
// own as what all of them say.
func (x *exporter) rename(p *resource.Policy, pkg, rule, name string, m *ast.Module) error {
	for _, r := range m.Rules {
		if v, ok := r.Head.Ref()[0].Value.(ast.Var); ok && string(v) == rule {
			r.Head.Name = ast.Var(name)
			r.Head.SetRef(ast.Ref{ast.VarTerm(name)})
		}
	}
	b, err := format.Ast(m)
	if err != nil {
		return fmt.Errorf("policy %s: %w", p.Metadata.Name, err)
	}
	x.files["policies/"+p.Metadata.Name+".rego"] = string(b)
	alias := "shipped/" + pkg + "." + rule + ".rego"
	if x.files[alias] == "" {
		x.files[alias] = "package " + pkg + "\n\nimport rego.v1\n"
	}
	x.files[alias] += fmt.Sprintf("\n%s contains x if some x in %s\n", rule, name)
	return nil
}

// setOf is a set of strings in Rego.
func setOf(names []string) string {
	if len(names) == 0 {
		return "set()"
	}
	names = slices.Clone(names)
	slices.Sort(names)
	for i, n := range names {
		names[i] = quote(n)
	}
	return "{" + strings.Join(slices.Compact(names), ", ") + "}"
}

func quote(s string) string { return ast.StringTerm(s).String() }

// exportable reports whether the case has a counterpart in Rego.
func (c *Case) exportable() bool { return c.Expect.Error == "" }

// rego is the case as a test.
func (c *Case) rego(name string, d *decider) (string, error) {
	title := fmt.Sprintf("# %s:%d: %s\n", filepath.Base(c.file), c.line, strings.Join(strings.Fields(c.Name), " "))
	if !c.exportable() {
		return title + "# (no test: only the engine knows what becomes of an error)\n", nil
	}
	d.now = c.at()
	mock := ""
	if !c.Time.IsZero() {
		mock = fmt.Sprintf(" with time.now_ns as %d", c.Time.UnixNano())
	}
	body := "\ttrue\n"
	if c.Expect.choosing() {
		input := d.engine.Snapshot().TriggerInput(c.event, c.Key, d.now)
		body += fmt.Sprintf("\tgot := data.signalbox_cases.choice with input as %v%s\n", input, mock) + c.Expect.conditions()
	}
	if c.Expect.Admitted != nil {
		stage, input, err := c.asked(d)
		if err != nil {
			return "", err
		}
		body += fmt.Sprintf("\tverdict := data.signalbox_cases.%s with input as %v%s\n\tverdict.admitted == %t\n", stage, input, mock, *c.Expect.Admitted)
		if c.Expect.Reason != "" {
			body += "\tverdict.reason == " + quote(c.Expect.Reason) + "\n"
		}
	}
	return title + name + " if {\n" + body + "}\n", nil
}

// asked is the stage that says whether the case is admitted, and its input.
func (c *Case) asked(d *decider) (stage string, input ast.Value, err error) {
	snap := d.engine.Snapshot()
	if c.Management == nil {
		input, err = snap.AdmissionInput(c.admission(), d.now)
		return "admission", input, err
	}
	m, err := c.management()
	if err == nil {
		input, err = snap.ManagementInput(m, d.now)
	}
	return "management", input, err
}

// conditions are what must hold of got.
func (x *Expect) conditions() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "\t"+format+"\n", args...) }
	for _, l := range x.Chosen {
		line("%s in got.chosen", quote(l))
	}
	for _, l := range x.NotChosen {
		line("not %s in got.chosen", quote(l))
	}
	for _, l := range sorted(x.Denied) {
		if x.Denied[l] == "" {
			line("got.denied[%s]", quote(l))
		} else {
			line("got.denied[%s] == %s", quote(l), quote(x.Denied[l]))
		}
	}
	for _, fn := range x.Targets {
		line("%s in got.targets", quote(fn))
	}
	if x.Exact {
		line("got.chosen == %s", setOf(x.Chosen))
		line("object.keys(got.denied) == %s", setOf(sorted(x.Denied)))
		line("got.targets == %s", setOf(x.Targets))
	}
	return b.String()
}
