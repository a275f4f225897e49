package policies

import (
	_ "embed"
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

// stage is one place where policies decide: a Rego package and its rules.
type stage struct {
	pkg     string
	shipped string
	// rules are those that are asked for.
	rules []ruleShape
}

// ruleShape says how a rule must be written.
type ruleShape struct {
	name string
	// set rules are written `name contains x`, the others yield one value.
	set bool
	// attributed rules are asked module by module, so that a decision names its policy.
	attributed bool
}

func triggerStage() stage {
	return stage{"signalbox.trigger", shippedTrigger, []ruleShape{{"match", true, false}, {"deny", true, true}, {"target", true, true}}}
}

func admissionStage() stage {
	return stage{"signalbox.admission", shippedAdmission, []ruleShape{{"allow", false, false}, {"deny", true, true}}}
}

// forbidden are the built-ins that reach out of the decision: the network, and
// the process with its environment.
var forbidden = [...]string{"http.send", "net.lookup_ip_addr", "opa.runtime"}

// capabilities are what OPA can do, without what is forbidden.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool { return slices.Contains(forbidden[:], b.Name) })
	return c
}

// module is one policy, parsed. Compiling changes parsed.
type module struct {
	policy string
	stage  stage
	parsed *ast.Module
}

// parseModule parses a policy and checks its package and the shape of its rules.
func parseModule(p *resource.Policy) (*module, resource.Faults) {
	file := resource.KindPolicy + "/" + p.Metadata.Name
	parsed, err := ast.ParseModuleWithOpts(file, p.Spec.Rego, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		return nil, regoFaults(err)
	}
	if parsed == nil {
		return nil, resource.Faults{{Resource: file, Field: regoField, Problem: "empty: want a Rego module of package signalbox.trigger or signalbox.admission"}}
	}
	m := &module{policy: p.Metadata.Name, parsed: parsed}
	for _, s := range []stage{triggerStage(), admissionStage()} {
		if parsed.Package.Path.String() == "data."+s.pkg {
			m.stage = s
			return m, m.checkRules()
		}
	}
	return nil, resource.Faults{regoFault(parsed.Package.Location, fmt.Sprintf("package %s: want signalbox.trigger or signalbox.admission",
		strings.TrimPrefix(parsed.Package.Path.String(), "data.")))}
}

func (m *module) checkRules() (faults resource.Faults) {
	for _, r := range m.parsed.Rules {
		for _, s := range m.stage.rules {
			if ruleName(r) != s.name || s.fits(r) {
				continue
			}
			want := "one value: allow if {…}"
			if s.set {
				want = fmt.Sprintf("a set: %s contains … if {…}", s.name)
			}
			faults = append(faults, regoFault(r.Location, fmt.Sprintf("rule %s: want %s", s.name, want)))
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

func (m *module) defines(rule string) bool {
	return slices.ContainsFunc(m.parsed.Rules, func(r *ast.Rule) bool { return ruleName(r) == rule })
}

// rename gives the rule another name, wherever the module defines it.
func (m *module) rename(rule, name string) {
	for _, r := range m.parsed.Rules {
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
		faults = append(faults, regoFault(e.Location, e.Code+": "+inWords(e.Message)))
	}
	return faults
}

// inWords gives rules the names their authors gave them, and says of functions
// that are forbidden that they are.
func inWords(message string) string {
	name, undefined := strings.CutPrefix(message, "undefined function ")
	if undefined && slices.Contains(forbidden[:], name) {
		return name + " is not allowed in policies: a decision must not reach for the network or the environment"
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
