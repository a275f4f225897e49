package resource

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// walker compares a YAML tree with the Go type it will be decoded into.
type walker struct {
	faults Faults
	// spec is the type of the root's spec; nil when the kind is not known.
	spec reflect.Type
}

func (w *walker) fault(n *yaml.Node, field, format string, args ...any) {
	w.faults = append(w.faults, Fault{Line: n.Line, Field: field, Problem: fmt.Sprintf(format, args...)})
}

func (w *walker) check(n *yaml.Node, t reflect.Type, field string, depth int) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if field == "spec" && w.spec != nil {
		t = w.spec
	}
	if !w.plain(n, field, depth) || isNull(n) {
		return
	}
	switch {
	case t == reflect.TypeFor[json.RawMessage]():
		w.checkAny(n, field, depth)
	case t == reflect.TypeFor[time.Time]():
		w.checkTime(n, field)
	case t.Kind() != reflect.Struct && reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()):
		w.checkUnmarshaler(n, t, field)
	default:
		w.checkKind(n, t, field, depth)
	}
}

// plain refuses what goes beyond plain YAML: depth, aliases, tags.
func (w *walker) plain(n *yaml.Node, field string, depth int) bool {
	if depth > maxDepth {
		w.fault(n, field, "nested deeper than %d", maxDepth)
		return false
	}
	if n.Kind == yaml.AliasNode {
		w.fault(n, field, "YAML aliases are not allowed")
		return false
	}
	switch n.Tag {
	case "!!map", "!!seq":
		if n.Kind != yaml.ScalarNode {
			return true
		}
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp":
		if n.Kind != yaml.ScalarNode {
			break
		}
		if _, err := scalar(n); err != nil {
			w.fault(n, field, "%v", err)
			return false
		}
		return true
	}
	w.fault(n, field, "YAML tag %s is not allowed", cut(n.Tag))
	return false
}

func (w *walker) checkKind(n *yaml.Node, t reflect.Type, field string, depth int) {
	switch t.Kind() {
	case reflect.Struct:
		w.checkStruct(n, t, field, depth)
	case reflect.Map:
		if w.want(n, yaml.MappingNode, "", field, "a mapping") {
			w.members(n, field, func(_, v *yaml.Node, path string) { w.check(v, t.Elem(), path, depth+1) })
		}
	case reflect.Slice:
		if w.want(n, yaml.SequenceNode, "", field, "a list") {
			for i, c := range n.Content {
				w.check(c, t.Elem(), index(field, i), depth+1)
			}
		}
	case reflect.String:
		if n.Kind == yaml.ScalarNode && n.Tag == "!!timestamp" {
			return // a time is a string here, as it is written
		}
		w.want(n, yaml.ScalarNode, "!!str", field, "a string (in quotes when it looks like something else)")
	case reflect.Bool:
		w.want(n, yaml.ScalarNode, "!!bool", field, "true or false")
	case reflect.Int, reflect.Int64:
		w.checkNumber(n, field, "a whole number", func(s string) error { _, err := strconv.ParseInt(s, 0, 64); return err })
	case reflect.Uint64:
		w.checkNumber(n, field, "a whole number, not below 0", func(s string) error { _, err := strconv.ParseUint(strings.TrimPrefix(s, "+"), 0, 64); return err })
	}
}

func (w *walker) checkNumber(n *yaml.Node, field, allowed string, parse func(string) error) {
	if w.want(n, yaml.ScalarNode, "!!int", field, allowed) && parse(n.Value) != nil {
		w.fault(n, field, "%s: want %s, of at most 64 bits", cut(n.Value), allowed)
	}
}

// checkAny checks a tree that has no type of ours.
func (w *walker) checkAny(n *yaml.Node, field string, depth int) {
	switch n.Kind {
	case yaml.MappingNode:
		w.members(n, field, func(_, v *yaml.Node, path string) { w.check(v, reflect.TypeFor[json.RawMessage](), path, depth+1) })
	case yaml.SequenceNode:
		for i, c := range n.Content {
			w.check(c, reflect.TypeFor[json.RawMessage](), index(field, i), depth+1)
		}
	}
}

func (w *walker) checkTime(n *yaml.Node, field string) {
	if _, err := time.Parse(time.RFC3339, n.Value); n.Kind != yaml.ScalarNode || err != nil {
		w.fault(n, field, "%s: want an RFC 3339 time, such as 2026-01-31T12:00:00Z", shown(n))
	}
}

func (w *walker) checkUnmarshaler(n *yaml.Node, t reflect.Type, field string) {
	if n.Kind != yaml.ScalarNode {
		w.fault(n, field, "%s: want a single value", shown(n))
		return
	}
	v, err := scalar(n)
	if err != nil {
		return // plain has reported it
	}
	b, err := json.Marshal(v)
	if err == nil {
		err = reflect.New(t).Interface().(json.Unmarshaler).UnmarshalJSON(b)
	}
	if err != nil {
		w.fault(n, field, "%v", err)
	}
}

func (w *walker) checkStruct(n *yaml.Node, t reflect.Type, field string, depth int) {
	if !w.want(n, yaml.MappingNode, "", field, "a mapping") {
		return
	}
	fields := jsonFields(t)
	w.members(n, field, func(k, v *yaml.Node, path string) {
		if ft, ok := fields[k.Value]; ok {
			w.check(v, ft, path, depth+1)
			return
		}
		w.fault(k, path, "unknown field: want one of %s", strings.Join(sortedKeys(fields), ", "))
	})
}

// members calls each with the members of a mapping, and faults keys that are no
// plain text or stand twice.
func (w *walker) members(n *yaml.Node, field string, each func(k, v *yaml.Node, path string)) {
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		path := join(field, cut(k.Value))
		switch {
		case k.Kind == yaml.AliasNode || k.Tag == "!!merge":
			w.fault(k, path, "YAML aliases are not allowed")
		case k.Kind != yaml.ScalarNode:
			w.fault(k, field, "a key that is no plain text: want a plain key")
		case seen[k.Value]:
			w.fault(k, path, "stands twice: want it once")
		default:
			each(k, n.Content[i+1], path)
		}
		seen[k.Value] = true
	}
}

// want reports whether n is of the kind (and the tag, unless ""), and faults it otherwise.
func (w *walker) want(n *yaml.Node, kind yaml.Kind, tag, field, allowed string) bool {
	if n.Kind == kind && (tag == "" || n.Tag == tag) {
		return true
	}
	w.fault(n, field, "%s: want %s", shown(n), allowed)
	return false
}

// shown is a node as faults name it.
func shown(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.Tag == "!!str" {
		return strconv.Quote(cut(n.Value))
	}
	return cut(n.Value)
}

// cut shortens a value for a fault.
func cut(s string) string {
	const limit = 80
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// jsonFields maps the JSON names of a struct to the types of its fields.
func jsonFields(t reflect.Type) map[string]reflect.Type {
	m := map[string]reflect.Type{}
	for _, name := range jsonNames(t) {
		m[name.json] = name.typ
	}
	return m
}

type jsonName struct {
	json string
	typ  reflect.Type
}

// jsonNames lists the JSON names of a struct in the order of its fields.
func jsonNames(t reflect.Type) []jsonName {
	var names []jsonName
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			names = append(names, jsonName{name, t.Field(i).Type})
		}
	}
	return names
}

func sortedKeys(m map[string]reflect.Type) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}
