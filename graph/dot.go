package graph

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// WriteDOT writes the graph in the language of Graphviz. Nodes are called n0,
// n1, …; names stand in quoted labels only.
func (g *Graph) WriteDOT(w io.Writer) error {
	var b strings.Builder
	b.WriteString("digraph signalbox {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n")
	ids := g.shortIDs()
	for i := range g.Nodes {
		n := &g.Nodes[i]
		fmt.Fprintf(&b, "  %s [shape=%s, label=\"%s\"%s];\n", ids[n.ID], dotShapes[n.Kind], dotLabel(n), dotStyle(n))
	}
	for _, e := range g.Edges {
		var attributes []string
		if text := edgeText(&e); text != "" {
			attributes = append(attributes, `label="`+dotText(text)+`"`)
		}
		if !e.Declared {
			attributes = append(attributes, "style=dashed")
		}
		if e.Kind == Denies {
			attributes = append(attributes, "arrowhead=tee")
		}
		fmt.Fprintf(&b, "  %s -> %s", ids[e.From], ids[e.To])
		if len(attributes) > 0 {
			fmt.Fprintf(&b, " [%s]", strings.Join(attributes, ", "))
		}
		b.WriteString(";\n")
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

var dotShapes = map[string]string{KindType: "ellipse", KindLink: "box", KindFunction: "component", KindPolicy: "hexagon"}

func dotStyle(n *Node) string {
	if className(n) == "off" {
		return ", style=dashed"
	}
	return ""
}

func dotLabel(n *Node) string {
	lines := labelOf(n)
	for i := range lines {
		lines[i] = dotText(lines[i])
	}
	return strings.Join(lines, `\n`)
}

// dotText writes a text inside double quotes: backslashes, which begin escapes
// of Graphviz's own, and quotes are escaped, ampersands too, which begin HTML
// entities. A control character is a blank.
func dotText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '"', r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '&':
			b.WriteString("&amp;")
		case r == unicode.ReplacementChar, !unicode.IsPrint(r):
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
