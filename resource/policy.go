package resource

import "strings"

// KindPolicy is a Rego module: a trigger policy (package signalbox.trigger) or
// an admission policy (package signalbox.admission).
const KindPolicy = "Policy"

// PolicySpec holds one Rego module.
type PolicySpec struct {
	// Rego is the module's source.
	Rego string `json:"rego"`
}

// Policy is a resource of kind Policy.
type Policy struct {
	Metadata Metadata
	Spec     PolicySpec
}

func (s *PolicySpec) validate(Metadata) Faults {
	var f Faults
	if strings.TrimSpace(s.Rego) == "" {
		f.add("spec.rego", "empty: want a Rego module of package signalbox.trigger or signalbox.admission")
	}
	return f
}
