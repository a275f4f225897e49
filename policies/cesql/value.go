package cesql

import (
	"strconv"
	"strings"
)

// kind is a type of CESQL; anyKind is a parameter that is not cast.
type kind uint8

const (
	stringKind kind = iota
	integerKind
	booleanKind
	anyKind
)

// value is what an expression yields; the fields of other kinds are zero, so
// that == compares.
type value struct {
	kind kind
	b    bool
	i    int32
	s    string
}

func stringValue(s string) value { return value{kind: stringKind, s: s} }
func integerValue(i int32) value { return value{kind: integerKind, i: i} }
func booleanValue(b bool) value  { return value{kind: booleanKind, b: b} }

// cast follows CESQL 1.0, section "Type casting".
func (v value) cast(to kind) (value, error) {
	if v.kind == to {
		return v, nil
	}
	switch to {
	case stringKind:
		if v.kind == booleanKind {
			return stringValue(strconv.FormatBool(v.b)), nil
		}
		return stringValue(strconv.Itoa(int(v.i))), nil
	case integerKind:
		return v.castInteger()
	case booleanKind:
		return v.castBoolean()
	}
	return v, nil
}

func (v value) castInteger() (value, error) {
	if v.kind == booleanKind {
		if v.b {
			return integerValue(1), nil
		}
		return integerValue(0), nil
	}
	i, ok := parseInteger(v.s)
	if !ok {
		return value{}, errNotInteger
	}
	return integerValue(i), nil
}

// parseInteger is strconv.ParseInt without its allocated errors: a sign, then
// digits, within 32 bits.
func parseInteger(s string) (int32, bool) {
	digits := s
	if s != "" && (s[0] == '-' || s[0] == '+') {
		digits = s[1:]
	}
	if digits == "" {
		return 0, false
	}
	n := int64(0)
	for i := range len(digits) {
		if !isDigit(digits[i]) || n > 1<<32 {
			return 0, false
		}
		n = n*10 + int64(digits[i]-'0')
	}
	if s[0] == '-' {
		n = -n
	}
	return int32(n), n == int64(int32(n))
}

func (v value) castBoolean() (value, error) {
	switch {
	case v.kind == integerKind:
		return booleanValue(v.i != 0), nil
	case strings.EqualFold(v.s, "true"):
		return booleanValue(true), nil
	case strings.EqualFold(v.s, "false"):
		return booleanValue(false), nil
	}
	return value{}, errNotBoolean
}
