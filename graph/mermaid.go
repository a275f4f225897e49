package graph

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// WriteMermaid writes the graph as a Mermaid flowchart. Nodes are called n0,
// n1, …; names stand in quoted labels only, where every character that could
// mean something is a character code.
func (g *Graph) WriteMermaid(w io.Writer) error {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	ids := g.shortIDs()
	for i := range g.Nodes {
		n := &g.Nodes[i]
		shape := mermaidShapes[n.Kind]
		fmt.Fprintf(&b, "  %s%s\"%s\"%s", ids[n.ID], shape[0], mermaidLabel(n), shape[1])
		if class := className(n); class != "" {
			b.WriteString(":::" + class)
		}
		b.WriteByte('\n')
	}
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "  %s %s", ids[e.From], mermaidArrow(&e))
		if text := edgeText(&e); text != "" {
			fmt.Fprintf(&b, "|\"%s\"|", mermaidText(text))
		}
		fmt.Fprintf(&b, " %s\n", ids[e.To])
	}
	b.WriteString("  classDef off stroke-dasharray: 4 4\n  classDef policy stroke-width: 2px\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// mermaidShapes are what stands around a node's label.
var mermaidShapes = map[string][2]string{
	KindType: {"([", "])"}, KindLink: {"[", "]"}, KindFunction: {"[[", "]]"}, KindPolicy: {"{{", "}}"},
}

func mermaidArrow(e *Edge) string {
	switch {
	case e.Kind == Denies:
		return "--x"
	case !e.Declared:
		return "-.->"
	}
	return "-->"
}

func mermaidLabel(n *Node) string {
	lines := labelOf(n)
	for i := range lines {
		lines[i] = mermaidText(lines[i])
	}
	return strings.Join(lines, "<br>")
}

// mermaidText writes every character but letters, digits and a few harmless
// marks as a character code. A control character is a blank.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < utf8Self && (unicode.IsLetter(r) || unicode.IsDigit(r)), strings.ContainsRune(" ._-/", r):
			b.WriteRune(r)
		case r == unicode.ReplacementChar, !unicode.IsPrint(r):
			b.WriteByte(' ')
		default:
			b.WriteString("#" + strconv.Itoa(int(r)) + ";")
		}
	}
	return b.String()
}

// utf8Self is where characters of several bytes begin.
const utf8Self = 0x80
