package policies

import "github.com/signalbox-dev/signalbox/resource"

// CheckLink compiles the filters of a link.
func CheckLink(l *resource.Link) resource.Faults {
	return (&compiledLink{link: l}).addFilter(nil)
}

// CheckPolicy parses and compiles a policy by itself, or with others it needs
// beside it: libraries. Each fault says line and column within spec.rego, and
// what is wrong.
func CheckPolicy(p *resource.Policy, beside ...*resource.Policy) resource.Faults {
	_, faults := compileRules(append([]*resource.Policy{p}, beside...))
	return faults
}

// CheckSet compiles everything as Load does: policies of a package together,
// which shows rules that conflict and recursion between them.
func CheckSet(set resource.Set) resource.Faults {
	_, faults := Compile(set, Config{})
	return faults
}
