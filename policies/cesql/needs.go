package cesql

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/signalbox-dev/signalbox/policies/need"
)

// Needs is what every event has that passes the expression. It follows from
// what evaluates to a clean true: both sides of AND, one side of OR, and every
// attribute that is certain to be looked at exists, since a missing one is an error.
func (x *Expression) Needs() []need.Clause {
	if a, bare := x.root.(*attribute); bare {
		return []need.Clause{{{Attribute: a.name, Op: need.Equals, Value: "true"}}}
	}
	clauses, _ := needs(x.root)
	for _, name := range looksAt(x.root, nil) {
		clauses = append(clauses, need.Clause{need.Exists(name)})
	}
	return clauses
}

// needs is what an event has for which n, cast to Boolean, is true, and false,
// without an error. Both at once: XOR asks for both, at every level.
func needs(n node) (whenTrue, whenFalse []need.Clause) {
	switch n := n.(type) {
	case not:
		t, f := needs(n.child)
		return f, t
	case *logic:
		return n.needs()
	case *equal:
		if n.negate {
			return nil, n.needs()
		}
		return n.needs(), nil
	case *in:
		return n.needs(), nil
	case *like:
		return n.needs(), nil
	case exists:
		return []need.Clause{{need.Exists(n.name)}}, nil
	}
	return nil, nil
}

func (n *logic) needs() (whenTrue, whenFalse []need.Clause) {
	lt, lf := needs(n.left)
	rt, rf := needs(n.right)
	switch n.op {
	case opAnd:
		return slices.Concat(lt, rt), need.Either(lf, rf)
	case opOr:
		return need.Either(lt, rt), slices.Concat(lf, rf)
	}
	return need.Either(slices.Concat(lt, rf), slices.Concat(lf, rt)), need.Either(slices.Concat(lt, rt), slices.Concat(lf, rf))
}

// needs of a comparison with a literal. On the left it is cast to String, the
// type of every attribute; on the right it casts the attribute, and then only a
// String says which one it must be: 10 is 010 as well.
func (n *equal) needs() []need.Clause {
	if a, ok := n.left.(*attribute); ok {
		if l, ok := n.right.(literal); ok && l.v.kind == stringKind {
			return []need.Clause{{equals(a, l)}}
		}
	}
	if a, ok := n.right.(*attribute); ok {
		if l, ok := n.left.(literal); ok {
			return []need.Clause{{equals(a, l)}}
		}
	}
	return nil
}

func equals(a *attribute, l literal) need.Key {
	v, _ := l.v.cast(stringKind)
	return need.Key{Attribute: a.name, Op: need.Equals, Value: v.s}
}

// needs of an attribute that is in a set of literals.
func (n *in) needs() []need.Clause {
	a, ok := n.child.(*attribute)
	if !ok {
		return nil
	}
	var c need.Clause
	for _, m := range n.set {
		l, ok := m.(literal)
		if !ok {
			return nil
		}
		c = append(c, equals(a, l))
	}
	return need.Either([]need.Clause{c}, []need.Clause{c})
}

// needs of a pattern: the characters before the first wildcard, and those
// after the last.
func (n *like) needs() []need.Clause {
	a, ok := n.child.(*attribute)
	if !ok {
		return nil
	}
	begin, end := literalRun(n.pattern, false), literalRun(n.pattern, true)
	switch {
	case len(begin) == len(n.pattern):
		return []need.Clause{{{Attribute: a.name, Op: need.Equals, Value: text(begin)}}}
	case len(begin) > 0 && len(end) > 0:
		return []need.Clause{{{Attribute: a.name, Op: need.Begins, Value: text(begin)}}, {{Attribute: a.name, Op: need.Ends, Value: text(end)}}}
	case len(begin) > 0:
		return []need.Clause{{{Attribute: a.name, Op: need.Begins, Value: text(begin)}}}
	case len(end) > 0:
		return []need.Clause{{{Attribute: a.name, Op: need.Ends, Value: text(end)}}}
	}
	return nil
}

// literalRun is the part of a pattern without wildcards that it begins, or
// ends, with. U+FFFD stands for any byte that is no UTF-8: a wildcard here.
func literalRun(p []element, atEnd bool) []element {
	for n := range p {
		i := n
		if atEnd {
			i = len(p) - 1 - n
		}
		if !p[i].many && p[i].r != anyOne && p[i].r != utf8.RuneError {
			continue
		}
		if atEnd {
			return p[i+1:]
		}
		return p[:i]
	}
	return p
}

func text(p []element) string {
	var b strings.Builder
	for _, e := range p {
		b.WriteRune(e.r)
	}
	return b.String()
}

// looksAt appends the attributes whose value n takes whenever it has one itself.
func looksAt(n node, found []string) []string {
	switch n := n.(type) {
	case *attribute:
		return append(found, n.name)
	case not:
		return looksAt(n.child, found)
	case negate:
		return looksAt(n.child, found)
	case *logic:
		if n.op == opXor {
			found = looksAt(n.right, found)
		}
		return looksAt(n.left, found)
	case *equal:
		return looksAt(n.right, looksAt(n.left, found))
	case *compare:
		return looksAt(n.right, looksAt(n.left, found))
	case *arithmetic:
		return looksAt(n.right, looksAt(n.left, found))
	case *in:
		return looksAt(n.child, found)
	case *like:
		return looksAt(n.child, found)
	case *call:
		for _, a := range n.args {
			found = looksAt(a, found)
		}
	}
	return found
}
