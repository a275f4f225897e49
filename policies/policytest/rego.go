package policytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"

	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
)

// runRego runs the rules named test_… of all modules, by OPA's own tester.
func (s *Suite) runRego(ctx context.Context) ([]Result, error) {
	modules, err := s.modules()
	if err != nil {
		return nil, err
	}
	store, err := s.store()
	if err != nil {
		return nil, err
	}
	runner := tester.NewRunner().SetStore(store).CapturePrintOutput(true).SetModules(modules)
	if s.opts.Run != nil {
		runner.Filter(s.opts.Run.String())
	}
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	defer store.Abort(ctx, txn)
	ch, err := runner.RunTests(ctx, txn)
	if err != nil {
		return nil, s.located(err)
	}
	var results []Result
	for r := range ch {
		results = append(results, s.regoResult(r))
	}
	return results, ctx.Err()
}

// modules parses policies and tests. Policies are named Policy/<name>.
func (s *Suite) modules() (map[string]*ast.Module, error) {
	modules := map[string]*ast.Module{}
	var faults resource.Faults
	parse := func(name, src string) {
		m, err := ast.ParseModuleWithOpts(name, src, ast.ParserOptions{RegoVersion: ast.RegoV1})
		if err != nil {
			faults = append(faults, s.located(err)...)
		} else if m != nil {
			modules[name] = m
		}
	}
	for _, p := range s.set.Policies {
		if p.Spec.Rego != "" {
			parse(policyFile(p.Metadata.Name), p.Spec.Rego)
		}
	}
	defined := definitions(modules)
	for _, t := range s.tests {
		parse(t.file, string(t.src))
	}
	maps.Copy(modules, policies.Shipped(func(pkg, rule string) bool { return defined[pkg+"."+rule] }))
	return modules, faults.Err()
}

func policyFile(name string) string { return resource.KindPolicy + "/" + name }

// definitions are the rules that the modules define, as package.rule.
func definitions(modules map[string]*ast.Module) map[string]bool {
	defined := map[string]bool{}
	for _, m := range modules {
		pkg := strings.TrimPrefix(m.Package.Path.String(), "data.")
		for _, r := range m.Rules {
			if v, ok := r.Head.Ref()[0].Value.(ast.Var); ok {
				defined[pkg+"."+string(v)] = true
			}
		}
	}
	return defined
}

// data joins the documents of the policies.
func (s *Suite) data() (map[string]any, error) {
	data := map[string]any{}
	for _, p := range s.set.Policies {
		for k, raw := range p.Spec.Data {
			var v any
			dec := json.NewDecoder(strings.NewReader(string(raw)))
			dec.UseNumber()
			if err := dec.Decode(&v); err != nil {
				return nil, fmt.Errorf("policy %s: spec.data.%s: %w", p.Metadata.Name, k, err)
			}
			merge(data, k, v)
		}
	}
	return data, nil
}

// merge puts v at k; objects are joined. That nothing stands twice was checked
// when the policies were compiled.
func merge(into map[string]any, k string, v any) {
	here, isObject := into[k].(map[string]any)
	more, alsoObject := v.(map[string]any)
	if !isObject || !alsoObject {
		into[k] = v
		return
	}
	for name, x := range more {
		merge(here, name, x)
	}
}

func (s *Suite) store() (storage.Store, error) {
	data, err := s.data()
	if err != nil {
		return nil, err
	}
	return inmem.NewFromObject(data), nil
}

// located turns errors of OPA into faults with the files and lines of the user.
func (s *Suite) located(err error) resource.Faults {
	var list ast.Errors
	var one *ast.Error
	switch {
	case errors.As(err, &list):
	case errors.As(err, &one):
		list = ast.Errors{one}
	default:
		return resource.Faults{{Problem: err.Error()}}
	}
	faults := make(resource.Faults, len(list))
	for i, e := range list {
		f := resource.Fault{Problem: e.Code + ": " + e.Message}
		if e.Location != nil {
			f.File, f.Line = s.locate(e.Location)
			f.Problem = fmt.Sprintf("column %d: %s", e.Location.Col, f.Problem)
		}
		faults[i] = f
	}
	return faults
}

// locate is a place in a module as file and line.
func (s *Suite) locate(at *ast.Location) (file string, line int) {
	if policy, ok := strings.CutPrefix(at.File, resource.KindPolicy+"/"); ok {
		return s.place(policy, at.Row)
	}
	return at.File, at.Row
}

func (s *Suite) regoResult(r *tester.Result) Result {
	out := Result{
		Kind: "rego", Name: strings.TrimPrefix(r.Package, "data.") + "." + r.Name,
		Outcome: Pass, Output: string(r.Output), Milliseconds: milliseconds(r.Duration),
	}
	if r.Location != nil {
		out.File, out.Line = s.locate(r.Location)
	}
	switch {
	case r.Skip:
		out.Outcome = Skip
	case r.Error != nil:
		out.Outcome = Error
		out.problem(r.Error.Error())
	case r.Fail:
		out.Outcome = Fail
		out.problem("the test is not true")
		for name, sub := range r.SubResults.Iter {
			if sub.Fail {
				out.problem("failed: " + strings.Join(name, "/"))
			}
		}
	}
	return out
}
