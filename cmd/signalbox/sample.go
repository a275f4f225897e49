package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// sampleFor is an event such as the function gets: the last one of a type it
// listens to, else one made by the type's schema.
func sampleFor(ctx context.Context, c *client.Client, o *resource.Object, f *invokeFlags) (*event.Event, error) {
	types, err := sampleTypes(ctx, c, o, f.typ)
	if err != nil {
		return nil, err
	}
	for _, t := range types {
		e, err := lastOf(ctx, c, t)
		if err != nil {
			return nil, err
		}
		if e != nil {
			return f.fresh(e), nil
		}
	}
	for _, t := range types {
		data, err := madeBySchema(ctx, c, t)
		if err != nil {
			return nil, err
		}
		if data != nil {
			return f.fresh(&event.Event{Source: f.source, Type: t, DataContentType: "application/json", Data: data}), nil
		}
	}
	return nil, fmt.Errorf("there is no event yet of %s, and no Schema for one: give --data or --event", orTypes(types))
}

func orTypes(types []string) string {
	if len(types) == 0 {
		return "any type that the function listens to"
	}
	return strings.Join(types, ", ")
}

// sampleTypes are the types that the function gets, by itself and by links; those
// with a star are looked up.
func sampleTypes(ctx context.Context, c *client.Client, o *resource.Object, asked string) ([]string, error) {
	if asked != "" {
		return []string{asked}, nil
	}
	patterns := slices.Clone(functionSpec(o).On)
	k, err := resource.LookupKind(resource.KindLink)
	if err != nil {
		return nil, err
	}
	links, err := c.List(ctx, k, "")
	if err != nil {
		return nil, err
	}
	for i := range links {
		var spec resource.LinkSpec
		if json.Unmarshal(links[i].Spec, &spec) == nil && (spec.Function == o.Metadata.Name || strings.HasPrefix(spec.Function, o.Metadata.Name+"@")) {
			patterns = append(patterns, spec.Types...)
		}
	}
	types := exactTypes(patterns)
	for _, p := range patterns {
		if !strings.HasSuffix(p, "*") {
			continue
		}
		seen, err := c.Types(ctx, p)
		if err != nil {
			return nil, err
		}
		for _, t := range seen {
			types = append(types, t.Name)
		}
	}
	return types, nil
}

// exactTypes are those without a star.
func exactTypes(patterns []string) (types []string) {
	for _, p := range patterns {
		if !strings.HasSuffix(p, "*") && !slices.Contains(types, p) {
			types = append(types, p)
		}
	}
	return types
}

// lastOf is the last event of a type, nil where there is none with its data.
func lastOf(ctx context.Context, c *client.Client, typ string) (*event.Event, error) {
	t, err := c.Type(ctx, typ)
	if client.IsNotFound(err) || err == nil && (t.Sample == nil || t.SampleSize > 0) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return event.ParseJSON(t.Sample)
}

// madeBySchema makes data that a schema of the type describes.
func madeBySchema(ctx context.Context, c *client.Client, typ string) (json.RawMessage, error) {
	k, err := resource.LookupKind(resource.KindSchema)
	if err != nil {
		return nil, err
	}
	schemas, err := c.List(ctx, k, "")
	if err != nil {
		return nil, err
	}
	for i := range schemas {
		var spec resource.SchemaSpec
		if json.Unmarshal(schemas[i].Spec, &spec) != nil || !slices.ContainsFunc(spec.Types, func(p string) bool { return fitsType(p, typ) }) {
			continue
		}
		var root any
		if err := json.Unmarshal(spec.Schema, &root); err != nil {
			return nil, err
		}
		return json.Marshal((&imagination{root: root}).value(root, 0))
	}
	return nil, nil
}

func fitsType(pattern, typ string) bool {
	prefix, open := strings.CutSuffix(pattern, "*")
	return pattern == typ || open && strings.HasPrefix(typ, prefix)
}

// imagination makes values that JSON Schemas describe, as far as that is simple.
type imagination struct {
	root any
	// made counts the values.
	made int
}

// How deep values are made, and how many: schemas may lead to themselves.
const (
	maxImagined       = 8
	maxImaginedValues = 10_000
)

func (im *imagination) value(schema any, depth int) any {
	s, _ := schema.(map[string]any)
	if im.made++; s == nil || depth > maxImagined || im.made > maxImaginedValues {
		return nil
	}
	if ref, ok := s["$ref"].(string); ok {
		return im.value(im.find(ref), depth+1)
	}
	if v, said := saidValue(s); said {
		return v
	}
	for _, choice := range []string{"oneOf", "anyOf", "allOf"} {
		if all, _ := s[choice].([]any); len(all) > 0 {
			return im.all(s, all, choice == "allOf", depth)
		}
	}
	return im.typed(s, depth)
}

// saidValue is one that the schema names itself.
func saidValue(s map[string]any) (any, bool) {
	for _, key := range []string{"const", "default", "example"} {
		if v, ok := s[key]; ok {
			return v, true
		}
	}
	for _, key := range []string{"examples", "enum"} {
		if all, _ := s[key].([]any); len(all) > 0 {
			return all[0], true
		}
	}
	return nil, false
}

// all joins what every part asks for, or takes the first part, with what stands beside.
func (im *imagination) all(s map[string]any, parts []any, every bool, depth int) any {
	if !every {
		parts = parts[:1]
	}
	joined, objects := map[string]any{}, false
	var last any
	for _, part := range append([]any{map[string]any{"type": s["type"], "properties": s["properties"], "required": s["required"]}}, parts...) {
		last = im.value(part, depth+1)
		if members, ok := last.(map[string]any); ok {
			objects = true
			for k, v := range members {
				joined[k] = v
			}
		}
	}
	if objects {
		return joined
	}
	return last
}

func (im *imagination) typed(s map[string]any, depth int) any {
	typ, _ := s["type"].(string)
	if several, _ := s["type"].([]any); len(several) > 0 {
		typ, _ = several[0].(string)
	}
	properties, _ := s["properties"].(map[string]any)
	if typ == "" && properties != nil {
		typ = "object"
	}
	switch typ {
	case "object":
		members := map[string]any{}
		for name, p := range properties {
			if v := im.value(p, depth+1); v != nil {
				members[name] = v
			}
		}
		return members
	case "array":
		if item := im.value(s["items"], depth+1); item != nil {
			return []any{item}
		}
		return []any{}
	case "string":
		return imagined(s)
	case "integer", "number":
		if least, ok := s["minimum"].(float64); ok {
			return least
		}
		return 1
	case "boolean":
		return true
	}
	return nil
}

// imagined is a string of a format, at least as long as it must be.
func imagined(s map[string]any) string {
	format, _ := s["format"].(string)
	if v, ok := map[string]string{
		"date-time": "2026-01-02T15:04:05Z", "date": "2026-01-02", "time": "15:04:05Z", "email": "ada@example.com", "uri": "https://example.com/",
		"hostname": "example.com", "uuid": "123e4567-e89b-42d3-a456-426614174000", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
	}[format]; ok {
		return v
	}
	least, _ := s["minLength"].(float64)
	const text = "text"
	if least > 1<<10 {
		return text
	}
	return text + strings.Repeat("x", max(0, int(least)-len(text)))
}

// find resolves a reference within the schema.
func (im *imagination) find(ref string) any {
	path, local := strings.CutPrefix(ref, "#")
	if !local {
		return nil
	}
	at := im.root
	for _, part := range strings.Split(strings.TrimPrefix(path, "/"), "/") {
		if part == "" {
			continue
		}
		members, _ := at.(map[string]any)
		at = members[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return at
}
