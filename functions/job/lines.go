package job

import (
	"strings"
	"sync"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/child"
	"github.com/signalbox-dev/signalbox/functions/settings"
)

// printed takes what a run prints: each line becomes an event.Log, and the last
// ones of stderr are kept for its report.
type printed struct {
	out, err *child.Lines
	// emit passes a line on, and returns it with its secrets masked.
	emit func(stream, line string) string
	// merged: stderr comes as stdout.
	merged bool

	mu   sync.Mutex
	tail []string
	size int
}

// newPrinted watches a run; instance is the process or container.
func newPrinted(c *Config, r *record, instance string, secrets [][]byte) *printed {
	hide := settings.NewMask(secrets)
	p := &printed{emit: func(stream, line string) string {
		line = hide.String(line)
		if c.Output != nil {
			c.Output(event.Log{
				Time: c.Now().UTC(), Function: r.Function, Version: r.Version, Stream: stream, Line: line,
				Run: r.Run, Instance: instance, TraceID: r.traceID(),
			})
		}
		return line
	}}
	p.out = child.NewLines(func(line string) { p.line(event.StreamStdout, line) })
	p.err = child.NewLines(func(line string) { p.line(event.StreamStderr, line) })
	return p
}

// line takes a line that was cut already.
func (p *printed) line(stream, line string) {
	if line = p.emit(stream, line); stream == event.StreamStderr || p.merged {
		p.keep(line)
	}
}

func (p *printed) keep(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tail = append(p.tail, line)
	p.size += len(line) + 1
	for len(p.tail) > 1 && p.size-len(p.tail[0])-1 >= maxReason {
		p.size -= len(p.tail[0]) + 1
		p.tail = p.tail[1:]
	}
}

// flush emits last lines without an end, and returns the tail of stderr.
func (p *printed) flush() string {
	p.out.Flush()
	p.err.Flush()
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.tail, "\n")
}
