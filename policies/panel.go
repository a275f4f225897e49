package policies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/signalbox-dev/signalbox/resource"
)

// panel is the policies of one stage that decide together. When one of them
// fails it decides without it, or not at all, as the policy says. It is safe
// for concurrent use.
type panel struct {
	stage     stage
	sources   []*source
	libraries []*source
	// others are libraries, and policies that hold documents only.
	others []*source
	docs   *documents
	// shadow panels leave no trace in figures of the enforced ones.
	shadow bool
	// full has every source in it.
	full     *program
	breakers *breakers

	mu sync.Mutex
	// reduced are the programs without some of the sources, by their names; made
	// when they are first needed, at most maxReduced.
	reduced map[string]reduced
	// made counts programs, to number them.
	made uint64
}

// reduced is a program without some sources; nil when the rest asks for nothing.
type reduced struct {
	program *program
	err     error
}

// maxReduced bounds the programs that are kept beside the full one. Beyond it they begin anew.
const maxReduced = 16

// newPanel compiles the sources; nil when they ask for nothing.
func newPanel(st stage, sources, others []*source, docs *documents, shadow bool) (*panel, resource.Faults) {
	libraries := slices.DeleteFunc(slices.Clone(others), func(s *source) bool { return s.module == nil })
	full, faults := compile(st, sources, libraries, docs)
	if full == nil {
		return nil, faults
	}
	return &panel{
		stage: st, sources: sources, libraries: libraries, others: others, docs: docs, shadow: shadow, full: full,
		breakers: newBreakers(sources), reduced: map[string]reduced{},
	}, nil
}

// skipped are the policies that are not asked now; see breakers.skipped.
func (p *panel) skipped(cfg *Config, claim bool) (open []*source, closed *PolicyError) {
	if p.breakers.ailing.Load() == 0 {
		return nil, nil
	}
	return p.breakers.skipped(p.sources, cfg.Clock(), cfg.BreakFor, claim)
}

func (p *panel) readsLinks() bool { return p != nil && (p.full.reads.whole || p.full.reads.links) }

// asksFor reports whether any policy defines the rule.
func (p *panel) asksFor(rule string) bool { return p != nil && p.full.asksFor(rule) }

// without is the program that lacks the sources left out: the choice as if they
// did not exist. nil means that the others ask for nothing.
func (p *panel) without(left []*source) (*program, error) {
	if len(left) == 0 {
		return p.full, nil
	}
	key := names(left)
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.reduced[key]
	if ok {
		return r.program, r.err
	}
	if len(p.reduced) == maxReduced {
		clear(p.reduced)
	}
	rest := slices.DeleteFunc(slices.Clone(p.sources), func(s *source) bool { return slices.Contains(left, s) })
	program, faults := compile(p.stage, rest, p.libraries, p.docs)
	p.made++
	if program != nil {
		program.number = p.made
	}
	r = reduced{program, faults.Err()}
	p.reduced[key] = r
	return r.program, r.err
}

// names of sources, in order.
func names(sources []*source) string {
	list := make([]string, len(sources))
	for i, s := range sources {
		list[i] = s.name
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// question is what a panel is asked: how to make the input for a program, and
// how to read its results. Results of a wrong shape are failures; without a
// program nothing was asked for.
type question[T any] struct {
	input func(*program) (ast.Value, error)
	read  func(*program, []ast.Value) (T, []*PolicyError)
	// now is the time that policies see.
	now    time.Time
	budget time.Duration
	// watch is told what happens; nil leaves no trace.
	watch *watch
	// left is told of each policy that is left out; nil is nobody.
	left func(*PolicyError)
}

// begin asks the policies of the panel that are not skipped. The program that
// answered is returned with what it said; nil is none, since none was left.
func begin[T any](ctx context.Context, p *panel, q question[T], cfg *Config) (v T, used *program, err error) {
	left, closed := p.skipped(cfg, true)
	if closed != nil {
		q.watch.skipped(closed)
		return v, nil, closed
	}
	for _, s := range left {
		q.watch.skipped(p.breakers.error(s, cfg.Clock()))
	}
	prog, err := p.without(left)
	if err != nil {
		return v, nil, needed(p.breakers.error(left[0], cfg.Clock()), err)
	}
	return ask(ctx, p, prog, left, q)
}

// ask evaluates prog, and when policies fail that may be left out, as left are,
// what remains. An error is a *PolicyError, or that of ctx or the input.
func ask[T any](ctx context.Context, p *panel, prog *program, left []*source, q question[T]) (T, *program, error) {
	var none T
	for prog != nil {
		start := time.Now()
		v, failures, err := attempt(ctx, prog, q)
		if err != nil {
			return none, nil, err
		}
		took := time.Since(start)
		q.watch.evaluated(took)
		if len(failures) == 0 {
			q.watch.succeeded(prog)
			return v, prog, nil
		}
		open, closed := sortFailures(failures)
		if len(open) == 0 {
			for _, e := range closed {
				q.watch.failed(e, took)
			}
			return none, nil, closed[0]
		}
		left = slices.Clone(left)
		for _, e := range open {
			q.watch.failed(e, took)
			if q.left != nil {
				q.left(e)
			}
			left = append(left, e.source)
		}
		if prog, err = p.without(left); err != nil {
			return none, nil, needed(open[0], err)
		}
	}
	v, _ := q.read(nil, nil)
	return v, nil, nil
}

// sortFailures parts the failures of policies that may be left out from the
// others. These count only when nothing can be left out any more: they may have
// failed by reading what the first say.
func sortFailures(failures []*PolicyError) (open, closed []*PolicyError) {
	for _, e := range failures {
		if e.source != nil && e.source.open {
			open = append(open, e)
		} else {
			closed = append(closed, e)
		}
	}
	return open, closed
}

// needed is the failure of a policy that the others cannot do without.
func needed(e *PolicyError, err error) *PolicyError {
	return &PolicyError{Stage: e.Stage, Policy: e.Policy, Class: e.Class, source: e.source,
		Err: fmt.Errorf("%w; and the others need it: %s", e.Err, clip(err.Error()))}
}

// attempt evaluates a program once, and where that fails policy by policy. The
// error is that of ctx, or of the input.
func attempt[T any](ctx context.Context, p *program, q question[T]) (v T, failures []*PolicyError, err error) {
	input, err := q.input(p)
	if err != nil {
		return v, nil, err
	}
	results, err := p.eval(ctx, p.all, input, q.now, q.budget)
	if err != nil {
		if ctx.Err() != nil {
			return v, nil, ctx.Err()
		}
		if results, failures = p.isolate(ctx, input, q.now, q.budget, err); ctx.Err() != nil {
			return v, nil, ctx.Err()
		}
		if len(failures) > 0 {
			return v, failures, nil
		}
	}
	v, failures = q.read(p, results)
	return v, failures, nil
}

// isolate evaluates the answers of each policy by themselves, after all
// together ended with the error whole. When every policy answers, and all of
// them within the budget, it was a hiccup; beyond it the slowest is to blame.
func (p *program) isolate(ctx context.Context, input ast.Value, now time.Time, budget time.Duration, whole error) ([]ast.Value, []*PolicyError) {
	results := make([]ast.Value, len(p.answers))
	var failures []*PolicyError
	var slowest answer
	var longest, sum time.Duration
	for _, group := range p.groups() {
		start := time.Now()
		err := p.evalGroup(ctx, group, input, now, budget, results)
		took := time.Since(start)
		if sum += took; took > longest {
			longest, slowest = took, p.answers[group[0]]
		}
		if err != nil {
			failures = append(failures, p.blame(p.answers[group[0]], err))
		}
	}
	if len(failures) == 0 && (sum > budget || !errors.Is(whole, errBudget)) {
		failures = append(failures, p.blame(slowest, whole))
	}
	return results, failures
}

// groups are the places of the answers of each policy; those that belong to none are a group each.
func (p *program) groups() (groups [][]int) {
	of := map[*source]int{}
	for i, a := range p.answers {
		g, ok := of[a.source]
		if !ok || a.source == nil {
			g = len(groups)
			of[a.source] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}

func (p *program) evalGroup(ctx context.Context, group []int, input ast.Value, now time.Time, budget time.Duration, results []ast.Value) error {
	terms := make([]*ast.Term, len(group))
	for i, at := range group {
		terms[i] = p.terms[at]
	}
	q, err := p.queryFor(terms)
	if err != nil {
		return err
	}
	values, err := p.eval(ctx, q, input, now, budget)
	for i, v := range values {
		results[group[i]] = v
	}
	return err
}

// blame finds the policy whose failure err is. For a rule that several define
// together that is the one at whose line it happened; where that is not known,
// one without which nothing may be decided.
func (p *program) blame(a answer, err error) *PolicyError {
	e := &PolicyError{Stage: p.stage, Class: ClassError, Err: err, source: a.source}
	if errors.Is(err, errBudget) {
		e.Class = ClassBudget
	}
	if e.source == nil {
		e.source = p.definer(a.rule, err)
	}
	if e.source != nil {
		e.Policy = e.source.name
	}
	return e
}

// definer is the policy to blame for a rule that several may define.
func (p *program) definer(rule string, err error) *source {
	var at *topdown.Error
	file := ""
	if errors.As(err, &at) && at.Location != nil {
		file = at.Location.File
	}
	var found *source
	for _, s := range p.sources {
		if s.file() == file {
			return s
		}
		if s.defines(rule) && (found == nil || found.open && !s.open) {
			found = s
		}
	}
	return found
}

// watch tells of the evaluations of one panel.
type watch struct {
	cfg    *Config
	shared *shared
	panel  *panel
	// about are the attributes of a log line.
	about []any
}

func (w *watch) evaluated(took time.Duration) {
	if w != nil && !w.panel.shadow && w.cfg.Observer.Evaluated != nil {
		w.cfg.Observer.Evaluated(w.panel.stage.name, took)
	}
}

func (w *watch) succeeded(p *program) {
	if w != nil {
		w.panel.breakers.succeeded(p.sources)
	}
}

// failed counts a failure; one that took long counts towards the breaker.
func (w *watch) failed(e *PolicyError, took time.Duration) {
	if w == nil {
		return
	}
	if !w.panel.shadow {
		w.shared.failures.Add(1)
	}
	now := w.cfg.Clock()
	if e.Class == ClassBudget || took >= w.cfg.Budget/10 {
		w.panel.breakers.failed(e, now, w.cfg.BreakAfter, w.cfg.BreakFor)
	}
	w.skipped(e)
	w.panel.breakers.log(w.cfg.Logger, e, now, w.about...)
}

// skipped counts a failure without an evaluation.
func (w *watch) skipped(e *PolicyError) {
	if w != nil && !w.panel.shadow && w.cfg.Observer.Failed != nil {
		w.cfg.Observer.Failed(e)
	}
}

func (s *Snapshot) watch(p *panel, about ...any) *watch {
	return &watch{&s.cfg, s.shared, p, about}
}
