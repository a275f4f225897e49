package settings

import (
	"strings"
	"testing"
)

func TestMask(t *testing.T) {
	values := [][]byte{[]byte("s3cret-token"), []byte("s3cret-token-2"), []byte("short"), []byte("-----BEGIN KEY-----\nMIIabcdef\nx\n-----END KEY-----\n"), []byte(`pa"ss\word`)}
	mask := NewMask(values)
	for _, test := range []struct{ name, line, want string }{
		{"a value", "token is s3cret-token!", "token is ***!"},
		{"twice", "s3cret-tokens3cret-token", "******"},
		{"one that begins with another", "s3cret-token-2", "***"},
		{"a short one is left alone", "in short", "in short"},
		{"a line of one with several", "MIIabcdef", "***"},
		{"a short line of one with several", "x", "x"},
		{"all of one with several, as JSON", `{"k":"-----BEGIN KEY-----\nMIIabcdef\nx\n-----END KEY-----\n"}`, `{"k":"***\n"}`},
		{"as it is", `pa"ss\word`, "***"},
		{"in a JSON string", `{"p":"pa\"ss\\word"}`, `{"p":"***"}`},
		{"nothing", "hello", "hello"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := mask.String(test.line); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAMaskOfNothingHidesNothing(t *testing.T) {
	for _, m := range []*Mask{nil, NewMask(nil), NewMask([][]byte{[]byte("abc")})} {
		if got := m.String("abc"); got != "abc" {
			t.Errorf("got %q", got)
		}
	}
}

func BenchmarkMask(b *testing.B) {
	mask := NewMask([][]byte{[]byte("s3cret-token"), []byte("another-secret")})
	line := strings.Repeat("a line of a function ", 5)
	b.ReportAllocs()
	for b.Loop() {
		mask.String(line)
	}
}
