package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

// onTerminal is out, or where that is a terminal a writer that shows control
// characters instead of sending them: what functions print and strangers send must not
// move the cursor, set a title or write to the clipboard of who looks at it. Colours pass.
func onTerminal(out io.Writer) io.Writer {
	f, ok := out.(*os.File)
	if !ok {
		return out
	}
	if i, err := f.Stat(); err != nil || i.Mode()&os.ModeCharDevice == 0 {
		return out
	}
	return showing{out}
}

// showing writes text without control characters, one Write at a time.
type showing struct{ out io.Writer }

// Write implements io.Writer.
func (p showing) Write(b []byte) (int, error) {
	if _, err := io.WriteString(p.out, visible(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// colour is what sets the colour or weight of text, and nothing else.
var colour = regexp.MustCompile(`^\x1b\[[0-9;]{0,32}m`)

// visible is s with its control characters, but tabs and ends of lines, as \u001b.
func visible(s string) string {
	if !strings.ContainsFunc(s, isControl) {
		return s
	}
	var b strings.Builder
	for s != "" {
		if c := colour.FindString(s); c != "" {
			b.WriteString(c)
			s = s[len(c):]
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		if isControl(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// isControl: the C0 and C1 sets. A lone byte of C1 is no UTF-8, and so no control
// character to a terminal that reads UTF-8.
func isControl(r rune) bool {
	return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0
}
