package policies

import "github.com/signalbox-dev/signalbox/resource"

// CheckLink compiles the filters of a link.
func CheckLink(l *resource.Link) resource.Faults {
	_, faults := new(Snapshot).compileLink(l)
	return faults
}

// CheckPolicy parses and compiles a policy by itself. Each fault says line and
// column within spec.rego, and what is wrong.
func CheckPolicy(p *resource.Policy) resource.Faults {
	_, faults := compileRules([]*resource.Policy{p})
	return faults
}

// CheckSet compiles everything as Load does: policies of a package together,
// which shows rules that conflict and recursion between them.
func CheckSet(set resource.Set) resource.Faults {
	_, faults := Compile(set, Config{})
	return faults
}
