package resource

import (
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		`--redis redis://me:secret@h:1/0: no`:                     `--redis redis://…@h:1/0: no`,
		`"http://me:sec/ret@h/": no, and http://u:p@k`:            `"http://…@h/": no, and http://…@k`,
		`http://me:s@cret@h/a@b`:                                  `http://…@h/a@b`,
		`http://127.0.0.1:8080/function/f@v1: connection refused`: `http://127.0.0.1:8080/function/f@v1: connection refused`,
		`http://h/f@v1`:        `http://h/f@v1`,
		`ftp://me:%zzsecret@h`: `ftp://…@h`,
		`http://token@h`:       `http://…@h`,
		`f@v1 has no url`:      `f@v1 has no url`,
		`http://`:              `http://`,
	} {
		if got := Redact(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("redis://me:secret@h:1/0 http://x")
	f.Fuzz(func(t *testing.T, text string) {
		once := Redact(text)
		if again := Redact(once); again != once || strings.Count(once, "://") > strings.Count(text, "://") {
			t.Errorf("%q became %q and then %q", text, once, again)
		}
	})
}
