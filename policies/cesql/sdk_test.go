package cesql

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	sdkcesql "github.com/cloudevents/sdk-go/sql/v2"
	sdksql "github.com/cloudevents/sdk-go/sql/v2/parser"
	sdk "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/policies/need"
)

// kitCase is one case of the compatibility kit that ships with the SDK.
type kitCase struct {
	Name           string
	Expression     string
	Result         any
	Error          string
	Event          map[string]any
	EventOverrides map[string]any `yaml:"eventOverrides"`
}

var kitErrors = map[string]ErrorKind{
	"parse": ParseError, "math": MathError, "cast": CastError, "missingAttribute": MissingAttributeError,
	"missingFunction": MissingFunctionError, "functionEvaluation": FunctionEvaluationError,
}

func TestCompatibilityKit(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/cloudevents/sdk-go/sql/v2").Output()
	if err != nil {
		t.Fatalf("finding the SDK: %v", err)
	}
	files, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "test", "tck", "*.yaml"))
	if len(files) < 15 {
		t.Fatalf("the kit has %d files", len(files))
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var kit struct{ Tests []kitCase }
		if err := yaml.Unmarshal(src, &kit); err != nil {
			t.Fatal(err)
		}
		for _, c := range kit.Tests {
			t.Run(filepath.Base(f)+"/"+c.Name, c.run)
		}
	}
}

func (c kitCase) run(t *testing.T) {
	x, err := Parse(c.Expression)
	var v value
	if err == nil {
		v, err = x.root.eval(c.event())
	}
	if err != nil || c.Error != "" {
		if want, ok := kitErrors[c.Error]; err == nil || !ok || err.(*Error).Kind != want {
			t.Errorf("%s: error %v, want %q", c.Expression, err, c.Error)
		}
		return
	}
	if _, bare := x.root.(*attribute); bare { // attributes are Strings here
		c.Result = fmt.Sprint(c.Result)
	}
	if got := plain(v); got != c.Result {
		t.Errorf("%s: %#v, want %#v", c.Expression, got, c.Result)
	}
}

func plain(v value) any {
	return [...]any{v.s, int(v.i), v.b}[v.kind]
}

func (c kitCase) event() *event.Event {
	e := &event.Event{Type: "com.example.FullEvent", Source: "http://example.com/source", ID: "full-event", Subject: "topic", Time: "2020-03-21T12:34:56.78Z", DataSchema: "http://example.com/schema", DataContentType: "text/json"}
	for k, v := range map[string]string{"exbool": "true", "exint": "42", "exstring": "exstring", "exbinary": "AAECAw=="} {
		e.SetExtension(k, v)
	}
	if c.Event != nil {
		e = &event.Event{}
	}
	for _, m := range []map[string]any{c.Event, c.EventOverrides} {
		for k, v := range m {
			set(e, k, fmt.Sprint(v))
		}
	}
	return e
}

func set(e *event.Event, name, v string) {
	core := map[string]*string{"id": &e.ID, "source": &e.Source, "type": &e.Type, "subject": &e.Subject, "time": &e.Time, "dataschema": &e.DataSchema, "datacontenttype": &e.DataContentType}
	if p, ok := core[name]; ok {
		*p = v
	} else if name != "specversion" {
		e.SetExtension(name, v)
	}
}

// TestAgreesWithTheSDK compares the two engines on generated expressions over
// ASCII, away from the places doc.go names.
func TestAgreesWithTheSDK(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	g := generator{rand.New(rand.NewPCG(seed, 1))}
	ours := &event.Event{ID: "1", Source: "/s", Type: "t", Subject: "abc"}
	theirs := sdk.Event{Context: &sdk.EventContextV1{ID: "1", Source: *types.ParseURIRef("/s"), Type: "t", Subject: &[]string{"abc"}[0]}}
	for k, v := range map[string]string{"a": "10", "b": "true", "c": "-7"} {
		ours.SetExtension(k, v)
		theirs.SetExtension(k, v)
	}
	passed := 0
	for range 3000 {
		src := g.expression(4)
		want, wantErr := sdkParse(src)
		got, gotErr := Parse(src)
		if (wantErr == nil) != (gotErr == nil) {
			t.Fatalf("%s: parsed with %v, the SDK %v", src, gotErr, wantErr)
		}
		if gotErr != nil {
			continue
		}
		wantValue, wantErr := sdkEvaluate(want, theirs)
		gotValue, gotErr := got.root.eval(ours)
		if (wantErr == nil) != (gotErr == nil) {
			t.Fatalf("%s: %v, the SDK %v", src, gotErr, wantErr)
		}
		if gotErr == nil {
			passed++
			if i, ok := wantValue.(int32); ok {
				wantValue = int(i)
			}
			if plain(gotValue) != wantValue {
				t.Fatalf("%s: %#v, the SDK %#v", src, plain(gotValue), wantValue)
			}
		}
	}
	if passed < 300 {
		t.Errorf("only %d expressions had a value", passed)
	}
}

// sdkParse takes for an error that the SDK's parser panics on superfluous tokens.
func sdkParse(src string) (x sdkcesql.Expression, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return sdksql.Parse(src)
}

// sdkEvaluate takes for an error that the SDK panics on SUBSTRING with a negative length.
func sdkEvaluate(x sdkcesql.Expression, ev sdk.Event) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return x.Evaluate(ev)
}

type generator struct{ *rand.Rand }

func (g generator) pick(s ...string) string { return s[g.IntN(len(s))] }

// expression joins operands and operators without brackets most of the time,
// so that precedence is what is compared.
func (g generator) expression(depth int) string {
	if depth == 0 || g.IntN(5) == 0 {
		return g.pick("a", "b", "c", "subject", "missing", "1", "0", "-3", "'10'", "'abc'", "'true'", "TRUE", "FALSE", "EXISTS a", "exists missing", "TYPE")
	}
	l, r := g.expression(depth-1), g.expression(depth-1)
	switch g.IntN(12) {
	case 0:
		return "NOT " + l
	case 1:
		return "- " + l
	case 2:
		return "(" + l + ")"
	case 3:
		return l + g.pick(" LIKE ", " NOT LIKE ") + g.pick("'a%'", "'_0'", "'%b_'", "'true'", "''", "'%'")
	case 4:
		return l + g.pick(" IN ", " NOT IN ") + "(" + r + ", " + g.expression(depth-1) + ")"
	case 5:
		return g.pick("ABS", "LENGTH", "upper", "INT", "BOOL", "STRING", "IS_INT", "IS_BOOL", "TRIM", "NOPE") + "(" + l + ")"
	case 6:
		return g.pick("LEFT", "RIGHT", "SUBSTRING", "CONCAT", "CONCAT_WS") + "(" + l + ", " + r + ")"
	case 7:
		return l + g.pick(" -1 ", " b ", " = = ", " NOT ", " + ", " , ", ")") + r
	default:
		return l + g.pick(" AND ", " OR ", " XOR ", " = ", " != ", " <> ", " < ", " >= ", " + ", " - ", " * ", " / ", " % ") + r
	}
}

// FuzzParse: no expression of a stranger panics or hangs, and what the SDK
// takes over printable ASCII, so do we.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a = 'x'", "NOT EXISTS a AND b LIKE '%x_\\%'", "-5 + - a % 3 IN (1, 'x')", "CONCAT_WS(',', a, \"b\"\"c\")", "SUBSTRING('abc', 2, -1)", "1a = 0x1", "'\\"} {
		f.Add(s)
	}
	ev := testEvent()
	f.Fuzz(func(t *testing.T, src string) {
		x, err := Parse(src)
		if err == nil {
			x.Match(ev)
			if x.Why(ev) == nil && !x.Match(ev) {
				x.Blame(ev)
			}
			checkNeeds(t, src, x, ev)
		}
	})
}

// checkNeeds: what passes has what the expression says it needs.
func checkNeeds(t *testing.T, src string, x *Expression, ev *event.Event) (passed bool) {
	t.Helper()
	if !x.Match(ev) {
		return false
	}
	for _, c := range x.Needs() {
		if !slices.ContainsFunc(c, func(k need.Key) bool { v, ok := ev.Attribute(k.Attribute); return ok && k.Holds(v) }) {
			t.Fatalf("%q passes without %v: %+v", src, c, ev)
		}
	}
	return true
}

// TestWhatPassesHasWhatIsNeeded on generated filters over few values.
func TestWhatPassesHasWhatIsNeeded(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	g, passed, needed := generator{rand.New(rand.NewPCG(seed, 1))}, 0, 0
	for range 3000 {
		src := g.condition(3)
		x, err := Parse(src)
		if err != nil {
			t.Fatal(src, err)
		}
		for range 5 {
			ev := &event.Event{ID: "1", Source: "/s", Type: "t"}
			for _, name := range []string{"a", "b", "c"} {
				if g.IntN(4) > 0 {
					set(ev, name, g.pick("x", "y", "xy", "yx", "10", "010", "true", "TRUE", "false", "x\xff"))
				}
			}
			if checkNeeds(t, src, x, ev) {
				passed++
				needed += len(x.Needs())
			}
		}
	}
	if passed < 1000 || needed < passed {
		t.Errorf("%d passed, with %d needs", passed, needed)
	}
}

// condition is an expression that is mostly a Boolean.
func (g generator) condition(depth int) string {
	name := g.pick("a", "b", "c")
	if depth > 0 {
		switch l, r := g.condition(depth-1), g.condition(depth-1); g.IntN(6) {
		case 0, 1, 2:
			return "(" + l + ")" + g.pick(" AND ", " OR ", " XOR ") + r
		case 3:
			return "NOT (" + l + ")"
		}
	}
	switch g.IntN(8) {
	case 0:
		return "EXISTS " + name
	case 1:
		return name
	case 2:
		return name + g.pick(" LIKE ", " NOT LIKE ") + g.pick("'x%'", "'%x'", "'x%y'", "'x_'", "'%y%'", "'xy'", "''", "'x\uFFFD'")
	case 3:
		return name + g.pick(" IN ", " NOT IN ") + g.pick("('x', 'y')", "(10, TRUE)", "('x', b)", "('x')")
	case 4:
		return g.pick("10", "TRUE", "'x'") + g.pick(" = ", " != ") + name
	case 5:
		return name + g.pick(" = ", " != ", " > ") + g.pick("10", "TRUE", "a", "b")
	case 6:
		return "LENGTH(" + name + ") = " + g.pick("1", "2")
	}
	return name + g.pick(" = ", " != ") + g.pick("'x'", "'y'", "'xy'", "'10'", "'true'")
}
