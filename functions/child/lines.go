package child

import (
	"bytes"
	"sync"
)

// maxLine is the longest line in bytes; longer ones are cut into several.
const maxLine = 64 << 10

// Lines cuts what a program writes into lines. It is safe for concurrent use.
type Lines struct {
	emit func(line string)
	mu   sync.Mutex
	rest []byte
}

// NewLines makes a writer that calls emit with each line, without its end.
func NewLines(emit func(line string)) *Lines { return &Lines{emit: emit} }

// Write never fails: a program must not end because of its output.
func (l *Lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, b...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		switch {
		case i >= 0 && i <= maxLine:
			l.emit(string(bytes.TrimSuffix(l.rest[:i], []byte("\r"))))
			l.rest = l.rest[i+1:]
		case len(l.rest) > maxLine:
			l.emit(string(l.rest[:maxLine]))
			l.rest = l.rest[maxLine:]
		default:
			l.rest = append([]byte(nil), l.rest...) // let go of what was emitted
			return len(b), nil
		}
	}
}

// Flush emits a last line without an end.
func (l *Lines) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.emit(string(l.rest))
		l.rest = nil
	}
}
