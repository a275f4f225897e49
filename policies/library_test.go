package policies

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// with gives a policy documents.
func with(p *resource.Policy, data string) *resource.Policy {
	if err := json.Unmarshal([]byte(data), &p.Spec.Data); err != nil {
		panic(err)
	}
	return p
}

func documentsOf(name, data string) *resource.Policy { return with(policy(name, ""), data) }

func TestLibrariesAndDocuments(t *testing.T) {
	links := []*resource.Link{link("one", "a", "t"), link("two", "b", "t")}
	tenants := policy("tenants", "package acme.tenants\nimport rego.v1\nblocked(t) if t in data.acme.lists.blocked\nvip contains t if some t in data.acme.lists.vip")
	lists := documentsOf("lists", `{"acme": {"lists": {"blocked": ["x"], "vip": ["v"]}}}`)
	use := trigger("p", "import data.acme.tenants\ndeny contains \"blocked\" if tenants.blocked(input.event.tenant)\ntarget contains \"c\" if input.event.tenant in tenants.vip")
	for name, c := range map[string]struct {
		policies []*resource.Policy
		event    *event.Event
		want     string
	}{
		"a library decides":                {[]*resource.Policy{tenants, lists, use}, ev("t", "tenant", "x"), "-one(p: blocked) -two(p: blocked)"},
		"a library does not fire":          {[]*resource.Policy{tenants, lists, use}, ev("t", "tenant", "y"), "one two"},
		"a rule of a library":              {[]*resource.Policy{tenants, lists, use}, ev("t", "tenant", "v"), "one two policy:p/c"},
		"a document":                       {[]*resource.Policy{lists, trigger("p", `deny contains "x" if input.event.tenant in data.acme.lists.blocked`)}, ev("t", "tenant", "x"), "-one(p: x) -two(p: x)"},
		"a document that is not there":     {[]*resource.Policy{trigger("p", `deny contains "x" if input.event.tenant in data.acme.lists.blocked`)}, ev("t", "tenant", "x"), "one two"},
		"documents merge":                  {[]*resource.Policy{documentsOf("a", `{"l": {"a": "x"}}`), documentsOf("b", `{"l": {"b": "y"}}`), trigger("p", `deny contains concat("", [data.l.a, data.l.b])`)}, ev("t"), "-one(p: xy) -two(p: xy)"},
		"a policy's own documents":         {[]*resource.Policy{with(trigger("p", `deny contains data.why.not`), `{"why": {"not": "so"}}`)}, ev("t"), "-one(p: so) -two(p: so)"},
		"documents beside a library":       {[]*resource.Policy{documentsOf("d", `{"acme": {"n": "x"}}`), policy("l", "package acme\nm := data.acme.n"), trigger("p", `deny contains data.acme.m`)}, ev("t"), "-one(p: x) -two(p: x)"},
		"two modules of one library":       {[]*resource.Policy{policy("l1", "package l\nimport rego.v1\ns contains \"x\""), policy("l2", "package l\nimport rego.v1\ns contains \"y\""), trigger("p", `deny contains concat("", data.l.s)`)}, ev("t"), "-one(p: xy) -two(p: xy)"},
		"a library of both stages":         {[]*resource.Policy{tenants, lists, use, admission("q", `deny contains "no" if data.acme.tenants.blocked(input.event.tenant)`)}, ev("t", "tenant", "x"), "-one(p: blocked) -two(p: blocked)"},
		"a package that begins like ours":  {[]*resource.Policy{policy("l", "package signalboxes.x\nn := \"y\""), trigger("p", `deny contains data.signalboxes.x.n`)}, ev("t"), "-one(p: y) -two(p: y)"},
		"numbers of documents stay whole":  {[]*resource.Policy{documentsOf("d", `{"n": 12345678901234567890}`), trigger("p", `deny contains "big" if data.n == 12345678901234567890`)}, ev("t"), "-one(p: big) -two(p: big)"},
		"a document with names in bracket": {[]*resource.Policy{documentsOf("d", `{"limits": {"com.example": {"max": 1}}}`), trigger("p", `deny contains "x" if data.limits["com.example"].max == 1`)}, ev("t"), "-one(p: x) -two(p: x)"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, set(links, c.policies...))
			for range 2 { // from the memo the second time
				if got := chosen(t, e, c.event); got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
			}
			if st := e.Stats(); st.MemoOff != "" || st.MemoHits != 1 {
				t.Errorf("not remembered: %+v", st)
			}
		})
	}
}

func TestBrokenLibrariesAndDocumentsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		policies []*resource.Policy
		resource string
		field    string
		want     string
	}{
		"one path twice":                {[]*resource.Policy{documentsOf("a", `{"x": {"y": 1}}`), documentsOf("b", `{"x": {"y": 1}}`)}, "Policy/b", "spec.data.x.y", "set by policy a, too"},
		"a path below a value":          {[]*resource.Policy{documentsOf("a", `{"x": 1}`), documentsOf("b", `{"x": {"y": 1}}`)}, "Policy/b", "spec.data.x", "set by policy a, too"},
		"a value above a path":          {[]*resource.Policy{documentsOf("a", `{"x": {"y": 1}}`), documentsOf("b", `{"x": [1]}`)}, "Policy/b", "spec.data.x", "set by policy a, too"},
		"a document of ours":            {[]*resource.Policy{documentsOf("a", `{"signalbox": {"trigger": {"deny": []}}}`)}, "Policy/a", "spec.data.signalbox", "taken"},
		"a document of the system":      {[]*resource.Policy{documentsOf("a", `{"system": {}}`)}, "Policy/a", "spec.data.system", "taken"},
		"a document over a rule":        {[]*resource.Policy{documentsOf("a", `{"l": {"x": 1}}`), policy("l", "package l\n\nx := 2")}, "Policy/l", "spec.rego", "rule x: there is a document of policy a"},
		"a document over a package":     {[]*resource.Policy{documentsOf("a", `{"l": 1}`), policy("l", "package l.m\nx := 2")}, "Policy/l", "spec.rego", "rule x: there is a document of policy a"},
		"a document over a long rule":   {[]*resource.Policy{documentsOf("a", `{"l": {"x": {"y": 1}}}`), policy("l", "package l\nx.y.z := 2")}, "Policy/l", "spec.rego", "there is a document of policy a"},
		"a library that is not used":    {[]*resource.Policy{policy("l", "package l\nx := y")}, "Policy/l", "spec.rego", "var y is unsafe"},
		"the network in a library":      {[]*resource.Policy{policy("l", "package l\nx := http.send({})"), trigger("p", `deny contains "x"`)}, "Policy/l", "spec.rego", "http.send is not allowed"},
		"a function that is not there":  {[]*resource.Policy{trigger("p", `deny contains "x" if data.l.f(1)`)}, "Policy/p", "spec.rego", "undefined function data.l.f"},
		"a fault of a library, once":    {[]*resource.Policy{policy("l", "package l\nx := y"), trigger("p", `deny contains "x"`), admission("q", `deny contains "x"`)}, "Policy/l", "spec.rego", "var y is unsafe"},
		"recursion through a library":   {[]*resource.Policy{policy("l", "package l\nx if count(data.signalbox.trigger.deny) > 0"), trigger("p", `deny contains "x" if data.l.x`)}, "", "spec.rego", "recursive"},
		"a stage's name in upper case":  {[]*resource.Policy{policy("p", "package signalbox.Trigger\nx := 1")}, "Policy/p", "spec.rego", "package signalbox.Trigger: want signalbox.trigger"},
		"a document that is not JSON":   {[]*resource.Policy{{Metadata: resource.Metadata{Name: "d"}, Spec: resource.PolicySpec{Data: map[string]json.RawMessage{"x": json.RawMessage("{")}}}}, "Policy/d", "spec.data.x", "want a JSON value"},
		"comprehensions without end":    {[]*resource.Policy{trigger("p", "deny contains x if { x := "+strings.Repeat("[y | y := ", 30)+"1"+strings.Repeat("]", 30)+"}")}, "Policy/p", "spec.rego", "want at most 8"},
		"values that double and double": {[]*resource.Policy{trigger("p", doubling(25))}, "Policy/p", "spec.rego", "a value grows"},
		"brackets without end":          {[]*resource.Policy{trigger("p", "deny contains x if { x := "+strings.Repeat("[", 3000)+strings.Repeat("]", 3000)+"}")}, "Policy/p", "spec.rego", "expressions in one another: want at most 1000"},
		"calls without end":             {[]*resource.Policy{trigger("p", "deny contains x if { x := "+strings.Repeat("abs(", 3000)+"1"+strings.Repeat(")", 3000)+"}")}, "Policy/p", "spec.rego", "expressions in one another"},
		"a body that is too long":       {[]*resource.Policy{trigger("p", "x := 1\ndeny contains \"x\" if {\n"+numbered("  x%[1]d = x%[2]d + 1\n", 500)+"  x500 = 1\n}")}, "Policy/p", "spec.rego", "line 4, column 1 of the module: too much to compile"},
		"a chain of else":               {[]*resource.Policy{trigger("p", "deny contains \"x\" if f(1) == 1\nf(x) := 1 if x == 2"+numbered(" else := %[1]d if x == %[1]d", 3000))}, "Policy/p", "spec.rego", "line 4, column 1 of the module: too much to compile"},
		"rules without end":             {[]*resource.Policy{trigger("p", numbered("r%[1]d if r%[2]d\n", 7000)+"r7000 := 1")}, "Policy/p", "spec.rego", "too much to compile"},
		"a module that is too long":     {[]*resource.Policy{policy("p", "package l\n#"+strings.Repeat("x", maxSource))}, "Policy/p", "spec.rego", "want at most 1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			faults := CheckSet(set(nil, c.policies...))
			if len(faults) == 0 {
				t.Fatal("no fault")
			}
			f := faults[0]
			if (c.resource != "" && f.Resource != c.resource) || f.Field != c.field || !strings.Contains(f.Problem, c.want) {
				t.Errorf("%+v, want %s %s %q", f, c.resource, c.field, c.want)
			}
			if strings.HasPrefix(name, "one path") && (len(faults) != 2 || faults[1].Resource != "Policy/a" || faults[1].Problem != "set by policy b, too") {
				t.Errorf("not told of both: %v", faults)
			}
			if strings.HasSuffix(name, "once") && len(faults) != 1 {
				t.Errorf("%d faults: %v", len(faults), faults)
			}
		})
	}
}

// doubling is a rule whose value has 2^n parts.
func doubling(n int) string {
	var b strings.Builder
	b.WriteString("deny contains x if {\n  x0 := input.event.x\n")
	for i := range n {
		fmt.Fprintf(&b, "  x%d := [x%d, x%d]\n", i+1, i, i)
	}
	fmt.Fprintf(&b, "  x := x%d\n}\n", n)
	return b.String()
}

// numbered is a text n times, with the number and the next one.
func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i, i+1)
	}
	return b.String()
}

func TestWhatIsNotTooMuchIsAllowed(t *testing.T) {
	for name, rules := range map[string]string{
		"a few doublings":     doubling(8),
		"some comprehensions": "deny contains x if { x := " + strings.Repeat("[y | y := ", 8) + "1" + strings.Repeat("]", 8) + "}",
		"some rules":          numbered("deny contains \"%[1]d\" if input.event.n == \"%[2]d\"\n", 300),
		"a body of some size": "deny contains \"x\" if {\n" + numbered("  x%[1]d := [input.event.n, %[2]d]\n", 60) + "}",
		"some else":           "deny contains \"x\" if f(1) == 1\nf(x) := 1 if x == 2" + numbered(" else := %[1]d if x == %[2]d", 50),
		"one after another":   strings.Repeat("deny contains sprintf(\"%v\", [[x | some x in [1]]]) if input.event.x\n", 30),
	} {
		if faults := CheckPolicy(trigger("p", rules)); len(faults) > 0 {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

func TestAChangeOfAnythingThatCountsCompilesAnew(t *testing.T) {
	links := []*resource.Link{link("l", "a", "t")}
	base := func() *resource.Policy { return with(trigger("p", `deny contains data.why`), `{"why": "one"}`) }
	other := trigger("q", `match contains "l"`)
	other.Spec.Priority = 5
	for name, c := range map[string]struct {
		change func(p *resource.Policy)
		want   string
	}{
		"nothing":      {func(*resource.Policy) {}, "l"},
		"the data":     {func(p *resource.Policy) { with(p, `{"why": "two"}`); p.Spec.Priority = 9 }, "-l(p: two)"},
		"the priority": {func(p *resource.Policy) { p.Spec.Priority = 9 }, "-l(p: one)"},
		"the mode":     {func(p *resource.Policy) { p.Spec.Priority, p.Spec.Mode = 9, resource.ModeShadow }, "l"},
		"onError":      {func(p *resource.Policy) { p.Spec.OnError = resource.OnErrorOpen }, "l"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, set(links, base(), other))
			if got := chosen(t, e, ev("t")); got != "l" {
				t.Fatalf("%s before", got)
			}
			before := e.current.Load().rules.trigger.enforced
			changed := base()
			c.change(changed)
			if faults := e.Load(set(links, changed, other)); faults != nil {
				t.Fatal(faults)
			}
			if got := chosen(t, e, ev("t")); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if same := e.current.Load().rules.trigger.enforced == before; same != (name == "nothing") {
				t.Errorf("compiled programs used again: %v", same)
			}
		})
	}
}
