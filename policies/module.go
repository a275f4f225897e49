package policies

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/signalbox-dev/signalbox/resource"
)

//go:embed trigger.rego
var shippedTrigger string

//go:embed admission.rego
var shippedAdmission string

//go:embed management.rego
var shippedManagement string

// The stages at which policies decide.
const (
	StageTrigger    = "trigger"
	StageAdmission  = "admission"
	StageManagement = "management"
)

// stage is one place where policies decide: a Rego package and its rules.
type stage struct {
	name    string
	shipped string
	// rules are those that are asked for.
	rules []ruleShape
}

// ruleShape says how a rule must be written.
type ruleShape struct {
	name string
	// set rules are written `name contains x` and asked policy by policy, so that a
	// decision names its policy; the others yield one value, whoever defines them.
	set bool
}

func stages() []stage {
	gate := []ruleShape{{"allow", false}, {"deny", true}}
	return []stage{
		{StageTrigger, shippedTrigger, []ruleShape{{"match", true}, {"deny", true}, {"target", true}}},
		{StageAdmission, shippedAdmission, gate},
		{StageManagement, shippedManagement, gate},
	}
}

// pkg is the Rego package of the stage's policies.
func (s stage) pkg() string { return "signalbox." + s.name }

const wantPackage = "want signalbox.trigger, signalbox.admission or signalbox.management, or a library: a package that does not begin with signalbox or system"

// forbidden are the built-ins that reach out of the decision: the network, and
// the process with its environment and files. A JSON schema reaches for both:
// OPA fetches what its $ref names, and opens it where that is a file.
var forbidden = [...]string{"http.send", "net.lookup_ip_addr", "opa.runtime", "json.match_schema", "json.verify_schema"}

// capabilities are what OPA can do, without what is forbidden.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool { return slices.Contains(forbidden[:], b.Name) })
	return c
}

// source is one policy as it is written, parsed. It never changes: compiling
// takes copies.
type source struct {
	name     string
	priority int
	// open sources are left out when they fail, the others make the decision fail.
	open   bool
	shadow bool
	// stage is "" for libraries and for policies that hold documents only.
	stage string
	// module is nil when the policy holds documents only.
	module *ast.Module
	data   map[string]json.RawMessage
}

// file is what the policy is called in locations.
func (s *source) file() string { return policyFile(s.name) }

func policyFile(name string) string { return resource.KindPolicy + "/" + name }

// parseSource parses a policy and checks its package and the shape of its rules.
func parseSource(p *resource.Policy) (*source, resource.Faults) {
	s := &source{name: p.Metadata.Name, priority: p.Spec.Priority, open: p.Spec.FailsOpen(), shadow: p.Spec.Shadow(), data: p.Spec.Data}
	if strings.TrimSpace(p.Spec.Rego) == "" && len(p.Spec.Data) > 0 {
		return s, nil
	}
	parsed, faults := parseRego(s.file(), p.Spec.Rego)
	if len(faults) > 0 {
		return nil, faults
	}
	s.module = parsed
	switch path := parsed.Package.Path; part(path, 1) {
	case "signalbox":
		for _, st := range stages() {
			if path.String() == "data."+st.pkg() {
				s.stage = st.name
				return s, s.checkRules(st)
			}
		}
		return nil, resource.Faults{regoFault(parsed.Package.Location, fmt.Sprintf("package %s: %s", packageName(parsed), wantPackage))}
	case "system", "":
		return nil, resource.Faults{regoFault(parsed.Package.Location, fmt.Sprintf("package %s: %s", packageName(parsed), wantPackage))}
	}
	return s, nil
}

// parseRego parses a module, and refuses what would take forever to compile.
func parseRego(file, src string) (m *ast.Module, faults resource.Faults) {
	if len(src) > maxSource {
		return nil, resource.Faults{{Resource: file, Field: regoField, Problem: fmt.Sprintf("%d bytes: want at most %d", len(src), maxSource)}}
	}
	defer func() {
		if r := recover(); r != nil {
			faults = resource.Faults{{Resource: file, Field: regoField, Problem: fmt.Sprintf("the parser broke: %v", r)}}
		}
	}()
	m, err := ast.ParseModuleWithOpts(file, src, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		return nil, regoFaults(err)
	}
	if m == nil {
		return nil, resource.Faults{{Resource: file, Field: regoField, Problem: "empty: want a Rego module"}}
	}
	if faults := checkNesting(m); len(faults) > 0 {
		return nil, faults
	}
	return m, checkEffort(m)
}

func packageName(m *ast.Module) string { return strings.TrimPrefix(m.Package.Path.String(), "data.") }

func (s *source) checkRules(st stage) (faults resource.Faults) {
	for _, r := range s.module.Rules {
		for _, shape := range st.rules {
			if ruleName(r) != shape.name || shape.fits(r) {
				continue
			}
			want := "one value: allow if {…}"
			if shape.set {
				want = fmt.Sprintf("a set: %s contains … if {…}", shape.name)
			}
			faults = append(faults, regoFault(r.Location, fmt.Sprintf("rule %s: want %s", shape.name, want)))
		}
	}
	return faults
}

func (s ruleShape) fits(r *ast.Rule) bool {
	if len(r.Head.Args) > 0 || len(r.Head.Ref()) != 1 {
		return false
	}
	return s.set == (r.Head.RuleKind() == ast.MultiValue)
}

func (s *source) defines(rule string) bool {
	return s.module != nil && slices.ContainsFunc(s.module.Rules, func(r *ast.Rule) bool { return ruleName(r) == rule })
}

// rename gives the rule of a module another name, wherever the module defines it.
func rename(m *ast.Module, rule, name string) {
	for _, r := range m.Rules {
		if ruleName(r) == rule {
			r.Head.Name = ast.Var(name)
			r.Head.SetRef(ast.Ref{ast.VarTerm(name)})
		}
	}
}

// ruleName is the first part of a rule's name.
func ruleName(r *ast.Rule) string {
	if v, ok := r.Head.Ref()[0].Value.(ast.Var); ok {
		return string(v)
	}
	return ""
}

const regoField = "spec.rego"

// attributedName finds the names that compile gives to attributed rules.
var attributedName = regexp.MustCompile(`__([a-z]+)_[0-9]+`)

// regoFaults turns what parser and compiler report into faults.
func regoFaults(err error) resource.Faults {
	var list ast.Errors
	var one *ast.Error
	switch {
	case errors.As(err, &list):
	case errors.As(err, &one):
		list = ast.Errors{one}
	default:
		return resource.Faults{{Field: regoField, Problem: err.Error()}}
	}
	var faults resource.Faults
	for _, e := range list {
		faults = append(faults, regoFault(e.Location, e.Code+": "+clip(inWords(e.Message))))
	}
	return faults
}

// inWords gives rules the names their authors gave them, and says of functions
// that are forbidden that they are.
func inWords(message string) string {
	name, undefined := strings.CutPrefix(message, "undefined function ")
	if undefined && slices.Contains(forbidden[:], name) {
		return name + " is not allowed in policies: a decision must not reach for the network, files or the environment"
	}
	return attributedName.ReplaceAllString(message, "$1")
}

// regoFault is a fault of spec.rego. Its line is that of the module, and stands
// in the problem too, since a manifest may put its own in its place.
func regoFault(at *ast.Location, problem string) resource.Fault {
	if at == nil {
		return resource.Fault{Field: regoField, Problem: problem}
	}
	return resource.Fault{Resource: at.File, Line: at.Row, Field: regoField, Problem: fmt.Sprintf("line %d, column %d of the module: %s", at.Row, at.Col, problem)}
}
