package names

import (
	"strings"
	"testing"
)

func TestNamesAreShortAndDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range [][2]string{{"f", ""}, {"f", "1"}, {"f-1", ""}, {"9.to.5", "V_1.0-"}, {strings.Repeat("a", 200), "1"}, {strings.Repeat("a", 200), "2"}, {"a", strings.Repeat("-", 63)}} {
		for _, owner := range []string{"signalbox", "other"} {
			name := Object(owner, c[0], c[1])
			if seen[name] || len(name) > 49 || name[0] < 'a' || strings.ToLower(name) != name || strings.ContainsAny(name, "._") {
				t.Errorf("%v: %s", c, name)
			}
			seen[name] = true
		}
		for _, label := range []string{Label(c[0]), Label(c[1])} {
			if len(label) > 63 || strings.TrimRight(label, "-_.") != label {
				t.Errorf("label %q", label)
			}
		}
	}
}

func TestSealsDifferAsDigestsDo(t *testing.T) {
	var s, other Seals
	one := s.Seal("f", "digest")
	if one != s.Seal("f", "digest") || one != other.Seal("f", "digest") {
		t.Error("another seal for the same digest")
	}
	if one == s.Seal("f", "changed") || one == s.Seal("g", "digest") || strings.Contains(one, Digest("digest")[:4]) {
		t.Error("the same seal for another digest or key")
	}
	s.Keep(func(key string) bool { return key == "g" })
	if len(s.last) != 1 {
		t.Errorf("kept %v", s.last)
	}
}
