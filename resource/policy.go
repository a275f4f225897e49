package resource

import (
	"encoding/json"
	"strings"
)

// KindPolicy is a Rego module: a trigger policy (package signalbox.trigger), an
// admission policy (signalbox.admission), a management policy
// (signalbox.management), or a library for them (any package that does not
// begin with signalbox or system).
const KindPolicy = "Policy"

// PolicySpec holds one Rego module, or documents for others to read, or both.
type PolicySpec struct {
	// Rego is the module's source.
	Rego string `json:"rego,omitempty"`
	// Data are documents, merged into data; no two policies may set the same path.
	Data map[string]json.RawMessage `json:"data,omitempty"`
	// Priority decides between trigger policies that contradict each other: deny
	// takes out what match and target of no higher priority put in. -1000 to 1000.
	Priority int `json:"priority,omitempty"`
	// OnError is what it means when the policy fails, or spends its time: closed
	// (default) makes the event a dead letter, and refuses at the other stages; open
	// decides as if the policy did not exist.
	OnError string `json:"onError,omitempty"`
	// Mode is enforce (default) or shadow: then the policy decides silently beside
	// the others, and only the differences it would make are noted.
	Mode string `json:"mode,omitempty"`
}

// What a policy's failure means, and whether its decisions count.
const (
	OnErrorClosed = "closed"
	OnErrorOpen   = "open"
	ModeEnforce   = "enforce"
	ModeShadow    = "shadow"
)

// FailsOpen reports whether events go on without the policy when it fails.
func (s *PolicySpec) FailsOpen() bool { return s.OnError == OnErrorOpen }

// Shadow reports whether the policy only notes what it would change.
func (s *PolicySpec) Shadow() bool { return s.Mode == ModeShadow }

// Policy is a resource of kind Policy.
type Policy struct {
	Metadata Metadata
	Spec     PolicySpec
}

func (s *PolicySpec) validate(Metadata) Faults {
	var f Faults
	if strings.TrimSpace(s.Rego) == "" && len(s.Data) == 0 {
		f.add("spec.rego", "empty: want a Rego module of package signalbox.trigger, signalbox.admission or signalbox.management, or spec.data")
	}
	if s.Priority < -1000 || s.Priority > 1000 {
		f.add("spec.priority", "%d: want -1000 to 1000", s.Priority)
	}
	switch s.OnError {
	case "", OnErrorClosed, OnErrorOpen:
	default:
		f.add("spec.onError", "%q: want closed or open", s.OnError)
	}
	validateMode(&f, s.Mode, ModeEnforce, ModeShadow)
	return f
}

// validateMode checks spec.mode, which defaults to the first of the allowed ones.
func validateMode(f *Faults, mode string, allowed ...string) {
	if mode == "" {
		return
	}
	for _, a := range allowed {
		if mode == a {
			return
		}
	}
	f.add("spec.mode", "%q: want %s", mode, strings.Join(allowed, " or "))
}
