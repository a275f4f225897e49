package policies

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/signalbox-dev/signalbox/resource"
)

// rules are all policies of a set, compiled. They are used again by the next
// snapshot when no policy changed, and with them their breakers.
type rules struct {
	trigger, admission, management court
}

// court is who decides at one stage.
type court struct {
	// enforced is nil where no policy decides.
	enforced *panel
	// shadow decides beside it, with the policies in shadow mode; nil without any.
	shadow *panel
}

func (r *rules) court(stage string) *court {
	switch stage {
	case StageTrigger:
		return &r.trigger
	case StageAdmission:
		return &r.admission
	}
	return &r.management
}

// readLinks reports whether any trigger policy reads the candidates.
func (r *rules) readLinks() bool {
	return r.trigger.enforced.readsLinks() || r.trigger.shadow.readsLinks()
}

// sameRules reports whether compiling b gives what compiling a gave.
func sameRules(a, b []*resource.Policy) bool { return slices.EqualFunc(a, b, samePolicy) }

func samePolicy(a, b *resource.Policy) bool {
	x, y := &a.Spec, &b.Spec
	return a.Metadata.Name == b.Metadata.Name && x.Rego == y.Rego && x.Priority == y.Priority &&
		x.FailsOpen() == y.FailsOpen() && x.Shadow() == y.Shadow() &&
		maps.EqualFunc(x.Data, y.Data, func(v, w json.RawMessage) bool { return bytes.Equal(v, w) })
}

// compileRules parses every policy and compiles those of a stage together.
func compileRules(policies []*resource.Policy) (r rules, faults resource.Faults) {
	sources := make([]*source, 0, len(policies))
	for _, p := range policies {
		s, fs := parseSource(p)
		if faults = append(faults, fs...); s != nil {
			sources = append(sources, s)
		}
	}
	if len(faults) > 0 {
		return rules{}, faults
	}
	return compileSources(sources)
}

func compileSources(sources []*source) (r rules, faults resource.Faults) {
	enforced := slices.DeleteFunc(slices.Clone(sources), func(s *source) bool { return s.shadow })
	faults = r.addPanels(enforced, false)
	if len(enforced) < len(sources) && len(faults) == 0 {
		faults = r.addPanels(sources, true)
	}
	return r, faults
}

// addPanels compiles the sources of every stage, with the libraries and the
// documents. Libraries that no stage needs are compiled all the same: for the faults.
func (r *rules) addPanels(sources []*source, shadow bool) (faults resource.Faults) {
	docs, faults := mergeDocuments(sources)
	byStage := map[string][]*source{}
	for _, s := range sources {
		byStage[s.stage] = append(byStage[s.stage], s)
		if s.stage == "" && s.module != nil {
			faults = append(faults, docs.conflicts(s)...)
		}
	}
	if len(faults) > 0 {
		return faults
	}
	others := byStage[""]
	alone := len(others) == len(sources)
	for _, st := range stages() {
		members := byStage[st.name]
		if len(members) == 0 && !(alone && st.name == StageTrigger) || shadow && !anyShadow(members) && !anyShadow(others) {
			continue
		}
		p, fs := newPanel(st, members, others, docs, shadow)
		faults = appendNew(faults, fs)
		if c := r.court(st.name); shadow {
			c.shadow = p
		} else {
			c.enforced = p
		}
	}
	return faults
}

func anyShadow(sources []*source) bool {
	return slices.ContainsFunc(sources, func(s *source) bool { return s.shadow })
}

// appendNew leaves out what is there already: a library is compiled for each stage.
func appendNew(faults, more resource.Faults) resource.Faults {
	for _, f := range more {
		if !slices.Contains(faults, f) {
			faults = append(faults, f)
		}
	}
	return faults
}
