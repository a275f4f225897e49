package policies

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// slow takes longer than any budget of these tests, for events with the extension slow.
const slow = `{ input.event.slow; some i in numbers.range(1, 100000); some j in numbers.range(1, 100000); i * j == -1 }`

// broken ends with an error, for events with the extension broken.
const broken = "{ x == 1 }\nx := 1 if input.event.broken\nx := 2 if input.event.broken"

func open(p *resource.Policy) *resource.Policy {
	p.Spec.OnError = resource.OnErrorOpen
	return p
}

func TestAPolicyThatFailsOpenIsLeftOut(t *testing.T) {
	links := []*resource.Link{link("one", "a", "t"), link("two", "b", "t")}
	good := trigger("good", `deny contains {"link": "two", "reason": "no"}`)
	for name, c := range map[string]struct {
		policies []*resource.Policy
		want     string
		// err is the error where nothing can be chosen.
		err  string
		left string
	}{
		"an error":                           {[]*resource.Policy{good, open(trigger("p", "deny contains \"x\" if "+broken))}, "one -two(good: no)", "", "trigger policy p failed: "},
		"a budget":                           {[]*resource.Policy{good, open(trigger("p", "deny contains \"x\" if "+slow))}, "one -two(good: no)", "", "trigger policy p failed: budget of 300ms exceeded"},
		"a wrong shape":                      {[]*resource.Policy{good, open(trigger("p", "deny contains 5"))}, "one -two(good: no)", "", "trigger policy p failed: rule deny: 5: want a name or an object"},
		"an object of a wrong shape":         {[]*resource.Policy{good, open(trigger("p", `match contains {"x": 1}`))}, "one -two(good: no)", "", "rule match: an object: want field link"},
		"the last one that matches":          {[]*resource.Policy{open(trigger("p", "match contains \"one\" if "+broken))}, "one two", "", "policy p failed"},
		"the only one":                       {[]*resource.Policy{open(trigger("p", "deny contains \"x\" if "+broken))}, "one two", "", "policy p failed"},
		"two of them":                        {[]*resource.Policy{good, open(trigger("p", "deny contains \"x\" if "+broken)), open(trigger("q", "deny contains 5"))}, "one -two(good: no)", "", "policy q failed"},
		"one that another reads":             {[]*resource.Policy{trigger("good", "deny contains {\"link\": \"two\", \"reason\": \"no\"}\ntarget contains \"c\" if count(deny) == 1"), open(trigger("p", "deny contains \"x\" if "+broken))}, "one policy:good/c -two(good: no)", "", "policy p failed"},
		"one that fails closed":              {[]*resource.Policy{good, trigger("p", "deny contains \"x\" if "+broken)}, "", "trigger policy p failed: ", ""},
		"one of each":                        {[]*resource.Policy{good, open(trigger("o", "deny contains 5")), trigger("p", "deny contains 6")}, "", "trigger policy p failed: rule deny: 6", ""},
		"one whose function the others call": {[]*resource.Policy{open(trigger("o", "f(x) := x\ndeny contains 5")), trigger("p", `deny contains "x" if f(1) == 2`)}, "", "trigger policy o failed: rule deny: 5: want a name or an object; and the others need it", ""},
		"a library, by who calls it":         {[]*resource.Policy{good, policy("l", "package l\nimport rego.v1\nf(e) := 1 if e.event.broken\nf(e) := 2 if e.event.broken"), open(trigger("p", "deny contains \"x\" if data.l.f(input) == 1"))}, "one -two(good: no)", "", "trigger policy p failed"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, set(links, c.policies...))
			if name == "a budget" { // the others fail by themselves
				budgetOf(e, 300*time.Millisecond)
			}
			x := ev("t", "slow", "true", "broken", "true")
			choice, err := e.Choose(context.Background(), x, "", nil)
			why, xerr := e.Snapshot().Explain(t.Context(), x, "", time.Time{})
			if xerr != nil {
				t.Fatal(xerr)
			}
			if c.err != "" {
				if !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), c.err) || len(choice.Targets) > 0 || choice.Revision != 7 {
					t.Errorf("%s, error %v, want %q", describe(choice), err, c.err)
				}
				if why.Error != err.Error() {
					t.Errorf("explained %q, error %q", why.Error, err)
				}
				return
			}
			if got := describe(choice); err != nil || got != c.want {
				t.Errorf("%s, error %v, want %s", got, err, c.want)
			}
			if !strings.Contains(strings.Join(why.LeftOut, "; "), c.left) {
				t.Errorf("left out %q, want %q", why.LeftOut, c.left)
			}
			// and an event for which nothing fails has all of them again
			if _, err := e.Choose(context.Background(), ev("t"), "", nil); err != nil && !strings.Contains(err.Error(), "rule ") {
				t.Error(err)
			}
		})
	}
}

// budgetOf gives an engine and what is in force another budget.
func budgetOf(e *Engine, d time.Duration) {
	e.cfg.Budget = d
	e.current.Load().cfg.Budget = d
}

// watched is an engine on the usual clock, with what it says.
type watched struct {
	*Engine
	log    strings.Builder
	failed []string
}

func newWatched(t *testing.T, s resource.Set) *watched {
	t.Helper()
	w := &watched{}
	cfg := DefaultConfig()
	cfg.Budget = time.Second
	cfg.Logger = slog.New(slog.NewTextHandler(&w.log, nil))
	cfg.Observer.Failed = func(e *PolicyError) { w.failed = append(w.failed, e.Policy+" "+string(e.Class)) }
	var err error
	if w.Engine, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if faults := w.Load(s); faults != nil {
		t.Fatal(faults)
	}
	return w
}

func TestABreakerKeepsFromAskingWhatFails(t *testing.T) {
	for name, onError := range map[string]string{"closed": resource.OnErrorClosed, "open": resource.OnErrorOpen} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := trigger("p", "deny contains \"x\" if "+broken)
				p.Spec.OnError = onError
				w := newWatched(t, set([]*resource.Link{link("one", "a", "t")}, p, trigger("q", `deny contains {"link": "other", "reason": "no"} if input.event.id == "9"`)))
				panel := w.current.Load().rules.trigger.enforced
				fail := func() {
					for i := range panel.sources {
						if s := panel.sources[i]; s.name == "p" {
							panel.breakers.failed(&PolicyError{Policy: "p", Err: errors.New("slow"), source: s}, time.Now(), w.cfg.BreakAfter, w.cfg.BreakFor)
						}
					}
				}
				choose := func() (string, error) {
					c, err := w.Choose(t.Context(), ev("t"), "", nil)
					return describe(c), err
				}
				for range w.cfg.BreakAfter - 1 {
					fail()
				}
				if got, err := choose(); err != nil || got != "one" {
					t.Fatalf("before the last failure: %s, error %v", got, err)
				}
				for range w.cfg.BreakAfter { // the answer has begun the count anew
					fail()
				}
				got, err := choose()
				if onError == resource.OnErrorOpen && (err != nil || got != "one") {
					t.Errorf("skipped: %s, error %v", got, err)
				}
				if onError == resource.OnErrorClosed && (!errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), "trigger policy p failed: not asked for another 5s after 5 failures in a row: slow")) {
					t.Errorf("skipped: %s, error %v", got, err)
				}
				if failed, _ := errors.AsType[*PolicyError](err); failed != nil && failed.RetryAfter != w.cfg.BreakFor {
					t.Errorf("asked again in %s", failed.RetryAfter)
				}
				if len(w.failed) != 1 || w.failed[0] != "p breaker" {
					t.Errorf("told of %v", w.failed)
				}
				time.Sleep(w.cfg.BreakFor - time.Millisecond)
				choose()
				if len(w.failed) != 2 {
					t.Errorf("asked too early: told of %v", w.failed)
				}
				time.Sleep(time.Millisecond)
				if got, err := choose(); err != nil || got != "one" || len(w.failed) != 2 {
					t.Errorf("tried again: %s, error %v, told of %v", got, err, w.failed)
				}
				if n := panel.breakers.ailing.Load(); n != 0 {
					t.Errorf("%d still ail", n)
				}
			})
		})
	}
}

func TestATryThatFailsKeepsTheBreakerOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreakers([]*source{{name: "p"}})
		var p *source
		for p = range b.by {
		}
		sources := []*source{p}
		fail := func() { b.failed(&PolicyError{Err: errors.New("slow"), source: p}, time.Now(), 2, time.Second) }
		skipped := func(claim bool) bool {
			_, closed := b.skipped(sources, time.Now(), time.Second, claim)
			return closed != nil
		}
		fail()
		if skipped(true) {
			t.Error("after one failure")
		}
		fail()
		if !skipped(true) {
			t.Error("not after two")
		}
		time.Sleep(time.Second)
		if skipped(false) || skipped(true) {
			t.Error("not tried again")
		}
		if !skipped(true) {
			t.Error("tried by two at a time")
		}
		fail()
		time.Sleep(time.Second - time.Nanosecond)
		if !skipped(true) {
			t.Error("the failed try did not keep it open")
		}
		time.Sleep(time.Nanosecond)
		if skipped(true) {
			t.Error("not tried a second time")
		}
		b.succeeded(sources)
		for range 10 {
			b.failed(&PolicyError{Err: errors.New("slow"), source: p}, time.Now(), -1, time.Second)
		}
		if skipped(true) {
			t.Error("skipped without a breaker")
		}
		b.succeeded(sources)
		if skipped(true) || b.ailing.Load() != 0 {
			t.Error("not closed")
		}
		fail()
		if skipped(true) {
			t.Error("the count did not begin anew")
		}
	})
}

func TestOnlyFailuresThatCostTimeTripTheBreaker(t *testing.T) {
	w := newWatched(t, set([]*resource.Link{link("one", "a", "t")}, trigger("p", "deny contains \"x\" if "+broken), trigger("q", "deny contains \"x\" if "+slow)))
	for range 20 {
		if _, err := w.Choose(t.Context(), ev("t", "broken", "true"), "", nil); err == nil || strings.Contains(err.Error(), "not asked") {
			t.Fatal(err)
		}
	}
	const budget = 100 * time.Millisecond
	budgetOf(w.Engine, budget)
	for i := range 6 {
		start := time.Now()
		_, err := w.Choose(t.Context(), ev("t", "slow", "true"), "", nil)
		if err == nil || strings.Contains(err.Error(), "not asked") != (i == 5) {
			t.Fatalf("%d: %v", i, err)
		}
		if took := time.Since(start); took < budget && i < 5 {
			t.Errorf("%d took %s: asking takes the budget of %s", i, took, budget)
		}
	}
	if n := strings.Count(strings.Join(w.failed, ","), "q budget"); n != 5 {
		t.Errorf("told of %v", w.failed)
	}
	// what is remembered is still known
	if got := chosen(t, newEngine(t, set([]*resource.Link{link("one", "a", "t")})), ev("t")); got != "one" {
		t.Error(got)
	}
}

func TestRememberedDecisionsOutliveTheBreaker(t *testing.T) {
	w := newWatched(t, set([]*resource.Link{link("one", "a", "t")}, trigger("p", `deny contains "x" if input.event.tenant == "x"`)))
	panel := w.current.Load().rules.trigger.enforced
	if got := chosen(t, w.Engine, ev("t", "tenant", "y")); got != "one" {
		t.Fatal(got)
	}
	for range w.cfg.BreakAfter {
		panel.breakers.failed(&PolicyError{Err: errors.New("slow"), source: panel.sources[0]}, time.Now(), w.cfg.BreakAfter, w.cfg.BreakFor)
	}
	if got := chosen(t, w.Engine, ev("t", "tenant", "y")); got != "one" {
		t.Errorf("known: %s", got)
	}
	if _, err := w.Choose(t.Context(), ev("t", "tenant", "z"), "", nil); !errors.Is(err, ErrPolicy) {
		t.Errorf("unknown: %v", err)
	}
}

func TestFailuresAreLoggedOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, set([]*resource.Link{link("one", "a", "t")}, trigger("p", "deny contains \"x\" if "+broken), admission("q", "deny contains 5")))
		for range 100 {
			w.Choose(t.Context(), ev("t", "broken", "true"), "", nil)
			w.Admit(t.Context(), Admission{Event: ev("t")})
		}
		if n := strings.Count(w.log.String(), "policy failed"); n != 2 {
			t.Errorf("%d lines: %s", n, w.log.String())
		}
		time.Sleep(logPause)
		w.Choose(t.Context(), ev("t", "broken", "true"), "", nil)
		if n := strings.Count(w.log.String(), "policy failed"); n != 3 || !strings.Contains(w.log.String(), "not_logged=99") {
			t.Errorf("%d lines: %s", n, w.log.String())
		}
	})
}

func TestAdmissionPoliciesFailOpenOrClosed(t *testing.T) {
	a := Admission{Event: ev("t", "broken", "true")}
	allow := func(name, rules string) *resource.Policy { return admission(name, rules) }
	for name, c := range map[string]struct {
		policies []*resource.Policy
		want     Verdict
	}{
		"closed":                       {[]*resource.Policy{allow("p", "deny contains \"x\" if "+broken)}, Verdict{Reason: "the admission policy failed", Policy: "p"}},
		"open":                         {[]*resource.Policy{open(allow("p", "deny contains \"x\" if "+broken))}, Verdict{Allowed: true}},
		"open beside one that denies":  {[]*resource.Policy{open(allow("p", "deny contains \"x\" if "+broken)), allow("q", `deny contains "no"`)}, Verdict{Reason: "no", Policy: "q"}},
		"an allow of two, by its line": {[]*resource.Policy{open(allow("p", "allow if h\nh := 1 if input.event.broken\nh := 2 if input.event.broken")), allow("q", "allow if input.event.nothing")}, Verdict{Reason: "no admission policy allows it"}},
		"the highest denial tells":     {[]*resource.Policy{allow("p", `deny contains "low"`), ranked(allow("q", `deny contains "high"`), 3)}, Verdict{Reason: "high", Policy: "q"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := newEngine(t, set(nil, c.policies...)).Admit(t.Context(), a)
			if failed := got.Err != nil; failed != (c.want.Reason == "the admission policy failed") || failed && !errors.Is(got.Err, ErrPolicy) {
				t.Errorf("error %v", got.Err)
			}
			c.want.Revision, c.want.Ruled, c.want.Err = 7, got.Ruled, got.Err
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestWhatIsRememberedWithoutAPolicyIsForgottenWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, set([]*resource.Link{link("one", "a", "t"), link("two", "a", "t")},
			trigger("p", `deny contains {"link": "one", "reason": "x"} if input.event.tenant == "x"`),
			open(trigger("q", `deny contains {"link": "two", "reason": "x"} if input.event.tenant == "x"`))))
		panel := w.current.Load().rules.trigger.enforced
		if got := chosen(t, w.Engine, ev("t", "tenant", "x")); got != "-one(p: x) -two(q: x)" {
			t.Errorf("asked: %s", got)
		}
		for range w.cfg.BreakAfter {
			panel.breakers.failed(&PolicyError{Err: errors.New("slow"), source: panel.sources[1]}, time.Now(), w.cfg.BreakAfter, w.cfg.BreakFor)
		}
		for range 2 {
			if got := chosen(t, w.Engine, ev("t", "tenant", "x")); got != "two -one(p: x)" {
				t.Errorf("left out: %s", got)
			}
		}
		time.Sleep(w.cfg.BreakFor)
		if got := chosen(t, w.Engine, ev("t", "tenant", "x")); got != "-one(p: x) -two(q: x)" {
			t.Errorf("asked again: %s", got)
		}
	})
}

func TestASecondTryIsForTheMachineNotForThePolicy(t *testing.T) {
	links := []*resource.Link{link("one", "a", "t")}
	s := newEngine(t, set(links, trigger("p", `deny contains "x" if input.event.tenant == "x"`), trigger("q", "deny contains \"y\" if "+busy))).Snapshot()
	p := s.rules.trigger.enforced.full
	sc := new(scratch)
	x := ev("t", "tenant", "x", "slow", "true")
	s.findCandidates(sc, x, "")
	input, _ := s.question(x, sc.candidates, time.Time{}).input(p)
	late := fmt.Errorf("budget %w", errBudget)
	results, failures := p.isolate(t.Context(), input, time.Time{}, time.Minute, late)
	d, wrong := s.interpret(p, results)
	if len(failures) > 0 || len(wrong) > 0 || d.gets("one") || d.denied[""].policy != "p" {
		t.Errorf("all answered in time: %v, decision %+v", failures, d)
	}
	_, failures = p.isolate(t.Context(), input, time.Time{}, time.Minute, errors.New("together they broke"))
	if len(failures) != 1 || failures[0].Policy != "q" || failures[0].Class != ClassError {
		t.Errorf("together they broke: %v", failures)
	}
}

// busy counts for a while.
const busy = `{ input.event.slow; count([i | some i in numbers.range(1, 20000); i > 5]) == -1 }`
