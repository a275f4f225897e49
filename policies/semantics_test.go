package policies

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// TestFiltersMeanWhatTheTextsSay goes through CloudEvents Subscriptions 0.1-wip,
// section "Filters", and CESQL 1.0, statement by statement: each as a link is
// written, validated, found through the index and explained.
func TestFiltersMeanWhatTheTextsSay(t *testing.T) {
	x := &event.Event{ID: "1", Source: "/shop", Type: "t", Subject: "images/a.png", Time: "2026-01-02T03:04:05Z", DataContentType: "application/json", Data: []byte(`{"size": 5}`)}
	for name, v := range map[string]string{"tenant": "acme", "seq": "10", "neg": "-7", "on": "true", "off": "false", "loud": "TRUE", "uri": "https://a.example/?b=c", "min": "-2147483648"} {
		x.SetExtension(name, v)
	}
	const pass, fail = "passes", "does not pass"
	sql := func(expression string) string { return fmt.Sprintf(`[{"sql": %q}]`, expression) }
	for _, c := range []struct{ statement, filters, want string }{
		{"no filters are true", `[]`, pass},
		{"filters are joined by AND", `[{"exact": {"tenant": "acme"}}, {"prefix": {"subject": "images/"}}]`, pass},
		{"one that is false is enough", `[{"exact": {"tenant": "acme"}}, {"prefix": {"subject": "x"}}]`, fail},

		{"exact is equality", `[{"exact": {"source": "/shop"}}]`, pass},
		{"exact is with case", `[{"exact": {"source": "/Shop"}}]`, fail},
		{"every entry of exact must match", `[{"exact": {"source": "/shop", "tenant": "other"}}]`, fail},
		{"exact of a missing attribute is false", `[{"exact": {"nothing": "x"}}]`, fail},
		{"exact compares canonical strings", `[{"exact": {"seq": "10", "on": "true", "time": "2026-01-02T03:04:05Z"}}]`, pass},
		{"prefix", `[{"prefix": {"subject": "images/"}}]`, pass},
		{"prefix is with case", `[{"prefix": {"subject": "Images/"}}]`, fail},
		{"a prefix may be the whole", `[{"prefix": {"subject": "images/a.png"}}]`, pass},
		{"a prefix may not be longer", `[{"prefix": {"subject": "images/a.png."}}]`, fail},
		{"every entry of prefix must match", `[{"prefix": {"subject": "images/", "source": "/bank"}}]`, fail},
		{"prefix of a missing attribute is false", `[{"prefix": {"nothing": "x"}}]`, fail},
		{"suffix", `[{"suffix": {"subject": ".png"}}]`, pass},
		{"suffix is with case", `[{"suffix": {"subject": ".PNG"}}]`, fail},
		{"a suffix may be the whole", `[{"suffix": {"subject": "images/a.png"}}]`, pass},
		{"suffix of a missing attribute is false", `[{"suffix": {"nothing": "x"}}]`, fail},
		{"all", `[{"all": [{"exact": {"tenant": "acme"}}, {"suffix": {"subject": ".png"}}]}]`, pass},
		{"all with one that is false", `[{"all": [{"exact": {"tenant": "acme"}}, {"suffix": {"subject": ".gif"}}]}]`, fail},
		{"any", `[{"any": [{"exact": {"tenant": "x"}}, {"suffix": {"subject": ".png"}}]}]`, pass},
		{"any with none that is true", `[{"any": [{"exact": {"tenant": "x"}}, {"suffix": {"subject": ".gif"}}]}]`, fail},
		{"not", `[{"not": {"exact": {"tenant": "x"}}}]`, pass},
		{"not of a missing attribute", `[{"not": {"exact": {"nothing": "x"}}}]`, pass},
		{"not of what passes", `[{"not": {"exact": {"tenant": "acme"}}}]`, fail},
		{"dialects nest", `[{"not": {"any": [{"all": [{"exact": {"tenant": "x"}}]}, {"not": {"sql": "TRUE"}}]}}]`, pass},

		{"an empty map is refused", `[{"exact": {}}]`, "empty: want at least one attribute"},
		{"an empty name is refused", `[{"prefix": {"": "x"}}]`, "want lower-case letters and digits"},
		{"an empty value is refused", `[{"suffix": {"subject": ""}}]`, "empty: want a non-empty string"},
		{"a value that is no string is refused", `[{"exact": {"seq": 10}}]`, "cannot unmarshal number"},
		{"all without a filter is refused", `[{"all": []}]`, "empty: want at least one filter"},
		{"any without a filter is refused", `[{"any": []}]`, "empty: want at least one filter"},
		{"not of a list is refused", `[{"not": [{"exact": {"a": "b"}}]}]`, "cannot unmarshal array"},
		{"not of nothing is refused", `[{"not": {}}]`, "has 0 dialects"},
		{"two dialects in one are refused", `[{"exact": {"a": "b"}, "sql": "TRUE"}]`, "has 2 dialects"},
		{"none is refused", `[{}]`, "has 0 dialects"},
		{"an empty expression is refused", `[{"sql": ""}]`, "empty: want a CESQL expression"},
		{"a broken expression is refused", sql("tenant = = 1"), "parse error"},
		{"an unknown function is refused", sql("FOO(tenant)"), "function FOO/1"},

		{"true passes", sql("TRUE"), pass},
		{"an Integer does not pass", sql("10"), fail},
		{"a String does not pass", sql("'true'"), fail},
		{"an attribute that is a Boolean passes", sql("on"), pass},
		{"keywords are without case", sql("exists tenant and not exists nothing"), pass},
		{"Strings are with case", sql("tenant = 'Acme'"), fail},
		{"the data cannot be addressed", sql("EXISTS data"), fail},
		{"nor compared", sql("data != 'x'"), fail},
		{"a timestamp is a String", sql("time = '2026-01-02T03:04:05Z'"), pass},
		{"a URI is a String", sql("uri LIKE 'https://%'"), pass},
		{"a missing attribute is an error, with =", sql("nothing = 'x'"), fail},
		{"and with !=", sql("nothing != 'x'"), fail},
		{"and under NOT", sql("NOT (nothing = 'x')"), fail},
		{"but not outside the expression", `[{"not": {"sql": "nothing = 'x'"}}]`, pass},
		{"EXISTS guards", sql("EXISTS nothing AND nothing = 'x' OR TRUE"), fail},
		{"EXISTS lets through", sql("EXISTS tenant AND tenant = 'acme'"), pass},
		{"OR stops at true", sql("TRUE OR nothing = 'x'"), pass},
		{"OR after an error is one", sql("nothing = 'x' OR TRUE"), fail},
		{"AND stops at false", sql("NOT (FALSE AND nothing = 'x')"), pass},
		{"AND and OR are of one level", sql("FALSE AND TRUE OR TRUE"), fail},
		{"XOR", sql("TRUE XOR FALSE"), pass},
		{"XOR looks at both sides", sql("TRUE XOR nothing = 'x'"), fail},
		{"= casts left to right, to an Integer", sql("seq = 10"), pass},
		{"to a String", sql("10 = seq"), pass},
		{"to a Boolean", sql("loud = TRUE"), pass},
		{"TRUE is 'true' as a String", sql("TRUE = 'true'"), pass},
		{"and not 'TRUE'", sql("TRUE = 'TRUE'"), fail},
		{"a cast that fails is an error", sql("tenant != 10"), fail},
		{"IN casts the members", sql("seq IN (9, 10)"), pass},
		{"IN looks no further than the first equal one", sql("seq IN (10, nothing)"), pass},
		{"NOT IN", sql("tenant NOT IN ('x', 'y')"), pass},
		{"comparisons are of Integers", sql("seq > 9 AND seq >= 10 AND neg < 0 AND neg <= -7"), pass},
		{"of others they are errors", sql("tenant > 9"), fail},
		{"LIKE with any number", sql("subject LIKE 'images/%.png'"), pass},
		{"LIKE with one", sql("subject LIKE 'images/_.png'"), pass},
		{"LIKE with an escape", sql(`'50%' LIKE '50\%'`), pass},
		{"LIKE is of the whole", sql("subject LIKE 'images'"), fail},
		{"NOT LIKE", sql("subject NOT LIKE 'videos/%'"), pass},
		{"a pattern is a literal", sql("subject LIKE tenant"), "want a string literal"},
		{"Integers have 32 bits", sql("seq = 2147483648"), "want -2147483648 to 2147483647"},
		{"the smallest is one", sql("min = -2147483648"), pass},
		{"division by zero is an error", sql("seq / 0 = 0"), fail},
		{"so is the remainder", sql("seq % 0 = 0"), fail},
		{"ABS of the smallest is an error", sql("ABS(min) = 2147483647"), fail},
		{"SUBSTRING counts from 1", sql("SUBSTRING(tenant, 2) = 'cme'"), pass},
		{"from the end, below 0", sql("SUBSTRING(tenant, -3, 2) = 'cm'"), pass},
		{"and from 0 has nothing", sql("SUBSTRING(tenant, 0) = ''"), pass},
		{"NOT of an Integer", sql("NOT 10"), fail},
		{"NOT of 0", sql("NOT 0"), pass},
		{"LENGTH, CONCAT and CONCAT_WS", sql("LENGTH(CONCAT(tenant, seq)) = 6 AND CONCAT_WS('-', tenant, seq) = 'acme-10'"), pass},
		{"LOWER, UPPER and TRIM", sql("LOWER('ABC') = 'abc' AND UPPER(tenant) = 'ACME' AND TRIM(' a ') = 'a'"), pass},
		{"LEFT and RIGHT", sql("LEFT(tenant, 2) = 'ac' AND RIGHT(tenant, 2) = 'me'"), pass},
	} {
		t.Run(c.statement, func(t *testing.T) {
			o := resource.Object{APIVersion: resource.APIVersion, Kind: resource.KindLink, Metadata: resource.Metadata{Name: "l"},
				Spec: fmt.Appendf(nil, `{"function": "a", "types": ["*"], "filters": %s}`, c.filters)}
			faults := o.Validate()
			made, more := resource.NewSet(7, []resource.Object{o})
			if faults = append(faults, more...); len(faults) == 0 {
				faults = append(faults, CheckLink(made.Links[0])...)
			}
			if c.want != pass && c.want != fail {
				if !strings.Contains(faults.Error(), c.want) {
					t.Errorf("%v, want it refused with %q", faults, c.want)
				}
				return
			}
			if len(faults) > 0 {
				t.Fatal(faults)
			}
			e := newEngine(t, set(made.Links))
			want := map[string]string{pass: "l", fail: ""}[c.want]
			if got := chosen(t, e, x); got != want {
				t.Errorf("chosen %q, want %q", got, want)
			}
			if got := explained(t, e, x); got != want {
				t.Errorf("explained %q, want %q", got, want)
			}
		})
	}
}
