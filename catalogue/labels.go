package catalogue

import (
	"slices"
	"strings"
)

// maxLabel bounds one label, in bytes; longer ones are not listed.
const maxLabel = 512

// labels is a small set of texts: a type's sources, content types or functions.
type labels struct {
	known map[string]*label
	// last is the one noted last, most often the next one too.
	last *label
	// fresh are those that no drain has told yet.
	fresh []string
	// more: there are more than are kept; told: a drain has said so.
	more, told bool
}

type label struct{ text string }

// note adds a text, unless there are most already; "" is none. It allocates
// only for one that is new.
func (l *labels) note(text string, most int) {
	if text == "" || l.last != nil && l.last.text == text {
		return
	}
	if k := l.known[text]; k != nil {
		l.last = k
		return
	}
	if len(l.known) >= most || len(text) > maxLabel {
		l.more = true
		return
	}
	k := &label{strings.Clone(text)}
	if l.known == nil {
		l.known = map[string]*label{}
	}
	l.known[k.text], l.last = k, k
	l.fresh = append(l.fresh, k.text)
}

// drain returns what is new, and whether it is news that there is more.
func (l *labels) drain() (fresh []string, more bool) {
	fresh, l.fresh = l.fresh, nil
	slices.Sort(fresh)
	more = l.more && !l.told
	l.told = l.more
	return fresh, more
}
