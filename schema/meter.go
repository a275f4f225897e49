package schema

import (
	"errors"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// meter counts the steps of one check and ends it, by a panic
// with errSteps, when they are too many: a schema that refers to itself below
// anyOf takes exponentially many for deep data, and the library has no limit.
// It sits where each subschema checks its format, which comes before whatever
// may take long.
type meter struct{ left int }

var errSteps = errors.New("too many steps")

// step counts the check of one value: more than one where it is long, since the
// library copies strings and visits every member.
func (m *meter) step(v any) {
	cost := 1
	switch v := v.(type) {
	case string:
		cost += len(v) / 64
	case []any:
		cost += len(v) / 4
	case map[string]any:
		cost += len(v) / 4
	}
	if m.left -= cost; m.left < 0 {
		panic(errSteps)
	}
}

// attach meters every schema that can be reached from the roots.
func (m *meter) attach(roots ...*jsonschema.Schema) {
	seen := map[*jsonschema.Schema]bool{}
	for todo := roots; len(todo) > 0; {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if s == nil || seen[s] {
			continue
		}
		seen[s] = true
		todo = append(todo, below(s)...)
		m.wrap(s)
	}
}

func (m *meter) wrap(s *jsonschema.Schema) {
	if s.Bool != nil {
		return
	}
	name, check := "", func(any) error { return nil }
	if s.Format != nil {
		name, check = s.Format.Name, s.Format.Validate
	}
	s.Format = &jsonschema.Format{Name: name, Validate: func(v any) error {
		m.step(v)
		return check(v)
	}}
}

// below lists the schemas directly below one; nil among them is none.
func below(s *jsonschema.Schema) []*jsonschema.Schema {
	all := []*jsonschema.Schema{
		s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else, s.PropertyNames, s.UnevaluatedProperties,
		s.Contains, s.Items2020, s.UnevaluatedItems, s.ContentSchema,
	}
	if s.DynamicRef != nil {
		all = append(all, s.DynamicRef.Ref)
	}
	for _, list := range [][]*jsonschema.Schema{s.AllOf, s.AnyOf, s.OneOf, s.PrefixItems} {
		all = append(all, list...)
	}
	for _, x := range s.Properties {
		all = append(all, x)
	}
	for _, x := range s.PatternProperties {
		all = append(all, x)
	}
	for _, x := range s.DependentSchemas {
		all = append(all, x)
	}
	for _, x := range s.Dependencies {
		all = append(all, schemasOf(x)...)
	}
	for _, x := range []any{s.AdditionalProperties, s.Items, s.AdditionalItems} {
		all = append(all, schemasOf(x)...)
	}
	return all
}

func schemasOf(x any) []*jsonschema.Schema {
	switch x := x.(type) {
	case *jsonschema.Schema:
		return []*jsonschema.Schema{x}
	case []*jsonschema.Schema:
		return x
	}
	return nil
}
