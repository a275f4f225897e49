package child

import (
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	tests := []struct {
		name   string
		writes []string
		want   []string
	}{
		{"several in one write", []string{"a\nb\n"}, []string{"a", "b"}},
		{"one over several writes", []string{"a", "b", "c\n"}, []string{"abc"}},
		{"carriage returns", []string{"a\r\nb\r\n"}, []string{"a", "b"}},
		{"no end", []string{"a\nb"}, []string{"a", "b"}},
		{"empty lines", []string{"\n\n"}, []string{"", ""}},
		{"too long", []string{strings.Repeat("x", maxLine+1) + "\ny\n"}, []string{strings.Repeat("x", maxLine), "x", "y"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			l := NewLines(func(s string) { got = append(got, s) })
			for _, w := range test.writes {
				if n, err := l.Write([]byte(w)); n != len(w) || err != nil {
					t.Fatal(n, err)
				}
			}
			l.Flush()
			if strings.Join(got, "|") != strings.Join(test.want, "|") {
				t.Errorf("got %d lines, want %d", len(got), len(test.want))
			}
		})
	}
}
