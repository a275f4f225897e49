package cesql

import (
	"slices"
	"strconv"
	"strings"

	"github.com/signalbox-dev/signalbox/event"
)

// Blame is the part of the expression that makes it false for ev, with the
// values of the attributes it mentions: of parts joined by AND the first one
// that is not true. It is for events that do not pass, without an error.
func (x *Expression) Blame(ev *event.Event) string {
	n, text := x.root, x.text
	for {
		g, ok := n.(*logic)
		if !ok || g.op != opAnd {
			break
		}
		if v, err := evalAs(g.left, ev, booleanKind); err != nil || !v.b {
			n, text = g.left, g.leftText
		} else {
			n, text = g.right, g.rightText
		}
	}
	words := []string{}
	for _, name := range mentions(n, nil) {
		if v, ok := ev.Attribute(name); ok {
			words = append(words, name+" "+strconv.Quote(v))
		} else {
			words = append(words, "no "+name)
		}
	}
	text = strings.TrimSpace(text)
	if len(words) > 0 {
		text += " (" + strings.Join(words, ", ") + ")"
	}
	if whole := strings.TrimSpace(x.text); n != x.root {
		text += " of " + whole
	}
	return text
}

// mentions appends the attributes by name that n asks for, each once.
func mentions(n node, found []string) []string {
	switch n := n.(type) {
	case exists:
		found = append(found, n.name)
	case not:
		found = mentions(n.child, found)
	case *logic:
		found = mentions(n.right, mentions(n.left, found))
	default:
		found = looksAt(n, found)
	}
	slices.Sort(found)
	return slices.Compact(found)
}
