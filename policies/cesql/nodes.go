package cesql

import "github.com/signalbox-dev/signalbox/event"

type literal struct{ v value }

func (n literal) eval(*event.Event) (value, error) { return n.v, nil }

type attribute struct {
	name    string
	missing *Error
}

func (n *attribute) eval(ev *event.Event) (value, error) {
	v, ok := ev.Attribute(n.name)
	if !ok {
		return value{}, n.missing
	}
	return stringValue(v), nil
}

type exists struct{ name string }

func (n exists) eval(ev *event.Event) (value, error) {
	_, ok := ev.Attribute(n.name)
	return booleanValue(ok), nil
}

// evalAs evaluates and casts.
func evalAs(n node, ev *event.Event, k kind) (value, error) {
	v, err := n.eval(ev)
	if err != nil {
		return v, err
	}
	return v.cast(k)
}

type not struct{ child node }

func (n not) eval(ev *event.Event) (value, error) {
	v, err := evalAs(n.child, ev, booleanKind)
	return booleanValue(!v.b), err
}

type negate struct{ child node }

func (n negate) eval(ev *event.Event) (value, error) {
	v, err := evalAs(n.child, ev, integerKind)
	return integerValue(-v.i), err
}

type logicOp uint8

const (
	opAnd logicOp = iota
	opOr
	opXor
)

type logic struct {
	op          logicOp
	left, right node
	// leftText and rightText are the sides as they are written.
	leftText, rightText string
}

// eval looks at the right side only when the left does not decide: an error
// there does not count then.
func (n *logic) eval(ev *event.Event) (value, error) {
	l, err := evalAs(n.left, ev, booleanKind)
	if err != nil || (n.op == opAnd && !l.b) || (n.op == opOr && l.b) {
		return l, err
	}
	r, err := evalAs(n.right, ev, booleanKind)
	if n.op == opXor {
		return booleanValue(l.b != r.b), err
	}
	return r, err
}

type equal struct {
	left, right node
	negate      bool
}

// eval casts the left side to the type of the right one.
func (n *equal) eval(ev *event.Event) (value, error) {
	l, err := n.left.eval(ev)
	if err != nil {
		return l, err
	}
	r, err := n.right.eval(ev)
	if err != nil {
		return r, err
	}
	l, err = l.cast(r.kind)
	return booleanValue((l == r) != n.negate), err
}

// integers evaluates both sides as Integers.
func integers(left, right node, ev *event.Event) (x, y int32, err error) {
	l, err := left.eval(ev)
	if err != nil {
		return 0, 0, err
	}
	r, err := right.eval(ev)
	if err != nil {
		return 0, 0, err
	}
	if l, err = l.cast(integerKind); err != nil {
		return 0, 0, err
	}
	r, err = r.cast(integerKind)
	return l.i, r.i, err
}

type compare struct {
	op          string
	left, right node
}

func (n *compare) eval(ev *event.Event) (value, error) {
	x, y, err := integers(n.left, n.right, ev)
	if err != nil {
		return value{}, err
	}
	switch n.op {
	case "<":
		return booleanValue(x < y), nil
	case "<=":
		return booleanValue(x <= y), nil
	case ">":
		return booleanValue(x > y), nil
	}
	return booleanValue(x >= y), nil
}

type arithmetic struct {
	op          byte
	left, right node
}

// eval wraps round at 32 bits, as the SDK does.
func (n *arithmetic) eval(ev *event.Event) (value, error) {
	x, y, err := integers(n.left, n.right, ev)
	if err != nil {
		return value{}, err
	}
	switch n.op {
	case '+':
		return integerValue(x + y), nil
	case '-':
		return integerValue(x - y), nil
	case '*':
		return integerValue(x * y), nil
	}
	if y == 0 {
		return integerValue(0), errDivision
	}
	if n.op == '/' {
		return integerValue(x / y), nil
	}
	return integerValue(x % y), nil
}

type in struct {
	child node
	set   []node
}

// eval casts each member to the type of the left side, and stops at the first equal one.
func (n *in) eval(ev *event.Event) (value, error) {
	l, err := n.child.eval(ev)
	if err != nil {
		return l, err
	}
	for _, m := range n.set {
		v, err := evalAs(m, ev, l.kind)
		if err != nil {
			return v, err
		}
		if v == l {
			return booleanValue(true), nil
		}
	}
	return booleanValue(false), nil
}
