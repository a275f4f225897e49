package cesql

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/signalbox-dev/signalbox/event"
)

// function is a built-in of CESQL 1.0, section "Built-in Functions". The
// casting functions INT, BOOL, STRING, IS_INT and IS_BOOL are among them.
type function struct {
	name   string
	params []kind
	// run gets as many arguments as there are params, the others zero: not a
	// slice, which would escape to the heap.
	run func(a, b, c value) (value, error)
	// variadic is set instead of run where any number of Strings follows params.
	variadic func(args []value) value
}

var (
	oneString = []kind{stringKind}
	oneAny    = []kind{anyKind}
	cut       = []kind{stringKind, integerKind}
)

var functions = [...]function{
	{name: "ABS", params: []kind{integerKind}, run: abs},
	{name: "LENGTH", params: oneString, run: length},
	{name: "CONCAT", variadic: func(args []value) value { return join(args, "") }},
	{name: "CONCAT_WS", params: oneString, variadic: func(args []value) value { return join(args[1:], args[0].s) }},
	{name: "LOWER", params: oneString, run: mapString(strings.ToLower)},
	{name: "UPPER", params: oneString, run: mapString(strings.ToUpper)},
	{name: "TRIM", params: oneString, run: mapString(strings.TrimSpace)},
	{name: "LEFT", params: cut, run: left},
	{name: "RIGHT", params: cut, run: right},
	{name: "SUBSTRING", params: cut, run: func(s, pos, _ value) (value, error) { return substring(s.s, pos.i, math.MaxInt32) }},
	{name: "SUBSTRING", params: []kind{stringKind, integerKind, integerKind}, run: func(s, pos, n value) (value, error) { return substring(s.s, pos.i, n.i) }},
	{name: "INT", params: oneAny, run: castTo(integerKind)},
	{name: "BOOL", params: oneAny, run: castTo(booleanKind)},
	{name: "STRING", params: oneAny, run: castTo(stringKind)},
	{name: "IS_INT", params: oneAny, run: canCast(integerKind)},
	{name: "IS_BOOL", params: oneAny, run: canCast(booleanKind)},
}

// lookup finds a function by its upper-case name and number of arguments; nil is none.
func lookup(name string, args int) *function {
	for i := range functions {
		f := &functions[i]
		if f.name == name && (args == len(f.params) || (f.variadic != nil && args >= len(f.params))) {
			return f
		}
	}
	return nil
}

// call is a function with its arguments; fn nil is one that does not exist.
type call struct {
	fn      *function
	args    []node
	missing *Error
}

func (n *call) eval(ev *event.Event) (value, error) {
	if n.fn == nil {
		return value{}, n.missing
	}
	if n.fn.variadic != nil {
		return n.evalVariadic(ev)
	}
	var args [3]value
	for i, a := range n.args {
		var err error
		if args[i], err = evalAs(a, ev, n.fn.params[i]); err != nil {
			return value{}, err
		}
	}
	return n.fn.run(args[0], args[1], args[2])
}

func (n *call) evalVariadic(ev *event.Event) (value, error) {
	args := make([]value, len(n.args))
	for i, a := range n.args {
		var err error
		if args[i], err = evalAs(a, ev, stringKind); err != nil {
			return value{}, err
		}
	}
	return n.fn.variadic(args), nil
}

func unknownCall(name string, args int) string { return name + "/" + strconv.Itoa(args) }

func mapString(f func(string) string) func(a, _, _ value) (value, error) {
	return func(a, _, _ value) (value, error) { return stringValue(f(a.s)), nil }
}

func castTo(k kind) func(a, _, _ value) (value, error) {
	return func(a, _, _ value) (value, error) { return a.cast(k) }
}

func canCast(k kind) func(a, _, _ value) (value, error) {
	return func(a, _, _ value) (value, error) {
		_, err := a.cast(k)
		return booleanValue(err == nil), nil
	}
}

func abs(a, _, _ value) (value, error) {
	switch {
	case a.i == math.MinInt32:
		return integerValue(math.MaxInt32), errAbs
	case a.i < 0:
		return integerValue(-a.i), nil
	}
	return a, nil
}

func length(a, _, _ value) (value, error) {
	return integerValue(int32(utf8.RuneCountInString(a.s))), nil
}

func join(vs []value, sep string) value {
	var b strings.Builder
	for i, v := range vs {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(v.s)
	}
	return stringValue(b.String())
}

func left(s, n, _ value) (value, error) {
	if n.i < 0 {
		return s, errNegative
	}
	return stringValue(s.s[:offset(s.s, int(n.i))]), nil
}

func right(s, n, _ value) (value, error) {
	if n.i < 0 {
		return s, errNegative
	}
	skip := max(0, utf8.RuneCountInString(s.s)-int(n.i))
	return stringValue(s.s[offset(s.s, skip):]), nil
}

// substring counts from 1, from the end when pos is negative.
func substring(s string, pos, length int32) (value, error) {
	n := int32(utf8.RuneCountInString(s))
	switch {
	case pos == 0:
		return stringValue(""), nil
	case pos > n || pos < -n:
		return stringValue(""), errPosition
	case length < 0:
		return stringValue(""), errNegative
	case pos < 0:
		pos += n + 1
	}
	rest := s[offset(s, int(pos-1)):]
	return stringValue(rest[:offset(rest, int(length))]), nil
}

// offset is the byte at which character n (from 0) of s begins, at most the length.
func offset(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}
