package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// documents calls each with the root of every document of src that holds
// anything. JSON is read as JSON, since YAML is not quite a superset: it refuses
// tabs and the escapes of surrogate pairs.
func documents(src []byte, each func(root *yaml.Node)) error {
	if b := bytes.TrimLeft(src, " \t\r\n"); len(b) > 0 && b[0] == '{' && json.Valid(src) {
		each(jsonNode(src))
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(doc.Content) > 0 && !isNull(doc.Content[0]) {
			each(doc.Content[0])
		}
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// jsonNode is valid JSON as the YAML tree of the same meaning, with lines.
func jsonNode(src []byte) *yaml.Node {
	r := jsonReader{src: src, dec: json.NewDecoder(bytes.NewReader(src)), line: 1}
	r.dec.UseNumber()
	return r.value()
}

type jsonReader struct {
	src []byte
	dec *json.Decoder
	// line is that of byte at.
	line, at int
}

// value reads the next value. The source is valid, so that no token fails.
func (r *jsonReader) value() *yaml.Node {
	token, err := r.dec.Token()
	if err != nil {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	end := int(r.dec.InputOffset())
	r.line += bytes.Count(r.src[r.at:end], []byte{'\n'})
	r.at = end
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: r.line}
	switch v := token.(type) {
	case json.Delim:
		r.content(n, v)
	case string:
		n.Tag, n.Value, n.Style = "!!str", v, yaml.DoubleQuotedStyle
	case json.Number:
		n.Tag, n.Value = "!!int", v.String()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	case bool:
		n.Tag, n.Value = "!!bool", strconv.FormatBool(v)
	default:
		n.Tag, n.Value = "!!null", "null"
	}
	return n
}

func (r *jsonReader) content(n *yaml.Node, open json.Delim) {
	n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
	if open == '{' {
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
	}
	for r.dec.More() {
		n.Content = append(n.Content, r.value())
	}
	_, _ = r.dec.Token()
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
	}
	return scalar(n)
}

// scalar is a scalar as encoding/json marshals it. What is a number in JSON too
// stays as it is written, so that none loses digits.
func scalar(n *yaml.Node) (any, error) {
	number := n.Tag == "!!int" || n.Tag == "!!float"
	if isPlain := n.Style == 0; (number || isPlain) && isJSONNumber(n.Value) {
		return json.Number(n.Value), nil
	}
	if n.Tag == "!!str" || n.Tag == "!!timestamp" {
		return n.Value, nil
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, fmt.Errorf("%s: %s", cut(n.Value), yamlErrorText(err))
	}
	if f, ok := v.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
		return nil, fmt.Errorf("%s: want a finite number", cut(n.Value))
	}
	return v, nil
}

func isJSONNumber(s string) bool {
	return s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') && json.Valid([]byte(s))
}

// lineOf follows a path such as spec.filters[1].exact as far as it goes, and
// returns the line where its last part begins.
func lineOf(root *yaml.Node, field string) int {
	n, line := root, root.Line
	for field != "" {
		child, at, rest := descend(n, field)
		if child == nil {
			break
		}
		n, line, field = child, at, rest
	}
	return line
}

// descend takes the first part of a path. A key may hold dots and brackets
// itself, as labels do: the longest key that fits is meant.
func descend(n *yaml.Node, field string) (child *yaml.Node, line int, rest string) {
	if n.Kind == yaml.SequenceNode {
		number, after, ok := strings.Cut(strings.TrimPrefix(field, "["), "]")
		i, err := strconv.Atoi(number)
		if !ok || err != nil || i < 0 || i >= len(n.Content) {
			return nil, 0, ""
		}
		return n.Content[i], n.Content[i].Line, strings.TrimPrefix(after, ".")
	}
	if n.Kind != yaml.MappingNode {
		return nil, 0, ""
	}
	longest := -1
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		after, ok := strings.CutPrefix(field, key)
		if !ok || len(key) <= longest || after != "" && after[0] != '.' && after[0] != '[' {
			continue
		}
		longest = len(key)
		child, line, rest = n.Content[i+1], n.Content[i].Line, strings.TrimPrefix(after, ".")
	}
	return child, line, rest
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
