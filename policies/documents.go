package policies

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/signalbox-dev/signalbox/resource"
)

// documents are what policies put into data beside their rules. A document is
// an object with members, or a leaf: any other value. The zero value is empty.
type documents struct {
	members map[string]*documents
	// leaf is the value where there are no members.
	leaf ast.Value
	// policy is the one that set it first; shadow tells that of an overlay.
	policy string
	shadow bool
}

const dataField = "spec.data"

// mergeDocuments joins the documents of all sources; where two policies set
// the same path is a fault. Those in shadow mode take the place of the others,
// so that a document can be tried out beside the one in force.
func mergeDocuments(sources []*source) (*documents, resource.Faults) {
	root := &documents{members: map[string]*documents{}}
	var faults resource.Faults
	for _, shadow := range []bool{false, true} {
		for _, s := range sources {
			if s.shadow == shadow {
				faults = append(faults, root.add(s)...)
			}
		}
	}
	return root, faults
}

func (d *documents) add(s *source) (faults resource.Faults) {
	names := make([]string, 0, len(s.data))
	for name := range s.data {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if name == "signalbox" || name == "system" {
			faults = append(faults, documentFault(s.name, name, "the name is taken: want another"))
			continue
		}
		v, err := jsonValue(s.data[name])
		if err != nil || !json.Valid(s.data[name]) {
			faults = append(faults, documentFault(s.name, name, "want a JSON value"))
			continue
		}
		faults = append(faults, d.put(s, name, name, v)...)
	}
	return faults
}

// put sets the member name to v; path is where that is, for the faults.
func (d *documents) put(s *source, path, name string, v ast.Value) (faults resource.Faults) {
	have := d.members[name]
	o, isObject := v.(ast.Object)
	switch {
	case have == nil, s.shadow && !have.shadow && (have.members == nil || !isObject):
		d.members[name] = newDocuments(s, v)
		return nil
	case have.members == nil || !isObject:
		return resource.Faults{
			documentFault(s.name, path, fmt.Sprintf("set by policy %s, too", have.policy)),
			documentFault(have.policy, path, fmt.Sprintf("set by policy %s, too", s.name)),
		}
	}
	o.Foreach(func(k, v *ast.Term) {
		name := string(k.Value.(ast.String))
		faults = append(faults, have.put(s, path+"."+name, name, v.Value)...)
	})
	return faults
}

func newDocuments(s *source, v ast.Value) *documents {
	d := &documents{policy: s.name, shadow: s.shadow}
	o, isObject := v.(ast.Object)
	if !isObject {
		d.leaf = v
		return d
	}
	d.members = make(map[string]*documents, o.Len())
	o.Foreach(func(k, v *ast.Term) { d.members[string(k.Value.(ast.String))] = newDocuments(s, v.Value) })
	return d
}

func documentFault(policy, path, problem string) resource.Fault {
	return resource.Fault{Resource: policyFile(policy), Field: dataField + "." + path, Problem: problem}
}

// value is all of it, as data.
func (d *documents) value() ast.Value {
	if d.members == nil {
		return d.leaf
	}
	o := ast.NewObject()
	for name, m := range d.members {
		o.Insert(ast.StringTerm(name), ast.NewTerm(m.value()))
	}
	return o
}

// at finds the document at path, or the leaf above it; nil when there is none.
func (d *documents) at(path []string) *documents {
	for _, name := range path {
		if d == nil || d.members == nil {
			return d
		}
		d = d.members[name]
	}
	return d
}

// conflicts are the rules of a library that stand where documents are.
func (d *documents) conflicts(s *source) (faults resource.Faults) {
	pkg := stringPath(s.module.Package.Path[1:])
	for _, r := range s.module.Rules {
		path := append(slices.Clip(pkg), stringPath(r.Head.Ref())...)
		if have := d.at(path); have != nil {
			faults = append(faults, regoFault(r.Location, fmt.Sprintf("rule %s: there is a document of policy %s", r.Head.Ref(), have.policy)))
		}
	}
	return faults
}

// stringPath is the constant beginning of a reference.
func stringPath(r ast.Ref) (path []string) {
	for i, t := range r {
		switch v := t.Value.(type) {
		case ast.String:
			path = append(path, string(v))
		case ast.Var:
			if i > 0 { // in brackets: the first is the rule's own name
				return path
			}
			path = append(path, string(v))
		default:
			return path
		}
	}
	return path
}
