package policies

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/signalbox-dev/signalbox/resource"
)

// What a policy is that belongs to no stage.
const (
	KindLibrary   = "library"
	KindDocuments = "documents"
)

// PolicyReport says of one policy what it is, reads and costs.
type PolicyReport struct {
	Policy string `json:"policy"`
	// Kind is a stage, KindLibrary or KindDocuments.
	Kind string `json:"kind"`
	// Package is the Rego package; "" when there are documents only.
	Package string `json:"package,omitempty"`
	// Rules are the rules the policy defines; Asked those of them that the engine asks for.
	Rules []string `json:"rules,omitempty"`
	Asked []string `json:"asked,omitempty"`
	// Documents are the paths in data that the policy sets.
	Documents []string    `json:"documents,omitempty"`
	Reads     PolicyReads `json:"reads"`
	// Remembered: decisions of the policy are remembered, as far as it goes by
	// itself; of the trigger stage only. A policy makes those of all others
	// forgettable, too.
	Remembered bool `json:"remembered"`
	// Obstacles are the expressions that keep decisions from being remembered.
	Obstacles []Place `json:"obstacles,omitempty"`
	// Refused are calls of built-ins that no policy may make.
	Refused  []Place `json:"refused,omitempty"`
	Priority int     `json:"priority"`
	OnError  string  `json:"onError"`
	Mode     string  `json:"mode"`
	// Faults are why it does not compile, by itself or with the others.
	Faults resource.Faults `json:"faults,omitempty"`
}

// PolicyReads is what a policy, and what it calls, reads.
type PolicyReads struct {
	// Attributes of input.event by name. Event: all of them, Input: all there is.
	Attributes []string `json:"attributes,omitempty"`
	Event      bool     `json:"event,omitempty"`
	Input      bool     `json:"input,omitempty"`
	// Data is the payload, Links the candidates, Time the time of the decision.
	Data  bool `json:"data,omitempty"`
	Links bool `json:"links,omitempty"`
	Time  bool `json:"time,omitempty"`
	// Fields are other fields of input, such as identity.
	Fields []string `json:"fields,omitempty"`
	// Documents are paths in data.
	Documents []string `json:"documents,omitempty"`
}

// Place is an expression in a policy.
type Place struct {
	// Policy is where it stands, which may be a library; Line counts from 1 in spec.rego.
	Policy string `json:"policy"`
	Line   int    `json:"line"`
	// Text is the expression, What is what it does, such as "reads input.time".
	Text string `json:"text"`
	What string `json:"what"`
}

// String is the place as one line: policy:line: what: text.
func (p Place) String() string { return fmt.Sprintf("%s:%d: %s: %s", p.Policy, p.Line, p.What, p.Text) }

// Inspect reports on every policy of the set, in order, also when they do not
// compile: then it says of each what can be said.
func Inspect(set resource.Set) []PolicyReport {
	reports := make([]PolicyReport, len(set.Policies))
	var sources []*source
	for i, p := range set.Policies {
		s, faults := parseSource(p)
		reports[i] = reportOf(p, s, faults)
		if s != nil {
			sources = append(sources, s)
		}
	}
	docs, _ := mergeDocuments(sources)
	r, faults := compileSources(sources)
	for i := range reports {
		reports[i].addFaults(faults)
		if len(faults) == 0 && len(sources) == len(reports) {
			reports[i].addReads(sources[i], &r, docs)
		}
	}
	return reports
}

func reportOf(p *resource.Policy, s *source, faults resource.Faults) PolicyReport {
	x := PolicyReport{Policy: p.Metadata.Name, Kind: KindLibrary, Priority: p.Spec.Priority, OnError: resource.OnErrorClosed, Mode: resource.ModeEnforce, Faults: faults}
	if p.Spec.FailsOpen() {
		x.OnError = resource.OnErrorOpen
	}
	if p.Spec.Shadow() {
		x.Mode = resource.ModeShadow
	}
	for name := range p.Spec.Data {
		x.Documents = append(x.Documents, name)
	}
	slices.Sort(x.Documents)
	if s == nil {
		x.Kind = ""
		return x
	}
	if s.stage != "" {
		x.Kind = s.stage
	}
	if s.module == nil {
		x.Kind = KindDocuments
		return x
	}
	x.Package = packageName(s.module)
	x.addRules(s)
	x.Refused = refusedCalls(s)
	return x
}

func (x *PolicyReport) addRules(s *source) {
	for _, r := range s.module.Rules {
		if name := r.Head.Ref().String(); !slices.Contains(x.Rules, name) {
			x.Rules = append(x.Rules, name)
		}
	}
	for _, st := range stages() {
		for _, shape := range st.rules {
			if st.name == s.stage && s.defines(shape.name) {
				x.Asked = append(x.Asked, shape.name)
			}
		}
	}
}

// refusedCalls finds calls of forbidden built-ins.
func refusedCalls(s *source) (calls []Place) {
	ast.WalkTerms(s.module, func(t *ast.Term) bool {
		if r, ok := t.Value.(ast.Ref); ok && slices.Contains(forbidden[:], r.String()) {
			calls = append(calls, placeOf(t.Location, "calls "+r.String()))
		}
		return false
	})
	return calls
}

func placeOf(at *ast.Location, what string) Place {
	if at == nil {
		return Place{What: what}
	}
	text, _, _ := strings.Cut(string(at.Text), "\n")
	return Place{Policy: strings.TrimPrefix(at.File, resource.KindPolicy+"/"), Line: at.Row, Text: clip(text), What: what}
}

// addFaults adds what the set's compilation says of the policy.
func (x *PolicyReport) addFaults(faults resource.Faults) {
	for _, f := range faults {
		if f.Resource == policyFile(x.Policy) {
			x.Faults = appendNew(x.Faults, resource.Faults{f})
		}
	}
}

// addReads tells what the compiled policy reads.
func (x *PolicyReport) addReads(s *source, r *rules, docs *documents) {
	if s.module == nil {
		return
	}
	a := &analysis{visited: map[*ast.Rule]bool{}, docs: docs}
	if p := r.panelOf(s); p != nil {
		a.reachSource(p.full, s)
	} else { // nothing is asked of anybody
		for _, r := range s.module.Rules {
			a.rule(r)
		}
	}
	reads := a.result()
	x.Remembered = s.stage == StageTrigger && len(reads.obstacles) == 0
	for _, o := range reads.obstacles {
		x.Obstacles = append(x.Obstacles, placeOf(o.at, o.what))
	}
	x.Reads = PolicyReads{
		Event: reads.event, Input: reads.whole, Data: reads.data, Links: reads.links, Time: reads.time,
		Fields: reads.fields, Documents: reads.documents,
	}
	for _, k := range reads.attributes {
		x.Reads.Attributes = append(x.Reads.Attributes, k.name)
	}
}

// panelOf is a panel that the source is compiled into; nil is none.
func (r *rules) panelOf(s *source) *panel {
	for _, st := range stages() {
		c := r.court(st.name)
		p := c.enforced
		if s.shadow {
			p = c.shadow
		}
		if p != nil && (s.stage == "" || s.stage == st.name) {
			return p
		}
	}
	return nil
}

// reachSource walks what the engine asks a policy for; all rules of a library.
func (a *analysis) reachSource(p *program, s *source) {
	for _, x := range p.answers {
		if x.source == s || x.source == nil && s.defines(x.rule) {
			for _, r := range p.compiler.GetRules(x.ref) {
				a.reach(p.compiler, r)
			}
		}
	}
	if m := p.compiler.Modules[s.file()]; s.stage == "" && m != nil {
		for _, r := range m.Rules {
			a.reach(p.compiler, r)
		}
	}
}
