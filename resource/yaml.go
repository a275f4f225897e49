package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// YAML is the object as a manifest that Decode reads back: fields in the order
// of their Go types, members of maps by name.
func (o *Object) YAML() ([]byte, error) {
	b, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", o.Kind, o.Metadata.Name, err)
	}
	a := arranger{}
	if k, err := LookupKind(o.Kind); err == nil {
		a.spec = reflect.TypeOf(k.newSpec()).Elem()
	}
	root := jsonNode(b)
	a.arrange(root, reflect.TypeFor[Object](), "")
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("%s/%s: %w", o.Kind, o.Metadata.Name, err)
	}
	return out.Bytes(), enc.Close()
}

// arranger puts the members of a tree in a fixed order.
type arranger struct {
	// spec is the type of the root's spec; nil when the kind is not known.
	spec reflect.Type
}

func (a *arranger) arrange(n *yaml.Node, t reflect.Type, field string) {
	n.Style = 0
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if field == "spec" && a.spec != nil {
		t = a.spec
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!int" || n.Tag == "!!float" {
			n.Tag = "" // or a number beyond 64 bits is written with its tag
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			a.arrange(c, elem(t), field+"[]")
		}
	case yaml.MappingNode:
		var names []jsonName
		if t.Kind() == reflect.Struct {
			names = jsonNames(t)
		}
		a.members(n, names, elem(t), field)
	}
}

// members sorts by the position in names, and what is not there by name after that.
func (a *arranger) members(n *yaml.Node, names []jsonName, other reflect.Type, field string) {
	type member struct {
		key, value *yaml.Node
		position   int
	}
	list := make([]member, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		m := member{n.Content[i], n.Content[i+1], len(names)}
		t := other
		if p := slices.IndexFunc(names, func(x jsonName) bool { return x.json == m.key.Value }); p >= 0 {
			m.position, t = p, names[p].typ
		}
		m.key.Style = 0
		a.arrange(m.value, t, join(field, m.key.Value))
		list = append(list, m)
	}
	slices.SortStableFunc(list, func(x, y member) int {
		if x.position != y.position {
			return x.position - y.position
		}
		return strings.Compare(x.key.Value, y.key.Value)
	})
	n.Content = n.Content[:0]
	for _, m := range list {
		n.Content = append(n.Content, m.key, m.value)
	}
}

// elem is the type of the members of a map or list; any JSON otherwise.
func elem(t reflect.Type) reflect.Type {
	if t != reflect.TypeFor[json.RawMessage]() && (t.Kind() == reflect.Map || t.Kind() == reflect.Slice) {
		return t.Elem()
	}
	return reflect.TypeFor[json.RawMessage]()
}
