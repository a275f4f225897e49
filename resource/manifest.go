package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxDepth bounds the nesting of a manifest, so that hostile input ends early.
const maxDepth = 64

// Decode reads the documents of a manifest (YAML, of which JSON is a subset).
// file is used in faults only. Either every document is right and all objects
// are returned, or the error is Faults and none is.
func Decode(file string, src []byte) ([]Object, error) {
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var objects []Object
	var faults Faults
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			faults = append(faults, Fault{File: file, Line: yamlErrorLine(err), Problem: "not YAML: " + yamlErrorText(err)})
			break
		}
		if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
			continue
		}
		o, fs := decodeDocument(doc.Content[0])
		for i := range fs {
			fs[i].File = file
		}
		faults = append(faults, fs...)
		objects = append(objects, o)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return objects, nil
}

// DecodeOne reads exactly one resource, as the API's bodies hold it.
func DecodeOne(src []byte) (Object, error) {
	objects, err := Decode("", src)
	if err != nil {
		return Object{}, err
	}
	if len(objects) != 1 {
		return Object{}, Faults{{Problem: fmt.Sprintf("holds %d resources: want exactly one", len(objects))}}
	}
	return objects[0], nil
}

// decodeDocument checks the shape against the kind's Go types, converts, and validates.
func decodeDocument(root *yaml.Node) (Object, Faults) {
	var o Object
	if root.Kind != yaml.MappingNode {
		return o, Faults{{Line: root.Line, Problem: "want a mapping with apiVersion, kind, metadata and spec"}}
	}
	w := walker{}
	w.check(root, reflect.TypeFor[Object](), "", 0)
	if kind := mapValue(root, "kind"); kind != nil {
		if k, err := LookupKind(kind.Value); err == nil && k.Name == kind.Value {
			if s := mapValue(root, "spec"); s != nil {
				w.check(s, reflect.TypeOf(k.newSpec()).Elem(), "spec", 0)
			}
		}
	}
	if len(w.faults) > 0 {
		return o, w.faults
	}
	v, err := toJSON(root, 0)
	if err != nil {
		return o, Faults{{Line: root.Line, Problem: err.Error()}}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return o, Faults{{Line: root.Line, Problem: err.Error()}}
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return o, Faults{{Line: root.Line, Problem: err.Error()}}
	}
	faults := o.Validate()
	for i := range faults {
		faults[i].Line = lineOf(root, faults[i].Field)
	}
	return o, faults
}

// LineOf returns the line of field (such as spec.rego) in the document of
// manifest src that holds the resource kind/name; 0 when it is not there.
func LineOf(src []byte, kind, name, field string) int {
	dec := yaml.NewDecoder(bytes.NewReader(src))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); err != nil {
			return 0
		}
		if len(doc.Content) == 0 {
			continue
		}
		root := doc.Content[0]
		k, m := mapValue(root, "kind"), mapValue(root, "metadata")
		if k == nil || m == nil || k.Value != kind {
			continue
		}
		if n := mapValue(m, "name"); n != nil && n.Value == name {
			return lineOf(root, field)
		}
	}
}

// walker compares a YAML tree with the Go type it will be decoded into.
type walker struct{ faults Faults }

func (w *walker) fault(n *yaml.Node, field, format string, args ...any) {
	w.faults = append(w.faults, Fault{Line: n.Line, Field: field, Problem: fmt.Sprintf(format, args...)})
}

func (w *walker) check(n *yaml.Node, t reflect.Type, field string, depth int) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if depth > maxDepth {
		w.fault(n, field, "nested deeper than %d", maxDepth)
		return
	}
	if n.Kind == yaml.AliasNode {
		w.fault(n, field, "YAML aliases are not allowed")
		return
	}
	if n.Tag == "!!null" || t == reflect.TypeFor[json.RawMessage]() {
		return
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) && t.Kind() != reflect.Struct {
		w.checkUnmarshaler(n, t, field)
		return
	}
	if t.String() == "time.Time" {
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		w.checkStruct(n, t, field, depth)
	case reflect.Map:
		if w.want(n, yaml.MappingNode, "", field, "a mapping") {
			for i := 0; i+1 < len(n.Content); i += 2 {
				w.check(n.Content[i+1], t.Elem(), join(field, n.Content[i].Value), depth+1)
			}
		}
	case reflect.Slice:
		if w.want(n, yaml.SequenceNode, "", field, "a list") {
			for i, c := range n.Content {
				w.check(c, t.Elem(), index(field, i), depth+1)
			}
		}
	case reflect.String:
		w.want(n, yaml.ScalarNode, "!!str", field, "a string")
	case reflect.Bool:
		w.want(n, yaml.ScalarNode, "!!bool", field, "true or false")
	case reflect.Int, reflect.Int64, reflect.Uint64:
		if w.want(n, yaml.ScalarNode, "!!int", field, "a whole number") {
			if _, err := strconv.ParseInt(n.Value, 0, 64); err != nil {
				w.fault(n, field, "%s: want a whole number of at most 63 bits", n.Value)
			}
		}
	}
}

func (w *walker) checkUnmarshaler(n *yaml.Node, t reflect.Type, field string) {
	b, err := json.Marshal(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		b = []byte(n.Value)
	}
	if err := reflect.New(t).Interface().(json.Unmarshaler).UnmarshalJSON(b); err != nil {
		w.fault(n, field, "%v", err)
	}
}

func (w *walker) checkStruct(n *yaml.Node, t reflect.Type, field string, depth int) {
	if !w.want(n, yaml.MappingNode, "", field, "a mapping") {
		return
	}
	fields := jsonFields(t)
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		ft, ok := fields[k.Value]
		switch {
		case !ok:
			w.fault(k, join(field, k.Value), "unknown field: want one of %s", strings.Join(sortedKeys(fields), ", "))
		case seen[k.Value]:
			w.fault(k, join(field, k.Value), "stands twice")
		default:
			w.check(n.Content[i+1], ft, join(field, k.Value), depth+1)
		}
		seen[k.Value] = true
	}
}

// want reports whether n is of the kind (and the tag, unless ""), and faults it otherwise.
func (w *walker) want(n *yaml.Node, kind yaml.Kind, tag, field, allowed string) bool {
	if n.Kind == kind && (tag == "" || n.Tag == tag) {
		return true
	}
	got := n.Value
	switch n.Kind {
	case yaml.MappingNode:
		got = "a mapping"
	case yaml.SequenceNode:
		got = "a list"
	}
	w.fault(n, field, "%s: want %s", got, allowed)
	return false
}

// toJSON converts a checked tree to what encoding/json marshals.
func toJSON(n *yaml.Node, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			v, err := toJSON(n.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			m[n.Content[i].Value] = v
		}
		return m, nil
	case yaml.SequenceNode:
		l := make([]any, len(n.Content))
		for i, c := range n.Content {
			v, err := toJSON(c, depth+1)
			if err != nil {
				return nil, err
			}
			l[i] = v
		}
		return l, nil
	case yaml.ScalarNode:
		return scalar(n)
	}
	return nil, fmt.Errorf("line %d: YAML aliases are not allowed", n.Line)
}

func scalar(n *yaml.Node) (any, error) {
	if n.Tag == "!!timestamp" {
		return n.Value, nil
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, fmt.Errorf("line %d: %w", n.Line, err)
	}
	if f, ok := v.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
		return nil, fmt.Errorf("line %d: %s: want a finite number", n.Line, n.Value)
	}
	return v, nil
}

// lineOf follows a path such as spec.filters[1].exact as far as it goes.
func lineOf(root *yaml.Node, field string) int {
	n, line := root, root.Line
	for _, part := range strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		var next *yaml.Node
		switch n.Kind {
		case yaml.MappingNode:
			next = mapValue(n, part)
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(part); err == nil && i < len(n.Content) {
				next = n.Content[i]
			}
		}
		if next == nil {
			return line
		}
		n, line = next, next.Line
	}
	return line
}

func mapValue(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// jsonFields maps the JSON names of a struct to the types of its fields.
func jsonFields(t reflect.Type) map[string]reflect.Type {
	m := map[string]reflect.Type{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			m[name] = t.Field(i).Type
		}
	}
	return m
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

// yamlErrorLine finds the line in an error such as "yaml: line 3: mapping values …".
func yamlErrorLine(err error) int {
	_, rest, ok := strings.Cut(err.Error(), "line ")
	if !ok {
		return 0
	}
	num, _, _ := strings.Cut(rest, ":")
	n, _ := strconv.Atoi(num)
	return n
}

func yamlErrorText(err error) string {
	s := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.HasPrefix(s, "line ") {
		if _, rest, ok := strings.Cut(s, ": "); ok {
			return rest
		}
	}
	return s
}
