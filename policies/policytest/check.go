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

// PolicyReport is one policy.
type PolicyReport struct {
	Policy string `json:"policy"`
	File   string `json:"file"`
	// Package is the module's; "" for documents only.
	Package string `json:"package,omitempty"`
	// Reads are the parts of input and data that its rules may read.
	Reads []string `json:"reads"`
	// NotRemembered says why its decisions cannot be remembered; "" when they can.
	NotRemembered string `json:"notRemembered,omitempty"`
}

// Check compiles the manifests and the Rego of a file or directory together,
// those in shadow mode too. The error is resource.Faults when something is wrong.
func Check(path string) (CheckReport, error) {
	s, err := Load(path, Options{Shadow: true})
	if err != nil {
		return CheckReport{}, err
	}
	if faults := policies.CheckSet(s.set); len(faults) > 0 {
		return CheckReport{}, s.manifests.Locate(faults)
	}
	report := CheckReport{Functions: len(s.set.Functions), Links: len(s.set.Links), Policies: []PolicyReport{}}
	for _, p := range s.set.Policies {
		report.Policies = append(report.Policies, PolicyReport{Policy: p.Metadata.Name, File: s.manifests.File(resource.KindPolicy, p.Metadata.Name), Reads: []string{}})
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
