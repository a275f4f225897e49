package resource

import (
	"encoding/json"
	"net/url"
)

// KindSchema is a JSON Schema that the data of events must satisfy.
const KindSchema = "Schema"

// SchemaSpec says which events a JSON Schema is for, and what becomes of those
// that do not satisfy it.
type SchemaSpec struct {
	// Types are event types, exact or a prefix ending in '*', whose events are
	// checked; none are those only whose dataschema is URI.
	Types []string `json:"types,omitempty"`
	// URI is the dataschema by which events name this schema; an event that names
	// one is checked by that one, whatever its type.
	URI string `json:"uri,omitempty"`
	// Schema is a JSON Schema, of draft 2020-12 unless its $schema says otherwise.
	// References lead to places within it or to the URI of another Schema.
	Schema json.RawMessage `json:"schema"`
	// Mode is enforce (default): 422 for events that do not satisfy it; or warn: they
	// are accepted and counted.
	Mode string `json:"mode,omitempty"`
}

// ModeWarn accepts and counts what does not satisfy a schema.
const ModeWarn = "warn"

// Schema is a resource of kind Schema.
type Schema struct {
	Metadata Metadata
	Spec     SchemaSpec
}

func (s *SchemaSpec) validate(Metadata) Faults {
	var f Faults
	if len(s.Types) == 0 && s.URI == "" {
		f.add("spec.types", "empty: want event types, or spec.uri")
	}
	validateTypes(&f, "spec.types", s.Types)
	if u, err := url.Parse(s.URI); s.URI != "" && (err != nil || !u.IsAbs()) {
		f.add("spec.uri", "%q: want an absolute URI, as events name it in dataschema", s.URI)
	}
	if len(s.Schema) == 0 || string(s.Schema) == "null" {
		f.add("spec.schema", "missing: want a JSON Schema")
	}
	validateMode(&f, s.Mode, ModeEnforce, ModeWarn)
	return f
}
