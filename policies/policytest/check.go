package policytest

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
)

// CheckReport says what there is, and of each policy what it reads.
type CheckReport struct {
	Functions int            `json:"functions"`
	Links     int            `json:"links"`
	Policies  []PolicyReport `json:"policies"`
}

// PolicyReport is one policy, with the file it stands in. Lines are those of
// the module; Place says where an expression stands in the file.
type PolicyReport struct {
	policies.PolicyReport
	File string `json:"file"`
	// NotRemembered are the obstacles as lines: file:line: what: text.
	NotRemembered []string `json:"notRemembered,omitempty"`
}

// Inputs are the parts of input and data that the policy may read, in the words
// of Rego.
func (r *PolicyReport) Inputs() []string {
	var all []string
	flag := func(is bool, what string) {
		if is {
			all = append(all, what)
		}
	}
	flag(r.Reads.Input, "input")
	flag(r.Reads.Event, "input.event")
	for _, a := range r.Reads.Attributes {
		all = append(all, "event."+a)
	}
	flag(r.Reads.Data, "event.data")
	flag(r.Reads.Links, "links")
	flag(r.Reads.Time, "time")
	all = append(all, r.Reads.Fields...)
	for _, d := range r.Reads.Documents {
		all = append(all, "data."+d)
	}
	return all
}

// Check compiles the manifests and the Rego of a file or directory together,
// those in shadow mode too. The error is resource.Faults when something is wrong.
func Check(path string) (CheckReport, error) {
	s, err := Load(path, Options{every: true})
	if err != nil {
		return CheckReport{}, err
	}
	if faults := policies.CheckSet(s.set); len(faults) > 0 {
		return CheckReport{}, s.manifests.Locate(faults)
	}
	if _, err := s.modules(); err != nil { // the tests must parse, too
		return CheckReport{}, err
	}
	report := CheckReport{Functions: len(s.set.Functions), Links: len(s.set.Links), Policies: []PolicyReport{}}
	for _, p := range policies.Inspect(s.set) {
		r := PolicyReport{PolicyReport: p, File: s.manifests.File(resource.KindPolicy, p.Policy)}
		for _, o := range p.Obstacles {
			if p.Kind != policies.StageTrigger {
				break // those of a library are told of the policies that use it
			}
			file, line := s.place(o.Policy, o.Line)
			r.NotRemembered = append(r.NotRemembered, fmt.Sprintf("%s:%d: %s: %s", file, line, o.What, o.Text))
		}
		report.Policies = append(report.Policies, r)
	}
	return report, nil
}

var moduleColumn = regexp.MustCompile(`^line \d+, column (\d+) of the module: `)

// Line is a fault as file:line:column: problem.
func Line(f resource.Fault) string {
	m := moduleColumn.FindStringSubmatch(f.Problem)
	if m == nil || f.File == "" || f.Line == 0 {
		return f.String()
	}
	what := ""
	if f.Resource != "" {
		what = f.Resource + ": "
	}
	return fmt.Sprintf("%s:%d:%s: %s%s", f.File, f.Line, m[1], what, strings.TrimPrefix(f.Problem, m[0]))
}
