package app

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestNotesTellTheRevision: a note is offset=revision@minutes, * the first one of
// a dispatcher; an event is offset@minutes.
func TestNotesTellTheRevision(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	for _, c := range []struct{ name, notes, event, want string }{
		{"no notes", "", "5@1", "[]"},
		{"notes of later events only", "9=1@1", "5@1", "[]"},
		{"the only note", "0=3@1*", "5@2", "[3]"},
		{"the first event of a revision", "0=3@1* 5=4@2", "5@2", "[4]"},
		{"the last event of a revision", "0=3@1* 5=4@2", "4@2", "[3]"},
		{"told again after half a day", "0=3@1* 5=3@720 9=3@1440", "7@800", "[3]"},
		{"a dispatcher that begins, and an event that came later", "0=3@1* 5=4@10*", "7@11", "[4]"},
		{"an event that was there when a dispatcher began", "0=3@1* 5=4@10*", "7@9", "[4 3]"},
		{"the same by either", "0=3@1* 5=3@10*", "7@9", "[3]"},
		{"a dispatcher that went back", "0=3@1* 5=4@5 5=6@10*", "7@9", "[6 4]"},
		{"an event that was behind both", "0=3@1* 5=4@10* 6=5@20*", "7@9", "[5 4 3]"},
	} {
		var notes []note
		for f := range strings.FieldsSeq(c.notes) {
			var n note
			var at int
			if _, err := fmt.Sscanf(f, "%d=%d@%d", &n.offset, &n.revision, &at); err != nil {
				t.Fatal(err)
			}
			n.at, n.began = minute(at), strings.HasSuffix(f, "*")
			notes = append(notes, n)
		}
		var offset int64
		var at int
		fmt.Sscanf(c.event, "%d@%d", &offset, &at)
		if got := fmt.Sprint(noted(notes, offset, minute(at))); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
