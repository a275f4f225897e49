package tracing

import "strings"

// Limits of a tracestate list (W3C Trace Context level 2, section 3.3).
const (
	maxStateMembers = 32
	maxStateKey     = 256
	maxStateValue   = 256
)

// joinTraceState joins the lines of a tracestate header in order, without
// empty members and blanks around members. One bad member, or too many of
// them, discards the whole list. A key that occurs twice is kept twice: the
// list belongs to the vendors in it.
func joinTraceState[T ~string | ~[]byte](lines []T) string {
	if len(lines) == 0 {
		return ""
	}
	var b strings.Builder
	members := 0
	for _, line := range lines {
		for member := range strings.SplitSeq(string(line), ",") {
			member = strings.Trim(member, " \t")
			if member == "" {
				continue
			}
			if members++; members > maxStateMembers || !validStateMember(member) {
				return ""
			}
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteString(member)
		}
	}
	return b.String()
}

func validStateMember(m string) bool {
	key, value, ok := strings.Cut(m, "=")
	return ok && validStateKey(key) && validStateValue(value)
}

// validStateKey: a lower-case letter or digit, then those and _ - * / @.
func validStateKey(k string) bool {
	if k == "" || len(k) > maxStateKey {
		return false
	}
	for i := range len(k) {
		c := k[i]
		alnum := (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')
		if !alnum && (i == 0 || !strings.ContainsRune("_-*/@", rune(c))) {
			return false
		}
	}
	return true
}

// validStateValue: printable ASCII but comma and equals sign, not ending in a blank.
func validStateValue(v string) bool {
	if v == "" || len(v) > maxStateValue || v[len(v)-1] == ' ' {
		return false
	}
	for i := range len(v) {
		if c := v[i]; c < 0x20 || c > 0x7e || c == ',' || c == '=' {
			return false
		}
	}
	return true
}
