package main

import (
	"bytes"
	"os"
	"testing"
)

func TestControlCharactersAreShownAndNotSent(t *testing.T) {
	for in, want := range map[string]string{
		"a\tb\nc äöü 🙂":    "a\tb\nc äöü 🙂",
		"\x1b]0;title\x07": `\u001b]0;title\u0007`, "\x1b[2J": `\u001b[2J`, "a\rb\x7f\x08": `a\u000db\u007f\u0008`, "\u009b2J": `\u009b2J`,
		"\x1b[31mred\x1b[0m": "\x1b[31mred\x1b[0m", "\x1b[31;5Hm": `\u001b[31;5Hm`, "\x1b": `\u001b`, "\xff": "\xff",
	} {
		var out bytes.Buffer
		if n, err := (showing{&out}).Write([]byte(in)); n != len(in) || err != nil || out.String() != want {
			t.Errorf("%q is shown as %q, want %q (%d, %v)", in, out.String(), want, n, err)
		}
	}
}

func TestWhatIsNoTerminalGetsWhatIsThere(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if onTerminal(w) != w {
		t.Error("a pipe is taken for a terminal")
	}
}
