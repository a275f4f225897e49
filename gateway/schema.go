package gateway

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/api"
	"github.com/signalbox-dev/signalbox/gateway/hooks"
	"github.com/signalbox-dev/signalbox/gateway/invoke"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/graph"
	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/resource"
)

// schema is a JSON Schema (draft 2020-12), as OpenAPI 3.1 uses it.
type schema = map[string]any

func ref(component string) schema { return schema{"$ref": "#/components/schemas/" + component} }

func text() schema { return schema{"type": "string"} }

func listOf(items schema) schema {
	return schema{
		"type": "object", "required": []any{"items"},
		"properties": schema{"items": schema{"type": "array", "items": items}, "next": schema{"type": "string", "description": "cursor of the next page; absent on the last"}},
	}
}

// schemas collects components, those of Go structs by reflection, so that the
// document follows the types.
type schemas map[string]schema

// components are all schemas of the document.
func components() schemas {
	s := schemas{}
	s["Accepted"] = schema{"type": "object", "required": []any{"accepted"}, "properties": schema{"accepted": schema{"type": "integer", "minimum": 0}}}
	s.add("Artifact", api.Artifact{})
	s["Alive"] = schema{"type": "object", "required": []any{"status"}, "properties": schema{"status": schema{"const": "alive"}}}
	s["Event"] = eventSchema()
	s["LoggedEvent"] = schema{"allOf": []any{ref("Event"), schema{"type": "object", "required": []any{"logtime"}, "properties": schema{"position": text(), "logtime": text()}}}}
	s["LoggedEventList"] = listOf(ref("LoggedEvent"))
	s.add("Problem", problem.Problem{})
	s.add("Readiness", readiness{})
	s.add("Queued", invoke.Queued{})
	s.add("Object", resource.Object{})
	s["ObjectList"] = listOf(ref("Object"))
	s.add("Run", event.Run{})
	s["RunList"] = listOf(ref("Run"))
	s.add("Line", event.Log{})
	s.with("Line", "position", text())
	s["LineList"] = listOf(ref("Line"))
	s.add("Trace", history.Trace{})
	s.add("Decision", event.Decision{})
	s["DecisionList"] = listOf(ref("Decision"))
	s.add("DeadLetter", event.DeadLetter{})
	s.with("DeadLetter", "event", ref("Event"))
	s.with("DeadLetter", "raw", schema{"type": "object", "description": "the record as it stood in the log, when it was no event; key and values in base64"})
	s.letters()
	s.whatIf()
	s.graphs()
	s.add("Reported", api.Reported{})
	s.add("WebhookPreview", hooks.Preview{})
	s.with("WebhookPreview", "event", schema{"oneOf": []any{ref("Event"), schema{"type": "null"}}})
	s.add("Explanation", history.Explanation{})
	s.with("Explanation", "event", ref("Event"))
	s.with("Explanation", "position", text())
	for _, k := range resource.Kinds() {
		s.kind(k)
	}
	return s
}

func eventSchema() schema {
	name := schema{"type": "string", "minLength": 1}
	optional := func(more schema) schema { // null is absent (CloudEvents JSON format, section 2.2)
		out := schema{"type": []any{"string", "null"}}
		maps.Copy(out, more)
		return out
	}
	return schema{
		"type": "object", "description": "A CloudEvent 1.0 in the JSON format; further members are extensions.",
		"required": []any{"specversion", "id", "source", "type"},
		"properties": schema{
			"specversion": schema{"const": event.SpecVersion}, "id": name, "source": name, "type": name,
			"subject": optional(schema{"minLength": 1}), "time": optional(schema{"format": "date-time"}),
			"datacontenttype": optional(schema{"minLength": 1}), "dataschema": optional(schema{"format": "uri"}),
			"data": schema{}, "data_base64": optional(schema{"contentEncoding": "base64"}),
		},
	}
}

// kind adds the resource of a kind and a list of them.
func (s schemas) kind(k resource.Kind) {
	object := schema{"type": "object"}
	specs := map[string]any{
		resource.KindFunction: resource.FunctionSpec{}, resource.KindLink: resource.LinkSpec{}, resource.KindPolicy: resource.PolicySpec{}, resource.KindSchema: resource.SchemaSpec{}, resource.KindWebhook: resource.WebhookSpec{}, resource.KindReplay: resource.ReplaySpec{}, resource.KindKey: resource.KeySpec{},
	}
	if spec, ok := specs[k.Name]; ok {
		s.add(k.Name+"Spec", spec)
		object = ref(k.Name + "Spec")
	}
	s[k.Name] = schema{
		"allOf":      []any{ref("Object")},
		"properties": schema{"kind": schema{"const": k.Name}, "apiVersion": schema{"const": resource.APIVersion}, "spec": object},
	}
	s[k.Name+"List"] = listOf(ref(k.Name))
}

// add makes a component of a Go struct and of every struct it holds.
func (s schemas) add(name string, v any) { s.structure(name, reflect.TypeOf(v)) }

// with adds a property to a component.
func (s schemas) with(component, name string, p schema) {
	s[component]["properties"].(schema)[name] = p
}

func (s schemas) structure(name string, t reflect.Type) schema {
	if _, ok := s[name]; ok {
		return ref(name)
	}
	properties := schema{}
	out := schema{"type": "object", "properties": properties}
	s[name] = out // before the fields: a type may hold itself
	var required []any
	for f := range fields(t) {
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "" || tag == "-" {
			continue
		}
		properties[tag] = s.of(f.Type)
		if !strings.Contains(options, "omit") {
			required = append(required, tag)
		}
	}
	if len(required) > 0 {
		out["required"] = required
	}
	return ref(name)
}

// fields are those of a struct, and of those that are embedded in it.
func fields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, f := range reflect.VisibleFields(t) {
			if !f.Anonymous && !yield(f) {
				return
			}
		}
	}
}

// componentName is the type's own; those of an explanation and of a graph are
// named after it, because resources have the same.
func componentName(t reflect.Type) string {
	switch t.PkgPath() {
	case reflect.TypeFor[history.Explanation]().PkgPath():
		return "Explained" + t.Name()
	case reflect.TypeFor[graph.Graph]().PkgPath():
		return "Graph" + t.Name()
	}
	return t.Name()
}

// of is the schema of a Go type as encoding/json writes it.
func (s schemas) of(t reflect.Type) schema {
	switch t {
	case reflect.TypeFor[time.Time]():
		return schema{"type": "string", "format": "date-time"}
	case reflect.TypeFor[resource.Duration]():
		return schema{"type": "string", "description": "a number with a unit, such as 200ms, 30s, 5m, 24h"}
	case reflect.TypeFor[json.RawMessage]():
		return schema{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Struct:
		return s.structure(componentName(t), t)
	case reflect.Slice:
		return schema{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint64:
		return schema{"type": "integer"}
	case reflect.Float64:
		return schema{"type": "number"}
	case reflect.Interface:
		return schema{}
	}
	return text()
}
