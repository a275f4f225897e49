package podlog

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// mark is how far the output of a pod was read: up to the time of its last line,
// of which n lines were read. The zero value is nothing.
type mark struct {
	at time.Time
	n  int
}

// next is the mark after a line of that time.
func (m mark) next(at time.Time) mark {
	if at.Equal(m.at) {
		return mark{at, m.n + 1}
	}
	return mark{at, 1}
}

// String is the time and, if it is not 1, the number of lines.
func (m mark) String() string {
	s := m.at.UTC().Format(time.RFC3339Nano)
	if m.n > 1 {
		s += " " + strconv.Itoa(m.n)
	}
	return s
}

func parseMark(s string) (mark, error) {
	stamp, count, many := strings.Cut(s, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	m := mark{at, 1}
	if err == nil && many {
		m.n, err = strconv.Atoi(count)
	}
	if err != nil || m.n < 1 {
		return mark{}, fmt.Errorf("mark %q: want a time, and how many lines of it", s)
	}
	return m, nil
}

// writeMarks is the text of marks by pod.
func writeMarks(marks map[string]mark) string {
	out := make(map[string]string, len(marks))
	for pod, m := range marks {
		if !m.at.IsZero() {
			out[pod] = m.String()
		}
	}
	text, _ := json.Marshal(out) // strings
	return string(text)
}

// readMarks reads what writeMarks wrote; what is none is left out.
func readMarks(text string) map[string]mark {
	var in map[string]string
	_ = json.Unmarshal([]byte(text), &in)
	marks := make(map[string]mark, len(in))
	for pod, s := range in {
		if m, err := parseMark(s); err == nil {
			marks[pod] = m
		}
	}
	return marks
}
