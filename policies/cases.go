package policies

import (
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/signalbox-dev/signalbox/event"
)

// What package policytest needs to ask OPA itself what the engine is asked.

// TriggerInput is the whole input of trigger policies for ev, whether they read
// it or not.
func (s *Snapshot) TriggerInput(ev *event.Event, key string, now time.Time) ast.Value {
	sc := new(scratch)
	s.findCandidates(sc, ev, key)
	whole := reads{whole: true}
	return whole.triggerInput(ev, func() *ast.Term {
		terms := make([]*ast.Term, len(sc.candidates))
		for i, c := range sc.candidates {
			terms[i] = linkTerm(s.links[c.link].link, c.function)
		}
		return ast.ArrayTerm(terms...)
	}, s.timeOr(now))
}

// AdmissionInput is the whole input of admission policies.
func (s *Snapshot) AdmissionInput(a Admission, now time.Time) (ast.Value, error) {
	whole := reads{whole: true}
	return whole.admissionInput(a, s.timeOr(now))
}

// ManagementInput is the whole input of management policies.
func (s *Snapshot) ManagementInput(m Management, now time.Time) (ast.Value, error) {
	whole := reads{whole: true}
	return whole.managementInput(m, s.timeOr(now))
}

// Shipped are the shipped definitions of the rules that no module defines, as
// modules by the name of a file. defines is asked for package and rule.
func Shipped(defines func(pkg, rule string) bool) map[string]*ast.Module {
	modules := map[string]*ast.Module{}
	for _, s := range stages() {
		m := ast.MustParseModule(s.shipped)
		var kept []*ast.Rule
		for _, r := range m.Rules {
			if !defines(s.pkg(), ruleName(r)) {
				kept = append(kept, r)
			}
		}
		if m.Rules = kept; len(kept) > 0 {
			modules["shipped/"+s.pkg()+".rego"] = m
		}
	}
	return modules
}
