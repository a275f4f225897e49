package functions

import (
	"bytes"
	"sync"
)

// maxLine is the longest line in bytes; longer ones are cut into several.
const maxLine = 64 << 10

// lines cuts what a program writes into lines.
type lines struct {
	emit func(line string)
	mu   sync.Mutex
	rest []byte
}

// lines returns a writer for one stream of a function's program.
func (r *Registry) lines(function, stream string) *lines {
	return &lines{emit: func(line string) {
		if r.c.Output != nil {
			r.c.Output(function, stream, line)
		}
	}}
}

// Write never fails: a program must not end because of its output.
func (l *lines) Write(b []byte) (int, error) {
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

// flush emits a last line without an end.
func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.emit(string(l.rest))
		l.rest = nil
	}
}
