package event

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDecodePercent(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain text stays", "abc", "abc"},
		{"the specification's example", "Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"},
		{"lower-case hex", "%e2%82%ac", "€"},
		{"needless escapes", "%61%62", "ab"},
		{"one round only", "%2541", "%41"},
		{"a raw space stays", "a b", "a b"},
		{"raw UTF-8 of senders that do not encode", "Zürich", "Zürich"},
		{"a percent sign of senders that do not encode", "100%", "100%"},
		{"a percent sign before other text", "5%zz%4", "5%zz%4"},
		{"a legacy quoted string", `"a b"`, "a b"},
		{"backslash escapes in a quoted string", `"a\"b\\c"`, `a"b\c`},
		{"escapes within a quoted string", `"a%20\"%22"`, `a ""`},
		{"a lone quote stays", `"`, `"`},
		{"an unfinished quoted string stays", `"abc`, `"abc`},
		{"an empty quoted string", `""`, ""},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := DecodePercent([]byte(tt.in)); err != nil || got != tt.want {
				t.Errorf("DecodePercent(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
			}
		})
	}
	for _, bad := range []string{"%C0%A0", "\xff", "%ff", "a%ED%A0%80", "%E2%82", `"` + "\xff" + `"`} {
		if got, err := DecodePercent([]byte(bad)); err == nil {
			t.Errorf("DecodePercent(%q) = %q, want an error: not UTF-8", bad, got)
		}
	}
}

func TestAppendPercent(t *testing.T) {
	for in, want := range map[string]string{
		"abc": "abc", "": "", "Euro € 😀": "Euro%20%E2%82%AC%20%F0%9F%98%80", `a"b%c`: "a%22b%25c", "~!": "~!", "\x7f": "%7F", "a\tb": "a%09b",
	} {
		if got := string(AppendPercent([]byte("x"), in)); got != "x"+want {
			t.Errorf("AppendPercent(%q) = %q, want %q", in, got, want)
		}
		if got := percentEncoded(in); got != want {
			t.Errorf("percentEncoded(%q) = %q", in, got)
		}
	}
}

func FuzzDecodePercent(f *testing.F) {
	for _, s := range []string{"abc", "%e2%82%ac", `"a\"b"`, "%C0%A0", "100%", "%2541", `"\`, `"\"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		before := string(in)
		s, err := DecodePercent(in)
		if string(in) != before {
			t.Fatal("changed its input")
		}
		if err != nil {
			return
		}
		if !utf8.ValidString(s) {
			t.Fatalf("%q is not UTF-8", s)
		}
		enc := AppendPercent(nil, s)
		if strings.ContainsFunc(string(enc), func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' }) {
			t.Fatalf("%q holds what must be escaped", enc)
		}
		if back, err := DecodePercent(enc); err != nil || back != s {
			t.Fatalf("DecodePercent(%q) = %q, %v, want %q", enc, back, err, s)
		}
	})
}
