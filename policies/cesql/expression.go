package cesql

import "github.com/signalbox-dev/signalbox/event"

// Expression is a parsed expression. It is immutable and safe for concurrent use.
type Expression struct {
	root    node
	text    string
	unknown []string
}

// Unknown lists the calls of functions that do not exist, as NAME/arguments.
// They are errors of evaluation by the text of CESQL, so Parse lets them pass.
func (x *Expression) Unknown() []string { return x.unknown }

// Match reports whether ev passes the expression as a filter: only when the
// result is Boolean true and no error occurred (Subscriptions 0.1-wip, "sql").
func (x *Expression) Match(ev *event.Event) bool {
	v, err := x.result(ev)
	return err == nil && v.kind == booleanKind && v.b
}

// result takes the value of an expression that is nothing but an attribute for
// a Boolean where it reads like one: it may have been one on the wire.
func (x *Expression) result(ev *event.Event) (value, error) {
	v, err := x.root.eval(ev)
	if _, bare := x.root.(*attribute); bare && (v.s == "true" || v.s == "false") {
		v = booleanValue(v.s == "true")
	}
	return v, err
}

// Why is the error that keeps ev from passing; nil when it passes, or when the
// result is a clean false.
func (x *Expression) Why(ev *event.Event) error {
	v, err := x.result(ev)
	if err == nil && v.kind != booleanKind {
		return errNoBoolean
	}
	return err
}

// node is one part of an expression. An error means that the whole expression
// has none of its values to offer a filter: evaluation stops at the first one.
type node interface {
	eval(ev *event.Event) (value, error)
}
