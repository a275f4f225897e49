package graph

import (
	"fmt"
	"strconv"
	"strings"
)

// maxLabel bounds a name in a drawing, in characters.
const maxLabel = 200

// labelOf are the lines of a node's label, plain text.
func labelOf(n *Node) []string {
	name := []rune(n.Name)
	if len(name) > maxLabel {
		name = append(name[:maxLabel], '…')
	}
	lines := []string{string(name)}
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if n.Rate > 0 {
		add("%s", Rate(n.Rate))
	}
	for _, v := range n.Versions {
		if name := v.Name; name != "" {
			add("%s %s", name, percent(v.Share))
		} else {
			add("no version %s", percent(v.Share))
		}
	}
	var marks []string
	for _, m := range []struct {
		is   bool
		name string
	}{{n.Missing, "missing"}, {n.Scheduled, "scheduled"}, {n.Paused, "paused"}, {n.Filtered, "filters"}} {
		if m.is {
			marks = append(marks, m.name)
		}
	}
	if len(marks) > 0 {
		add("%s", strings.Join(marks, ", "))
	}
	return lines
}

func percent(share float64) string { return strconv.FormatFloat(share*100, 'g', 3, 64) + " %" }

// Rate writes a number of events a second with two digits that count, by the
// second, the minute or the hour.
func Rate(r float64) string {
	unit := "/s"
	switch {
	case r < 1.0/60:
		r, unit = r*3600, "/h"
	case r < 0.5:
		r, unit = r*60, "/min"
	}
	if r >= 10 {
		return strconv.FormatFloat(r, 'f', 0, 64) + unit
	}
	return strconv.FormatFloat(r, 'g', 2, 64) + unit
}

// className is the look of a node: off is what gets no events now.
func className(n *Node) string {
	switch {
	case n.Missing, n.Paused:
		return "off"
	case n.Kind == KindPolicy:
		return "policy"
	}
	return ""
}

// edgeText is what stands at an edge.
func edgeText(e *Edge) string {
	switch {
	case e.Kind == Adds || e.Kind == Denies:
		return e.Kind
	case e.Version != "":
		return "@" + e.Version
	case e.Kind == Emits && !e.Declared:
		return "observed"
	}
	return ""
}

// shortIDs names the nodes n0, n1, … in their order.
func (g *Graph) shortIDs() map[string]string {
	ids := make(map[string]string, len(g.Nodes))
	for i := range g.Nodes {
		ids[g.Nodes[i].ID] = "n" + strconv.Itoa(i)
	}
	return ids
}
