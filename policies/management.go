package policies

import (
	"context"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/signalbox-dev/signalbox/resource"
)

// What a request to the API does.
const (
	// VerbRead looks at something.
	VerbRead = "read"
	// VerbWrite makes a resource, or changes one.
	VerbWrite = "write"
	// VerbDelete takes a resource away.
	VerbDelete = "delete"
	// VerbAct does something else, such as to redrive a dead letter.
	VerbAct = "act"
)

// Management is what management policies are asked about: a request to the API.
type Management struct {
	// Identity is who asks, in the types of encoding/json; nil is {}.
	Identity map[string]any
	// Route is the route as it is registered, such as /api/v1/functions/:name;
	// Method the HTTP method; Verb one of the constants above.
	Route, Method, Verb string
	// Resource is what the request is about: as it is to be for VerbWrite, as it
	// is or just kind and name for the others; nil for none.
	Resource *resource.Object
}

// Manage asks the management policies whether a request may be carried out;
// without any, everything may. When a policy fails that does not fail open,
// nothing is allowed.
func (e *Engine) Manage(ctx context.Context, m Management) Verdict {
	return e.current.Load().Manage(ctx, m)
}

// Manage is as that of Engine, by this set.
func (s *Snapshot) Manage(ctx context.Context, m Management) Verdict {
	c := &s.rules.management
	if c.enforced == nil && c.shadow == nil {
		return Verdict{Allowed: true, Revision: s.revision}
	}
	now := s.cfg.Clock()
	input := func(p *program) (ast.Value, error) { return p.reads.managementInput(m, now) }
	v := s.gate(ctx, c, input, now, "route", m.Route, "verb", m.Verb)
	s.shadowGate(ctx, c, input, now, nil, v, ShadowDifference{Stage: StageManagement, Management: &m})
	return v
}

func (r *reads) managementInput(m Management, now time.Time) (ast.Value, error) {
	o := ast.NewObject(ast.Item(ast.InternedTerm("verb"), ast.StringTerm(m.Verb)))
	if err := r.insertRequest(o, m.Identity, m.Route, m.Method, now); err != nil {
		return nil, err
	}
	if r.field("resource") {
		res, err := resourceTerm(m.Resource)
		if err != nil {
			return nil, err
		}
		o.Insert(ast.InternedTerm("resource"), res)
	}
	return o, nil
}

// resourceTerm is input.resource: {} for none.
func resourceTerm(r *resource.Object) (*ast.Term, error) {
	o := ast.NewObject()
	if r == nil {
		return ast.NewTerm(o), nil
	}
	o.Insert(ast.InternedTerm("kind"), ast.StringTerm(r.Kind))
	o.Insert(ast.InternedTerm("name"), ast.StringTerm(r.Metadata.Name))
	o.Insert(ast.InternedTerm("labels"), stringMapTerm(r.Metadata.Labels))
	o.Insert(ast.InternedTerm("annotations"), stringMapTerm(r.Metadata.Annotations))
	o.Insert(ast.InternedTerm("revision"), ast.UIntNumberTerm(r.Metadata.Revision))
	if len(r.Spec) > 0 {
		spec, err := jsonValue(r.Spec)
		if err != nil {
			return nil, fmt.Errorf("spec of %s/%s: %w", r.Kind, r.Metadata.Name, err)
		}
		o.Insert(ast.InternedTerm("spec"), ast.NewTerm(spec))
	}
	return ast.NewTerm(o), nil
}
