package cesql

import (
	"strings"
	"unicode/utf8"

	"github.com/signalbox-dev/signalbox/event"
)

type like struct {
	child   node
	pattern []element
}

// element is one step of a pattern: any number of characters, or one
// character, which is any one when r is anyOne.
type element struct {
	many bool
	r    rune
}

const anyOne = rune(-1)

// compilePattern reads % (any number), _ (any one) and their escapes \% and
// \_; every other backslash stands for itself.
func compilePattern(p string) []element {
	var out []element
	for i := 0; i < len(p); {
		if p[i] == '\\' && i+1 < len(p) && strings.IndexByte("%_", p[i+1]) >= 0 {
			out = append(out, element{r: rune(p[i+1])})
			i += 2
			continue
		}
		r, size := utf8.DecodeRuneInString(p[i:])
		i += size
		switch {
		case r == '_':
			out = append(out, element{r: anyOne})
		case r != '%':
			out = append(out, element{r: r})
		case len(out) == 0 || !out[len(out)-1].many:
			out = append(out, element{many: true})
		}
	}
	return out
}

func (n *like) eval(ev *event.Event) (value, error) {
	v, err := evalAs(n.child, ev, stringKind)
	if err != nil {
		return v, err
	}
	return booleanValue(matchPattern(v.s, n.pattern)), nil
}

// matchPattern goes back to the last % only, so the time is at most the product of the lengths.
func matchPattern(s string, p []element) bool {
	i, j, star, mark := 0, 0, -1, 0
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case j < len(p) && p[j].many:
			star, mark = j, i
			j++
		case j < len(p) && (p[j].r == anyOne || p[j].r == r):
			i += size
			j++
		case star >= 0:
			_, skip := utf8.DecodeRuneInString(s[mark:])
			mark += skip
			i, j = mark, star+1
		default:
			return false
		}
	}
	for j < len(p) && p[j].many {
		j++
	}
	return j == len(p)
}
