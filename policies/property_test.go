package policies

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// world makes random links, policies and events from few names, so that they meet.
type world struct{ *rand.Rand }

func newWorld(t testing.TB) world {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return world{rand.New(rand.NewPCG(seed, 2))}
}

func (w world) pick(s ...string) string { return s[w.IntN(len(s))] }

func (w world) types() []string {
	var out []string
	for range 1 + w.IntN(3) {
		if w.IntN(6) == 0 { // of one of more lengths than are looked up
			out = append(out, longType[:1+w.IntN(len(longType))]+w.pick("*", "*", "z*", ""))
			continue
		}
		out = append(out, w.pick("*", "c*", "com.*", "com.a*", "com.a", "com.b", "com.a.x", "org", "org*", "com.", "com.b*"))
	}
	return out
}

const longType = "com.a.x.abcdefghijklmnopqrstuvwxy"

func (w world) attribute() string { return w.pick("subject", "tenant", "seq", "tier") }

// value is short mostly, and sometimes of one of more lengths than are looked up.
func (w world) value() string {
	if w.IntN(4) == 0 {
		return strings.Repeat("ab", 1+w.IntN(10))[w.IntN(2):]
	}
	return w.pick("x", "y", "xy", "10", "true", "yx", "xyx")
}

func (w world) filter(depth int) resource.Filter {
	m := map[string]string{w.attribute(): w.value()}
	if w.IntN(3) == 0 {
		m[w.attribute()] = w.value()
	}
	n := 4
	if depth > 0 {
		n = 7
	}
	switch w.IntN(n) {
	case 0:
		return resource.Filter{Exact: m}
	case 1:
		return resource.Filter{Prefix: m}
	case 2:
		return resource.Filter{Suffix: m}
	case 3:
		return resource.Filter{SQL: w.sql()}
	case 4:
		return resource.Filter{All: w.filters(depth-1, 1)}
	case 5:
		return resource.Filter{Any: w.filters(depth-1, 1)}
	}
	f := w.filter(depth - 1)
	return resource.Filter{Not: &f}
}

func (w world) filters(depth, least int) []resource.Filter {
	var out []resource.Filter
	for range least + w.IntN(3) {
		out = append(out, w.filter(depth))
	}
	return out
}

func (w world) sql() string {
	parts := []string{w.condition()}
	for range w.IntN(3) {
		parts = append(parts, w.pick("AND", "OR", "XOR"), w.condition())
	}
	return strings.Join(parts, " ")
}

func (w world) condition() string {
	a, v := w.attribute(), w.value()
	switch w.IntN(10) {
	case 0:
		return fmt.Sprintf("'%s' = %s", v, a)
	case 1:
		return w.pick("seq = 10", "TRUE = seq", "10 = "+a, a)
	case 2:
		return w.pick("EXISTS ", "NOT EXISTS ") + a
	case 3, 4:
		return fmt.Sprintf("%s %s '%s'", a, w.pick("LIKE", "LIKE", "NOT LIKE"), w.pick(v+"%", "%"+v, v+"%"+w.value(), "%"+v+"%", v[:1]+"_%", v))
	case 5, 6:
		return fmt.Sprintf("%s %s ('%s', '%s', %s)", a, w.pick("IN", "NOT IN"), v, w.value(), w.pick("10", "'y'", w.attribute()))
	case 7:
		return "NOT (" + w.sql() + ")"
	}
	return fmt.Sprintf("%s %s '%s'", a, w.pick("=", "=", "=", "!="), v)
}

func (w world) set(links int) resource.Set {
	s := resource.Set{Revision: 1, Functions: []*resource.Function{function("a"), function("b"), function("c")}}
	for i := range links {
		l := withFilters(link(fmt.Sprintf("l%03d", i), w.pick("a", "b", "c", "late", "a@v1", "a@v2"), w.types()...), w.filters(2, 0)...)
		l.Spec.Paused = w.IntN(10) == 0
		l.Metadata.Labels = map[string]string{"tier": w.pick("batch", "live")}
		s.Links = append(s.Links, l)
	}
	return s
}

func (w world) event() *event.Event {
	e := ev(w.pick("com.a", "com.b", "com.a.x", "com.ab", "org", "com.", "x", longType, longType[:1+w.IntN(len(longType))], longType[:w.IntN(len(longType))]+"z"))
	for range w.IntN(5) {
		if name, v := w.attribute(), w.value(); name == "subject" {
			e.Subject = v
		} else {
			e.SetExtension(name, v)
		}
	}
	return e
}

// holds is the model: what the words of the Subscriptions text say, straight.
func holds(f resource.Filter, e *event.Event) bool {
	compare := func(m map[string]string, op func(v, want string) bool) bool {
		for name, want := range m {
			if v, ok := e.Attribute(name); !ok || !op(v, want) {
				return false
			}
		}
		return true
	}
	is := func(x resource.Filter) bool { return holds(x, e) }
	switch {
	case f.Exact != nil:
		return compare(f.Exact, func(v, want string) bool { return v == want })
	case f.Prefix != nil:
		return compare(f.Prefix, strings.HasPrefix)
	case f.Suffix != nil:
		return compare(f.Suffix, strings.HasSuffix)
	case f.All != nil:
		return !slices.ContainsFunc(f.All, func(x resource.Filter) bool { return !is(x) })
	case f.Any != nil:
		return slices.ContainsFunc(f.Any, is)
	case f.Not != nil:
		return !is(*f.Not)
	}
	compiled, _ := NewFilter("f", []resource.Filter{f})
	return compiled.Match(e)
}

func bruteForce(s resource.Set, e *event.Event) string {
	var names []string
	for _, l := range s.Links {
		name, version := l.Spec.FunctionName()
		exists := slices.ContainsFunc(s.Functions, func(f *resource.Function) bool {
			return f.Metadata.Name == name && (version == "" || version == f.Spec.Version)
		})
		typed := slices.ContainsFunc(l.Spec.Types, func(t string) bool {
			p, prefix := strings.CutSuffix(t, "*")
			return t == e.Type || (prefix && strings.HasPrefix(e.Type, p))
		})
		filtered := !slices.ContainsFunc(l.Spec.Filters, func(f resource.Filter) bool { return !holds(f, e) })
		if exists && typed && filtered {
			names = append(names, l.Metadata.Name)
		}
	}
	return strings.Join(names, " ")
}

func byName(list string) string {
	names := strings.Fields(list)
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestTheIndexFindsWhatBruteForceFinds(t *testing.T) {
	w, matches := newWorld(t), 0
	for range 80 {
		s := w.set(w.IntN(120))
		e := newEngine(t, s)
		checkAccess(t, e.Snapshot())
		for range 40 {
			x := w.event()
			want := bruteForce(s, x)
			if got := chosen(t, e, x); got != want {
				t.Fatalf("%+v: %s, want %s", x, got, want)
			}
			if got := byName(explained(t, e, x)); got != byName(want) {
				t.Fatalf("%+v: explained %s, want %s", x, got, want)
			}
			matches += len(strings.Fields(want))
		}
	}
	if matches < 1000 {
		t.Errorf("only %d matches", matches)
	}
}

// checkAccess: every link has a way to be found, and those of no use are told.
func checkAccess(t *testing.T, s *Snapshot) {
	t.Helper()
	unindexed := map[string]bool{}
	for _, u := range s.Unindexed() {
		unindexed[u.Link] = true
	}
	for i := range s.links {
		l := &s.links[i]
		name := l.link.Metadata.Name
		if a := s.Access(name); a == "" || (a == "tried for every event") != unindexed[name] {
			t.Fatalf("link %s: access %q, unindexed %v", name, a, unindexed[name])
		}
	}
}

func TestExplainAgreesWithChoose(t *testing.T) {
	w := newWorld(t)
	pool := []string{
		`deny contains {"link": l.name, "reason": "frozen"} if { some l in input.links; l.labels.tier == "batch"; input.event.tier == "x" }`,
		`deny contains {"reason": "all"} if input.event.tenant == "xy"`,
		`match contains l.name if { some l in input.links; l.function == input.event.tenant }` + "\n" + `match contains l.name if { some l in input.links; l.function != "b" }`,
		`target contains {"function": f} if { some f in ["c", "nobody"]; input.event.subject == "x" }`,
		`deny contains {"link": l.name, "reason": sprintf("%d", [count(input.links)])} if { some l in input.links; object.get(input.event, "seq", "") == "10" }`,
	}
	denied := 0
	for range 40 {
		s := w.set(30)
		for i := range 1 + w.IntN(3) {
			s.Policies = append(s.Policies, ranked(trigger(fmt.Sprintf("p%d", i), pool[w.IntN(len(pool))]), w.IntN(4)))
		}
		e := newEngine(t, s)
		for range 30 {
			x := w.event()
			c, err := e.Choose(context.Background(), x, string(x.Key()), nil)
			if err != nil {
				t.Fatal(err)
			}
			denied += len(c.Denied)
			agree(t, e, x, c)
		}
	}
	if denied < 20 { // mostly some 200
		t.Errorf("only %d denials", denied)
	}
}

var withoutPriority = regexp.MustCompile(` \(priority \d+\)`)

func agree(t *testing.T, e *Engine, x *event.Event, c Choice) {
	t.Helper()
	why, err := e.Snapshot().Explain(context.Background(), x, string(x.Key()), time.Time{})
	if err != nil || why.Revision != c.Revision {
		t.Fatal(why.Revision, err)
	}
	targets, denials := map[string]bool{}, map[string]Denial{}
	for _, x := range c.Targets {
		targets[x.Link.Metadata.Name] = true
	}
	for _, d := range c.Denied {
		denials[d.Link] = d
	}
	if len(targets) != len(c.Targets) {
		t.Fatalf("a link twice: %s", describe(c))
	}
	explainedLinks := map[string]bool{}
	for _, l := range why.Links {
		explainedLinks[l.Name] = true
		d, denied := denials[l.Name]
		if l.Matched != targets[l.Name] || l.Why == "" || (denied && (withoutPriority.ReplaceAllString(l.Why, "") != "denied by policy "+l.Rule+": "+d.Reason || !strings.HasPrefix(l.Rule, d.Policy+":"))) {
			t.Fatalf("%+v explained, chosen %s", l, describe(c))
		}
	}
	for _, l := range e.current.Load().links {
		if !explainedLinks[l.link.Metadata.Name] {
			t.Fatalf("link %s is not explained", l.link.Metadata.Name)
		}
	}
}

// TestReloadUnderLoadNeverMixesRevisions loads sets whose links, functions,
// versions and policy all carry their revision, while events are chosen. The
// traffic of f is split between the version of the revision and one before it.
func TestReloadUnderLoadNeverMixesRevisions(t *testing.T) {
	versioned := func(rev uint64) resource.Set {
		n := fmt.Sprint(rev)
		s := versionedSet(t, rev, fmt.Sprintf(`{"version":"a%s","weight":1},{"version":"b%s","weight":1}`, n, n), "a"+n, "b"+n)
		s.Functions = append(s.Functions, function("extra"+n))
		for i := range 3 {
			s.Links = append(s.Links, withFilters(link(fmt.Sprintf("l%d", i), "f", "t"), resource.Filter{Exact: map[string]string{"tenant": "x"}}))
			s.Links[i].Metadata.Revision = rev
		}
		if rev%3 > 0 {
			s.Policies = []*resource.Policy{trigger("p"+n, fmt.Sprintf("deny contains {\"link\": l.name, \"reason\": \"%s\"} if { some l in input.links; l.name == \"l0\"; l.version in [\"a%s\", \"b%s\"] }\ntarget contains \"extra%s\"", n, n, n, n))}
		}
		return s
	}
	e := newEngine(t, versioned(1))
	var done atomic.Bool
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			var buf []resource.Target
			for i, last := 0, uint64(0); !done.Load(); i++ {
				c, err := e.Choose(context.Background(), ev("t", "tenant", "x"), fmt.Sprint(g, i%20), buf[:0])
				if err != nil {
					t.Error(err)
					return
				}
				n := fmt.Sprint(c.Revision)
				want := fmt.Sprintf("l1 l2 policy:p%s/extra%s -l0(p%s: %s)", n, n, n, n)
				if c.Revision%3 == 0 {
					want = "l0 l1 l2"
				}
				if got := describe(c); got != want || c.Revision < last {
					t.Errorf("revision %d after %d: %s, want %s", c.Revision, last, got, want)
					return
				}
				for _, x := range c.Targets {
					if v := x.Function.Spec.Version; x.Link.Metadata.Revision != c.Revision || (x.Link.Spec.Function == "f" && v != "a"+n && v != "b"+n) {
						t.Errorf("revision %d: link %s of revision %d leads to version %s", c.Revision, x.Link.Metadata.Name, x.Link.Metadata.Revision, v)
						return
					}
				}
				if !e.Admit(context.Background(), Admission{Event: ev("t")}).Allowed {
					t.Error("not admitted")
				}
				buf, last = c.Targets, c.Revision
			}
		})
	}
	for rev := uint64(2); rev < 60; rev++ {
		if faults := e.Load(versioned(rev)); faults != nil {
			t.Error(faults)
		}
	}
	done.Store(true)
	wg.Wait()
}

// TestChooseDoesNotAllocate holds for what events meet mostly.
func TestChooseDoesNotAllocate(t *testing.T) {
	links := matchingLinks(1000, 5)
	for name, s := range map[string]resource.Set{
		"without policies":      set(links),
		"with a known decision": set(links, trigger("p", `deny contains "x" if input.event.tenant == "none"`)),
	} {
		e := newEngine(t, s)
		x := ev("t", "tenant", "acme")
		buf := make([]resource.Target, 0, 16)
		n := testing.AllocsPerRun(200, func() {
			if c, err := e.Choose(context.Background(), x, "", buf); err != nil || len(c.Targets) != 5 {
				t.Fatal(c, err)
			}
		})
		if n != 0 && !raceEnabled {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// matchingLinks is n links of which an event of type t with tenant acme matches m.
func matchingLinks(n, m int) []*resource.Link {
	var links []*resource.Link
	for i := range n {
		l := link(fmt.Sprintf("l%05d", i), "a", fmt.Sprintf("other.%d", i))
		switch {
		case i == 0:
			l.Spec.Types = []string{"t*"}
		case i < m-1:
			l.Spec.Types = []string{"t"}
		case i == m-1:
			l = withFilters(link(l.Metadata.Name, "b", "t"), resource.Filter{SQL: "tenant = 'acme'"})
		case i%2 == 0: // same type, another tenant
			l = withFilters(link(l.Metadata.Name, "b", "t"), resource.Filter{Exact: map[string]string{"tenant": fmt.Sprint(i)}})
		}
		links = append(links, l)
	}
	return links
}
