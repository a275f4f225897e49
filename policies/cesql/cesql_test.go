package cesql

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
)

func testEvent() *event.Event {
	e := &event.Event{ID: "1", Source: "/s", Type: "com.example.t", Subject: "images/a.png", Time: "2026-01-02T03:04:05.000Z"}
	for k, v := range map[string]string{"seq": "10", "on": "true", "off": "FALSE", "tenant": "acme", "word": "zürich", "min": "-2147483648", "slash": `a\xyz`} {
		e.SetExtension(k, v)
	}
	return e
}

func TestFiltersPassOnlyOnACleanTrue(t *testing.T) {
	for _, c := range []struct {
		expr string
		want bool
	}{
		// results and errors
		{"TRUE", true}, {"10", false}, {"'true'", false}, {"tenant", false}, {"on", true}, {"off", false},
		{"missing = 'x'", false}, {"missing != 'x'", false}, {"NOT (missing = 'x')", false},
		{"EXISTS tenant AND tenant = 'acme'", true}, {"EXISTS missing AND missing = 'x'", false},
		{"NOT EXISTS missing", true}, {"EXISTS id", true}, {"EXISTS Tenant", true},
		// short circuit, one level of precedence, right-associative
		{"TRUE OR missing = 'x'", true}, {"missing = 'x' OR TRUE", false}, {"FALSE AND missing = 'x'", false},
		{"FALSE AND TRUE OR TRUE", false}, {"TRUE XOR FALSE", true}, {"TRUE XOR missing = 'x'", false},
		// casts
		{"seq = 10", true}, {"seq = '10'", true}, {"seq = '010'", false}, {"tenant = 10", false}, {"tenant != 10", false},
		{"TRUE = 'true'", true}, {"TRUE = 'TRUE'", false}, {"on = TRUE", true}, {"off = FALSE", true},
		{"seq IN (9, 10)", true}, {"10 IN ('9', '10')", true}, {"10 IN (missing)", false}, {"tenant NOT IN ('x')", true},
		{"NOT 10", false}, {"NOT 0", true}, {"seq > 9 AND seq <= 10", true}, {"tenant > 9", false}, {"seq <> 10", false},
		// case: keywords without, strings with
		{"exists tenant and Tenant = 'acme'", true}, {"tenant = 'Acme'", false},
		// LIKE
		{"subject LIKE 'images/%.png'", true}, {"subject LIKE 'images/_.png'", true}, {"subject NOT LIKE 'x%'", true},
		{"word LIKE 'z_rich'", true}, {`slash LIKE 'a\%'`, false}, {`slash LIKE 'a\xyz'`, true}, {`'a%' LIKE 'a\%'`, true},
		{"'' LIKE ''", true}, {"'' LIKE '%'", true}, {"seq LIKE '1_'", true}, {"'a_b' LIKE 'a\\_b'", true}, {"'axb' LIKE 'a\\_b'", false},
		// arithmetic
		{"1 + 2 * 3 = 7", true}, {"(1 + 2) * 3 = 9", true}, {"10 / 3 = 3", true}, {"10 % 3 = 1", true}, {"- seq = -10", true},
		{"seq / 0 = 0", false}, {"seq % 0 = 0", false}, {"10 - 3 - 2 = 5", true},
		// functions: characters, not bytes
		{"ABS(-3) = 3", true}, {"ABS(min) = 2147483647", false}, {"LENGTH(word) = 6", true}, {"LEFT(word, 2) = 'zü'", true},
		{"RIGHT(word, 5) = 'ürich'", true}, {"SUBSTRING(word, 2) = 'ürich'", true}, {"SUBSTRING(word, -4, 2) = 'ri'", true},
		{"SUBSTRING(word, 0) = ''", true}, {"SUBSTRING(word, 7) = ''", false}, {"SUBSTRING(word, 2, -1) = ''", false},
		{"CONCAT(tenant, '-', seq) = 'acme-10'", true}, {"CONCAT_WS('/', 'a', 'b', 'c', 'd', 'e') = 'a/b/c/d/e'", true},
		{"UPPER(tenant) = 'ACME'", true}, {"lower('ABC') = 'abc'", true}, {"TRIM('  a ') = 'a'", true},
		{"LEFT('abc', 99) = 'abc'", true}, {"LEFT('abc', -1) = 'abc'", false}, {"RIGHT('abc', 99) = 'abc'", true},
		{"IS_INT(seq)", true}, {"IS_BOOL(tenant)", false}, {"INT(seq) = 10", true}, {"STRING(10) = '10'", true}, {"BOOL(on)", true},
		{"FOO(1) = 1", false}, {"TRUE OR FOO()", true},
		// canonical strings
		{"time = '2026-01-02T03:04:05.000Z'", true}, {"specversion = '1.0'", true}, {`tenant = "acme"`, true}, {`'a\'b' = "a'b"`, true},
	} {
		x, err := Parse(c.expr)
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		if got := x.Match(testEvent()); got != c.want {
			t.Errorf("%s: passes %v, want %v (%v)", c.expr, got, c.want, x.Why(testEvent()))
		}
	}
}

func TestParseErrorsNameThePlace(t *testing.T) {
	for expr, want := range map[string]string{
		"":                               "line 1, column 1: found the end",
		"tenant = ":                      "line 1, column 10: found the end",
		"tenant = 'x":                    "line 1, column 10: the string has no closing",
		"a = 'x' #":                      "line 1, column 9: character '#'",
		"a =\n= 1":                       "line 2, column 1: found \"=\"",
		"a b":                            "line 1, column 3: found \"b\": want an operator",
		"a LIKE b":                       "want a string literal",
		"a IN ()":                        "at least one member",
		"a NOT = 1":                      "want LIKE or IN",
		"x = 2147483648":                 "want -2147483648 to 2147483647",
		"10 -3 = 7":                      "found \"-3\"",
		"EXISTS not":                     "want the name of an attribute",
		"ABC(":                           "found the end",
		"a_b = 1":                        "want '('",
		strings.Repeat("(", 1000):        "nested deeper",
		strings.Repeat(" ", maxLength+1): "longer than 16 KiB",
	} {
		_, err := Parse(expr)
		var e *Error
		if !errors.As(err, &e) || e.Kind != ParseError || !strings.Contains(e.Text, want) {
			t.Errorf("%.40q: %v, want a parse error with %q", expr, err, want)
		}
	}
}

func TestUnknownFunctionsAreListed(t *testing.T) {
	x, err := Parse("TRUE OR Foo(1, 2) OR ABS(1, 2) = 1")
	if err != nil || strings.Join(x.Unknown(), " ") != "FOO/2 ABS/2" {
		t.Errorf("unknown %v, error %v", x.Unknown(), err)
	}
}

func TestNeedsOfAnExpression(t *testing.T) {
	for expr, want := range map[string]string{
		"tenant = 'acme'":                   "tenant = acme, tenant exists",
		"'acme' = tenant AND EXISTS x":      "tenant = acme, x exists, tenant exists",
		"a = 'x' AND (b = 'y' AND c = 'z')": "a = x, b = y, c = z, a exists",
		"a = 'x' AND b = 'y' OR c = 'z'":    "a = x, b = y or c = z, a exists",
		"a = 'x' OR a = 'y'":                "a = x or y, a exists",
		"a = 'x' OR b = 'y'":                "a = x or b = y, a exists",
		"a = 'x' OR TRUE":                   "a exists",
		"TRUE OR a = 'x'":                   "",
		"FALSE OR a = 'x'":                  "",
		"NOT (a = 'x')":                     "a exists",
		"NOT (a != 'x')":                    "a = x, a exists",
		"NOT (a != 'x' OR b <> 'y')":        "a = x, b = y, a exists",
		"NOT (a != 'x' AND b <> 'y')":       "a = x or b = y, a exists",
		"a != 'x'":                          "a exists",
		"EXISTS a":                          "a exists",
		"NOT EXISTS a":                      "",
		"EXISTS a OR EXISTS b":              "a exists or b exists",
		"a":                                 "a = true",
		"NOT a":                             "a exists",
		// casts: the attribute takes the type of a literal on the right
		"seq = 10":    "seq exists",
		"on = TRUE":   "on exists",
		"10 = seq":    "seq = 10, seq exists",
		"TRUE = on":   "on = true, on exists",
		"a = b":       "a exists, b exists",
		"seq + 1 = 2": "seq exists",
		"seq > 5":     "seq exists",
		// sets
		"a IN ('x', 'y')":               "a = x or y, a exists",
		"a IN (1, TRUE, 'x')":           "a = 1 or true or x, a exists",
		"a IN ('x', b)":                 "a exists",
		"a NOT IN ('x')":                "a exists",
		"'x' IN (a)":                    "",
		"a IN ('x', 'y') OR a = 'z'":    "a = x or y or z, a exists",
		"a IN ('x') AND b NOT IN ('x')": "a = x, a exists",
		// patterns
		"a LIKE 'abc%'":               "a begins with abc, a exists",
		"a LIKE '%abc'":               "a ends with abc, a exists",
		"a LIKE 'ab%yz'":              "a begins with ab, a ends with yz, a exists",
		"a LIKE '%b%'":                "a exists",
		"a LIKE 'a_c'":                "a begins with a, a ends with c, a exists",
		"a LIKE 'abc'":                "a = abc, a exists",
		"a LIKE ''":                   `a = "", a exists`,
		`a LIKE '50\%%'`:              "a begins with 50%, a exists",
		"a NOT LIKE 'abc%'":           "a exists",
		"LOWER(a) LIKE 'abc%'":        "a exists",
		"a LIKE 'ab%' OR a = 'abc'":   "a begins with ab, a exists",
		"a LIKE 'ab%' OR a LIKE '%c'": "a begins with ab or a ends with c, a exists",
		"a LIKE 'x\xff%'":             "a begins with x, a exists",
		// one is true, the other false
		"a = 'x' XOR b = 'y'":                   "a = x or b = y, b exists, a exists",
		"a = 'x' XOR b != 'y'":                  "b exists, a exists",
		"a = 'x' XOR FALSE":                     "a exists",
		"(a = 'x' AND b = 'y') XOR NOT a = 'x'": "a exists, a exists",
		// functions look at all their arguments
		"CONCAT(a, b) = 'xy'": "a exists, b exists",
	} {
		x, err := Parse(expr)
		if err != nil {
			t.Fatal(expr, err)
		}
		var got []string
		for _, c := range x.Needs() {
			got = append(got, c.String())
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %v, want %s", expr, strings.Join(got, ", "), want)
		}
	}
}

// TestNeedsOfHostileExpressions take no time to speak of.
func TestNeedsOfHostileExpressions(t *testing.T) {
	for _, op := range []string{" XOR ", " OR ", " AND "} {
		parts := make([]string, 400)
		for i := range parts {
			parts[i] = fmt.Sprintf("NOT a%d = '%d'", i, i)
		}
		x, err := Parse(strings.Join(parts, op))
		if err != nil {
			t.Fatal(err)
		}
		if len(x.Needs()) == 0 {
			t.Errorf("%s: the first attribute must exist", op)
		}
	}
}

func TestBlameNamesTheFirstPartThatIsNotTrue(t *testing.T) {
	for expr, want := range map[string]string{
		"tenant = 'x'": `tenant = 'x' (tenant "acme")`,
		" FALSE ":      "FALSE",
		"EXISTS tenant AND tenant <> 'acme' AND seq > 5": `tenant <> 'acme' (tenant "acme") of EXISTS tenant AND tenant <> 'acme' AND seq > 5`,
		"(seq = 10 AND tenant = 'x') AND TRUE":           `tenant = 'x' (tenant "acme") of (seq = 10 AND tenant = 'x') AND TRUE`,
		"tenant = 'x' OR seq = 9 OR EXISTS nothing":      `tenant = 'x' OR seq = 9 OR EXISTS nothing (no nothing, seq "10", tenant "acme")`,
		"TRUE AND NOT EXISTS tenant":                     `NOT EXISTS tenant (tenant "acme") of TRUE AND NOT EXISTS tenant`,
	} {
		x, err := Parse(expr)
		if err != nil {
			t.Fatal(expr, err)
		}
		if x.Match(testEvent()) || x.Why(testEvent()) != nil {
			t.Errorf("%s: want it false without an error, got %v", expr, x.Why(testEvent()))
		}
		if got := x.Blame(testEvent()); got != want {
			t.Errorf("%s: %s, want %s", expr, got, want)
		}
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	x, _ := Parse("tenant = 'acme' AND seq > 5 AND LENGTH(subject) < 100 AND subject LIKE 'images/%' AND NOT (tenant IN ('x', 'y'))")
	miss, _ := Parse("tenant = 5 OR missing = 'x'")
	ev := testEvent()
	if n := testing.AllocsPerRun(100, func() { x.Match(ev); miss.Match(ev) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		Parse("EXISTS tenant AND tenant <> 'test' AND subject LIKE 'images/%'")
	}
}

func BenchmarkMatch(b *testing.B) {
	x, _ := Parse("EXISTS tenant AND tenant <> 'test' AND subject LIKE 'images/%'")
	ev := testEvent()
	for b.Loop() {
		x.Match(ev)
	}
}
