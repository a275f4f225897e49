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

// program is policies of one stage compiled together, with one query that
// yields the result of every rule asked for. It is immutable and safe for
// concurrent use.
type program struct {
	compiler *ast.Compiler
	all      query
	store    storage.Store
	txn      storage.Transaction
	stage    string
	// sources are the policies of the stage that are in it.
	sources []*source
	// answers say what stands at each place of the query's array, terms how it is asked for.
	answers []answer
	terms   []*ast.Term
	reads   reads
	// forgetful is why decisions are not remembered; "" when they are.
	forgetful string
	// number tells programs of one panel apart.
	number uint64
}

// query asks for n rules at once.
type query struct {
	body     ast.Body
	compiler ast.QueryCompiler
	n        int
}

// answer is the result of one rule; source is nil for rules that are not asked
// policy by policy.
type answer struct {
	rule   string
	source *source
	ref    ast.Ref
}

// resultVar is bound to the array of results.
const resultVar = ast.Var("results")

// compile compiles the sources of one stage with all libraries; nil when they
// ask for nothing.
func compile(st stage, sources, libraries []*source, docs *documents) (p *program, faults resource.Faults) {
	defer func() {
		if r := recover(); r != nil {
			p, faults = nil, resource.Faults{{Field: regoField, Problem: fmt.Sprintf("the compiler broke: %v", r)}}
		}
	}()
	b := newBuild(st)
	for _, s := range slices.Concat(sources, libraries) {
		b.modules[s.file()] = s.module.Copy()
	}
	for _, shape := range st.rules {
		b.addRule(shape, sources)
	}
	p = &program{stage: st.name, compiler: ast.NewCompiler().WithCapabilities(capabilities()), sources: sources, answers: b.answers, terms: b.terms}
	if p.compiler.Compile(b.modules); p.compiler.Failed() {
		return nil, regoFaults(p.compiler.Errors)
	}
	if faults := checkGrowth(p.compiler.Modules); len(faults) > 0 {
		return nil, faults
	}
	if len(b.answers) == 0 {
		return nil, nil
	}
	if err := p.prepare(docs); err != nil {
		return nil, resource.Faults{{Field: regoField, Problem: err.Error()}}
	}
	p.reads = analyse(p.compiler, p.answers, docs)
	p.forgetful = p.reads.forgetful()
	return p, nil
}

// build gathers what a program is compiled from.
type build struct {
	stage   stage
	modules map[string]*ast.Module
	answers []answer
	terms   []*ast.Term
}

func newBuild(st stage) *build { return &build{stage: st, modules: map[string]*ast.Module{}} }

// addRule asks for a rule where a policy defines it, and adds the shipped one
// where none does. It is not asked for then: what it says is known.
func (b *build) addRule(shape ruleShape, sources []*source) {
	var definers []*source
	for _, s := range sources {
		if s.defines(shape.name) {
			definers = append(definers, s)
		}
	}
	switch {
	case len(definers) == 0:
		b.addShipped(shape.name)
	case !shape.set:
		b.ask(answer{rule: shape.name}, shape.name)
	default:
		for i, s := range definers {
			m, name := b.modules[s.file()], fmt.Sprintf("__%s_%d", shape.name, i)
			rename(m, shape.name, name)
			b.addAlias(shape.name, name, m)
			b.ask(answer{rule: shape.name, source: s}, name)
		}
	}
}

// addShipped adds the rule's shipped definition, if there is one.
func (b *build) addShipped(rule string) {
	m := ast.MustParseModule(b.stage.shipped)
	m.Rules = slices.DeleteFunc(m.Rules, func(r *ast.Rule) bool { return ruleName(r) != rule })
	b.modules["shipped/"+rule] = m
}

// addAlias keeps rule readable for policies after module m had to give it
// another name. The alias stands where the rule stood, for the faults' sake.
func (b *build) addAlias(rule, name string, m *ast.Module) {
	alias := ast.MustParseModule(fmt.Sprintf("package %s\nimport rego.v1\n%s contains x if some x in %s", b.stage.pkg(), rule, name))
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
	a.ref = ast.MustParseRef("data." + b.stage.pkg() + "." + name)
	b.answers = append(b.answers, a)
	b.terms = append(b.terms, ast.MustParseTerm("{x | x = "+a.ref.String()+"}"))
}

func (p *program) prepare(docs *documents) (err error) {
	if p.all, err = p.queryFor(p.terms); err != nil {
		return err
	}
	p.store = inmem.NewFromASTObject(docs.value().(ast.Object))
	p.txn, err = p.store.NewTransaction(context.Background())
	return err
}

func (p *program) queryFor(terms []*ast.Term) (query, error) {
	q := query{compiler: p.compiler.QueryCompiler(), n: len(terms)}
	var err error
	q.body, err = q.compiler.Compile(ast.NewBody(ast.Equality.Expr(ast.NewTerm(resultVar), ast.ArrayTerm(terms...))))
	return q, err
}

func (p *program) asksFor(rule string) bool {
	return slices.ContainsFunc(p.answers, func(a answer) bool { return a.rule == rule })
}

// errBudget is wrapped by the error of an evaluation that was broken off.
var errBudget = errors.New("exceeded")

// eval evaluates a query within budget; nil stands where a rule is undefined.
func (p *program) eval(ctx context.Context, q query, input ast.Value, now time.Time, budget time.Duration, tracers ...topdown.QueryTracer) (results []ast.Value, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cancel := topdown.NewCancel()
	timer := time.AfterFunc(budget, cancel.Cancel)
	defer timer.Stop()
	defer func() {
		if r := recover(); r != nil {
			results, err = nil, fmt.Errorf("the evaluation broke: %v", r)
		}
	}()
	evaluation := topdown.NewQuery(q.body).WithQueryCompiler(q.compiler).WithCompiler(p.compiler).
		WithStore(p.store).WithTransaction(p.txn).WithMetrics(metrics.NoOp()).
		WithInput(ast.NewTerm(input)).WithTime(now).WithCancel(cancel).WithIndexing(true).WithEarlyExit(true)
	for _, t := range tracers {
		evaluation = evaluation.WithQueryTracer(t)
	}
	err = evaluation.Iter(ctx, func(qr topdown.QueryResult) error {
		results = unwrap(qr[resultVar])
		return nil
	})
	switch {
	case topdown.IsCancel(err):
		return nil, fmt.Errorf("budget of %s %w", budget, errBudget)
	case err != nil:
		return nil, &evalError{clip(attributedName.ReplaceAllString(err.Error(), "$1")), err}
	case len(results) != q.n:
		return nil, errors.New("no result")
	}
	return results, nil
}

// evalError is an error of OPA, in the words of the policies' authors.
type evalError struct {
	text string
	err  error
}

func (e *evalError) Error() string { return e.text }
func (e *evalError) Unwrap() error { return e.err }

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
