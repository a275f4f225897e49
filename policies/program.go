package policies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/signalbox-dev/signalbox/resource"
)

// program is all policies of one stage compiled together, with one query that
// yields the result of every rule asked for. It is immutable and safe for
// concurrent use.
type program struct {
	compiler *ast.Compiler
	query    ast.Body
	queries  ast.QueryCompiler
	store    storage.Store
	txn      storage.Transaction
	// answers say what stands at each place of the query's array.
	answers []answer
	reads   reads
}

// answer is the result of one rule; policy is "" for rules that are not attributed.
type answer struct{ rule, policy string }

// resultVar is bound to the array of results.
const resultVar = ast.Var("results")

// compile compiles the modules of one stage; nil when they ask for nothing.
func compile(s stage, modules []*module) (*program, resource.Faults) {
	if len(modules) == 0 {
		return nil, nil
	}
	b := newBuild(s)
	for _, shape := range s.rules {
		b.addRule(shape, modules)
	}
	for _, m := range modules {
		b.modules[resource.KindPolicy+"/"+m.policy] = m.parsed
	}
	p := &program{compiler: ast.NewCompiler().WithCapabilities(capabilities()), answers: b.answers}
	if p.compiler.Compile(b.modules); p.compiler.Failed() {
		return nil, regoFaults(p.compiler.Errors)
	}
	if len(b.answers) == 0 {
		return nil, nil
	}
	if err := p.prepare(b.terms); err != nil {
		return nil, resource.Faults{{Field: regoField, Problem: err.Error()}}
	}
	p.reads = analyse(p.compiler, b.asked)
	return p, nil
}

// build gathers what a program is compiled from.
type build struct {
	stage   stage
	modules map[string]*ast.Module
	answers []answer
	terms   []*ast.Term
	// asked are the rules the query names.
	asked []ast.Ref
}

func newBuild(s stage) *build { return &build{stage: s, modules: map[string]*ast.Module{}} }

// addRule asks for a rule where a policy defines it, and adds the shipped one
// where none does. It is not asked for then: what it says is known.
func (b *build) addRule(shape ruleShape, modules []*module) {
	var definers []*module
	for _, m := range modules {
		if m.defines(shape.name) {
			definers = append(definers, m)
		}
	}
	switch {
	case len(definers) == 0:
		b.addShipped(shape.name)
	case !shape.attributed:
		b.ask(answer{rule: shape.name}, shape.name)
	default:
		for i, m := range definers {
			name := fmt.Sprintf("__%s_%d", shape.name, i)
			m.rename(shape.name, name)
			b.addAlias(shape.name, name, m.parsed)
			b.ask(answer{shape.name, m.policy}, name)
		}
	}
}

// addShipped adds the rule's shipped definition, if there is one.
func (b *build) addShipped(rule string) {
	m := ast.MustParseModule(b.stage.shipped)
	var kept []*ast.Rule
	for _, r := range m.Rules {
		if ruleName(r) == rule {
			kept = append(kept, r)
		}
	}
	m.Rules = kept
	b.modules["shipped/"+rule] = m
}

// addAlias keeps rule readable for policies after module m had to give it
// another name. The alias stands where the rule stood, for the faults' sake.
func (b *build) addAlias(rule, name string, m *ast.Module) {
	alias := ast.MustParseModule(fmt.Sprintf("package %s\nimport rego.v1\n%s contains x if some x in %s", b.stage.pkg, rule, name))
	for _, r := range m.Rules {
		if ruleName(r) == name {
			alias.Rules[0].Location = r.Location
			break
		}
	}
	b.modules["alias/"+name] = alias
}

// ask adds the rule to the query, in a set: a rule that is undefined must not
// make the others so.
func (b *build) ask(a answer, name string) {
	ref := "data." + b.stage.pkg + "." + name
	b.answers = append(b.answers, a)
	b.asked = append(b.asked, ast.MustParseRef(ref))
	b.terms = append(b.terms, ast.MustParseTerm("{x | x = "+ref+"}"))
}

func (p *program) prepare(results []*ast.Term) (err error) {
	query := ast.NewBody(ast.Equality.Expr(ast.NewTerm(resultVar), ast.ArrayTerm(results...)))
	p.queries = p.compiler.QueryCompiler()
	if p.query, err = p.queries.Compile(query); err != nil {
		return err
	}
	p.store = inmem.New()
	p.txn, err = p.store.NewTransaction(context.Background())
	return err
}

func (p *program) asksFor(rule string) bool {
	return slices.ContainsFunc(p.answers, func(a answer) bool { return a.rule == rule })
}

// eval evaluates the query within budget. The result has one element for each
// answer, nil where the rule is undefined.
func (p *program) eval(ctx context.Context, input ast.Value, now time.Time, budget time.Duration) ([]ast.Value, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cancel := topdown.NewCancel()
	timer := time.AfterFunc(budget, cancel.Cancel)
	defer timer.Stop()
	var results []ast.Value
	err := topdown.NewQuery(p.query).WithQueryCompiler(p.queries).WithCompiler(p.compiler).
		WithStore(p.store).WithTransaction(p.txn).WithMetrics(metrics.NoOp()).
		WithInput(ast.NewTerm(input)).WithTime(now).WithCancel(cancel).WithIndexing(true).WithEarlyExit(true).
		Iter(ctx, func(qr topdown.QueryResult) error {
			results = unwrap(qr[resultVar])
			return nil
		})
	switch {
	case topdown.IsCancel(err):
		return nil, fmt.Errorf("budget of %s exceeded", budget)
	case err != nil:
		return nil, errors.New(attributedName.ReplaceAllString(err.Error(), "$1"))
	case len(results) != len(p.answers):
		return nil, errors.New("no result")
	}
	return results, nil
}

// unwrap takes the results out of the sets that ask put them in.
func unwrap(t *ast.Term) []ast.Value {
	array, ok := t.Value.(*ast.Array)
	if !ok {
		return nil
	}
	values := make([]ast.Value, array.Len())
	for i := range values {
		if s, ok := array.Elem(i).Value.(ast.Set); ok && s.Len() == 1 {
			values[i] = s.Slice()[0].Value
		}
	}
	return values
}
