package eventlog

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestCompactKeepsWhatEventsWereChosenBy: names are key, revision, age in hours;
// - is a deletion, k a version that was kept before. The oldest event is 10 hours old.
func TestCompactKeepsWhatEventsWereChosenBy(t *testing.T) {
	now := time.Now()
	for _, c := range []struct{ name, have, want string }{
		{"nothing", "", ""},
		{"one that stands, however old", "a1@99", "a1"},
		{"what stood before the oldest event goes", "a1@99 a2@98 a3@97", "a3"},
		{"the last one before the oldest event stays", "a1@99 a2@98 a3@5 a4@4", "a2k a3k a4"},
		{"a key that is gone since", "a1@99 a2@5-", "a1k a2-k"},
		{"a key that was gone before", "a1@99 a2@98-", ""},
		{"one that came back", "a1@99 a2@98- a3@5", "a3"},
		{"keys by themselves", "a1@99 b2@98 a3@5 b4@4-", "a1k b2k b4-k a3"},
		{"appended in another order", "a2@5 a1@6", "a1k a2"},
		{"what a crash left of kept versions", "a1@99 a2@98 a3@5 a2@98k", "a2k a3"},
		{"what a crash left of what stands", "a1@99 a2@5 a1@99k a2@5", "a1k a2"},
		{"kept ones of the time before", "a1@30k a2@20k a3@5k a4@4", "a2k a3k a4"},
		{"numbers that were not noted", "a0@99 a0@98 a7@5 a0@4", "a0k a7k a0"},
	} {
		var all []Version
		for f := range strings.FieldsSeq(c.have) {
			var v Version
			var key rune
			var hours int
			var mark string
			n, _ := fmt.Sscanf(f, "%c%d@%d%s", &key, &v.Revision, &hours, &mark)
			if n < 3 {
				t.Fatal(f)
			}
			v.Key, v.Time, v.Value = string(key), now.Add(-time.Duration(hours)*time.Hour), []byte("x")
			if strings.Contains(mark, "-") {
				v.Value = nil
			}
			v.Kept = strings.Contains(mark, "k")
			all = append(all, v)
		}
		var got []string
		for _, v := range compacted(all, now.Add(-10*time.Hour)) {
			s := fmt.Sprint(v.Key, v.Revision)
			if v.Value == nil {
				s += "-"
			}
			if v.Kept {
				s += "k"
			}
			got = append(got, s)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %s: want %s", c.name, got, c.want)
		}
	}
}
