package child

import (
	"os"
	"sync"
	"time"
)

// Pipe takes one stream of a program, cut into lines. Unlike a writer given to
// the program's command, it can be emptied at a moment: Catch and Drain. Make it with
// NewPipe, give Writer to the command, and call Started once that has started.
type Pipe struct {
	lines *Lines
	r, w  *os.File
	// reading is held while bytes are taken out of the pipe and emitted.
	reading sync.Mutex
	done    chan struct{}
}

// NewPipe makes a pipe that calls emit with each line, without its end.
func NewPipe(emit func(line string)) (*Pipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &Pipe{lines: NewLines(emit), r: r, w: w, done: make(chan struct{})}, nil
}

// Writer is the program's end.
func (p *Pipe) Writer() *os.File { return p.w }

// Started lets go of the program's end, which it has by now, or never gets, and
// begins to read.
func (p *Pipe) Started() {
	_ = p.w.Close()
	go func() {
		defer close(p.done)
		p.read()
	}()
}

// Drain is Catch, and emits a last line without an end as well.
func (p *Pipe) Drain() {
	p.Catch()
	p.lines.Flush()
}

// Close waits until the stream has ended, at most grace, emits what is left and
// closes the pipe. It is called after Started.
func (p *Pipe) Close(grace time.Duration) {
	after := time.NewTimer(grace)
	defer after.Stop()
	select {
	case <-p.done:
	case <-after.C: // something that the program started holds the other end
	}
	_ = p.r.Close()
	<-p.done
	p.lines.Flush()
}
