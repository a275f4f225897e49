package need

import (
	"fmt"
	"strings"
	"testing"
)

func eq(attribute, value string) Key     { return Key{attribute, Equals, value} }
func begins(attribute, value string) Key { return Key{attribute, Begins, value} }
func ends(attribute, value string) Key   { return Key{attribute, Ends, value} }

func show(clauses []Clause) string {
	words := make([]string, len(clauses))
	for i, c := range clauses {
		words[i] = c.String()
	}
	return strings.Join(words, ", ")
}

func TestEitherJoinsClausesPairwise(t *testing.T) {
	for name, c := range map[string]struct {
		a, b []Clause
		want string
	}{
		"two values":                        {[]Clause{{eq("a", "x")}}, []Clause{{eq("a", "y")}}, "a = x or y"},
		"the same value":                    {[]Clause{{eq("a", "x")}}, []Clause{{eq("a", "x")}}, "a = x"},
		"nothing is needed of one":          {[]Clause{{eq("a", "x")}}, nil, ""},
		"a beginning covers a value":        {[]Clause{{eq("a", "xyz")}}, []Clause{{begins("a", "x")}}, "a begins with x"},
		"and a longer beginning":            {[]Clause{{begins("a", "x")}}, []Clause{{begins("a", "xy")}}, "a begins with x"},
		"an end covers a value":             {[]Clause{{ends("a", "z")}}, []Clause{{eq("a", "xyz")}}, "a ends with z"},
		"but no beginning":                  {[]Clause{{ends("a", "z")}}, []Clause{{begins("a", "z")}}, "a ends with z or a begins with z"},
		"existence covers all of one":       {[]Clause{{ends("a", "z")}}, []Clause{{Exists("a")}}, "a exists"},
		"and nothing of another":            {[]Clause{{eq("b", "x")}}, []Clause{{Exists("a")}}, "b = x or a exists"},
		"the best pairs, fewest keys first": {[]Clause{{Exists("a")}, {eq("a", "x")}}, []Clause{{eq("a", "y")}}, "a = x or y, a exists"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := show(Either(c.a, c.b)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestEitherIsBounded(t *testing.T) {
	var many, keys []Clause
	for i := range 50 {
		many = append(many, Clause{eq(fmt.Sprint("a", i), "x")})
	}
	if got := Either(many, many); len(got) != maxClauses {
		t.Errorf("%d clauses", len(got))
	}
	keys = []Clause{{}}
	for i := range maxKeys {
		keys[0] = append(keys[0], eq("a", fmt.Sprint(i)))
	}
	if got := Either(keys, keys); len(got) != 1 || len(got[0]) != maxKeys {
		t.Errorf("the same keys twice: %d", len(got))
	}
	if got := Either(keys, []Clause{{eq("a", "one more")}}); len(got) != 0 {
		t.Error("a clause of too many keys is kept")
	}
}

func TestKeysForPeople(t *testing.T) {
	c := Clause{eq("a", "x"), eq("a", "y z"), begins("b", "/p"), ends("b", ""), eq("c", "")}
	if got, want := c.String(), `a = x or "y z" or b begins with /p or b exists or c = ""`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
