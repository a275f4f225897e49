// Package need says what every event that passes a filter has for certain, so
// that an index can find the filter by it. A filter may need more than is said
// here, never less.
package need

import (
	"slices"
	"strconv"
	"strings"
)

// Op is how an attribute compares with the value of a Key.
type Op uint8

// The comparisons.
const (
	Equals Op = iota
	Begins
	Ends
)

// Key is a condition on the canonical string of one attribute, which the event
// must have. Begins with "" is that alone.
type Key struct {
	Attribute string
	Op        Op
	Value     string
}

// Exists is the key of an attribute that the event must have.
func Exists(attribute string) Key { return Key{attribute, Begins, ""} }

// AnyValue reports whether the key asks for the attribute only, whatever its value.
func (k Key) AnyValue() bool { return k.Op != Equals && k.Value == "" }

// Holds reports whether an attribute with the value v satisfies the key.
func (k Key) Holds(v string) bool {
	switch k.Op {
	case Begins:
		return strings.HasPrefix(v, k.Value)
	case Ends:
		return strings.HasSuffix(v, k.Value)
	}
	return v == k.Value
}

// String is the key for people, such as: source = /shop.
func (k Key) String() string {
	switch {
	case k.AnyValue():
		return k.Attribute + " exists"
	case k.Op == Begins:
		return k.Attribute + " begins with " + word(k.Value)
	case k.Op == Ends:
		return k.Attribute + " ends with " + word(k.Value)
	}
	return k.Attribute + " = " + word(k.Value)
}

// word quotes a value that would not be seen to end where it does.
func word(s string) string {
	if s == "" || strings.ContainsAny(s, " ,;\"'") || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
		return strconv.Quote(s)
	}
	return s
}

// implies reports whether k holds only where o holds too.
func (k Key) implies(o Key) bool {
	switch {
	case k.Attribute != o.Attribute:
		return false
	case o.AnyValue() || k == o:
		return true
	}
	return o.Op != Equals && (k.Op == Equals || k.Op == o.Op) && o.Holds(k.Value)
}

// Clause holds when one of its keys does. A filter has any number of clauses,
// all of which hold for an event that passes.
type Clause []Key

// String is the clause for people, its keys joined by "or".
func (c Clause) String() string {
	words := make([]string, len(c))
	for i, k := range c {
		words[i] = k.String()
		if i > 0 && k.Attribute == c[0].Attribute && k.Op == c[0].Op && !k.AnyValue() {
			words[i] = word(k.Value)
		}
	}
	return strings.Join(words, " or ")
}

// weight ranks clauses where nothing is known of the other filters: the lower
// the fewer events hold it, probably.
func (c Clause) weight() (w int) {
	for _, k := range c {
		switch {
		case k.AnyValue():
			w += 10
		case k.Op == Equals:
			w++
		default:
			w += 2
		}
	}
	return w
}

const (
	// maxClauses bounds what is kept of a filter, maxKeys the alternatives in a clause.
	maxClauses = 4
	maxKeys    = 256
)

// Either is what an event has that passes one filter or the other: the best of
// the pairs of their clauses. Nothing, where one of them needs nothing.
func Either(a, b []Clause) []Clause {
	var out []Clause
	for _, x := range best(a) {
		for _, y := range best(b) {
			if c := union(x, y); len(c) <= maxKeys {
				out = append(out, c)
			}
		}
	}
	return best(out)
}

// best are those that most likely tell events apart; it leaves list as it is.
func best(list []Clause) []Clause {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(x, y Clause) int { return x.weight() - y.weight() })
	return sorted[:min(len(sorted), maxClauses)]
}

// union leaves out what another key covers.
func union(x, y Clause) Clause {
	out := make(Clause, 0, len(x)+len(y))
	for _, c := range [...]Clause{x, y} {
		for _, k := range c {
			if slices.ContainsFunc(out, k.implies) {
				continue
			}
			out = append(slices.DeleteFunc(out, func(o Key) bool { return o.implies(k) }), k)
		}
	}
	return out
}
