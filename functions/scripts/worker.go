package scripts

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/child"
	"github.com/signalbox-dev/signalbox/functions/settings"
)

// worker is one process that makes one run at a time. It belongs to whoever
// took it from its pool.
type worker struct {
	cmd   *exec.Cmd
	group *child.Group
	// in and out are our ends of the pipes.
	in  *os.File
	out *bufio.Reader
	// runs counts those it has made; since is when it was last put back.
	runs  int
	since time.Time
	// generation is that of the files it runs.
	generation uint64
	tail       *tail
	// mask hides the secrets it has.
	mask *settings.Mask
	// outs and errs are its streams; at is the run that is under way, nil between two.
	outs, errs *child.Pipe
	at         atomic.Pointer[place]
	// gone is closed when the process has ended and end says how.
	gone chan struct{}
	end  error
}

// place is where a line belongs that a worker writes.
type place struct{ run, trace, span string }

// log is a line of the worker, with the run it belongs to.
func (w *worker) log(stream, line string) event.Log {
	l := event.Log{Stream: stream, Line: w.mask.String(line)}
	if w.cmd != nil && w.cmd.Process != nil {
		l.Instance = strconv.Itoa(w.cmd.Process.Pid)
	}
	if at := w.at.Load(); at != nil {
		l.Run, l.TraceID, l.SpanID = at.run, at.trace, at.span
	}
	return l
}

// begin says which run the worker makes from now on. What those before it have printed
// does not tell how it ends.
func (w *worker) begin(at *place) {
	w.at.Store(at)
	w.tail.clear()
}

// catchUp takes in what was printed before, so that it comes first.
func (w *worker) catchUp() {
	w.outs.Catch()
	w.errs.Catch()
}

// finish takes in all that the run has written, so that none of it passes for
// the next one's. A worker that is ended instead writes for its last run to the end.
func (w *worker) finish() {
	w.outs.Drain()
	w.errs.Drain()
	w.at.Store(nil)
}

// tail keeps the last lines of the standard error, to tell why a worker died.
type tail struct {
	mu    sync.Mutex
	lines []string
	// memory: Node has said that its heap is full. What it prints after that helps nobody.
	memory bool
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.memory = t.memory || strings.Contains(line, "JavaScript heap out of memory")
	if t.lines = append(t.lines, line); len(t.lines) > 10 {
		t.lines = t.lines[1:]
	}
}

func (t *tail) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines, t.memory = nil, false
}

func (t *tail) ranOut() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.memory
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

// startWorker starts a process and waits until it says that it is ready.
func (p *pool) startWorker(ctx context.Context, program []string) (*worker, error) {
	done, err := p.artifact.hold()
	if err != nil {
		return nil, err
	}
	w, err := p.launch(program, done)
	if err != nil {
		return nil, err
	}
	if err := w.awaitReady(ctx, p.host.c.ReadyTimeout); err != nil {
		w.kill()
		return nil, err
	}
	return w, nil
}

// launch starts a process; done is called when it is gone, or was not started.
func (p *pool) launch(program []string, done func()) (w *worker, err error) {
	defer func() {
		if err != nil {
			done()
		}
	}()
	dir, err := p.dir()
	if err != nil {
		return nil, err
	}
	mounts, err := settings.WriteFiles(p.host.c.MountsDir, p.settings.Files)
	if err != nil {
		return nil, err
	}
	release := done
	done = func() { p.removeMounts(mounts); release() }
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), ourOut.Close())
	}
	w = &worker{in: ourOut, out: bufio.NewReader(ourIn), tail: &tail{}, mask: p.mask, gone: make(chan struct{})}
	if err := p.openStreams(w); err != nil {
		return nil, errors.Join(err, theirIn.Close(), ourOut.Close(), ourIn.Close(), theirOut.Close())
	}
	cmd := exec.Command(program[0], program[1:]...)
	cmd.Dir, cmd.Env, cmd.ExtraFiles = dir, p.environ(mounts), []*os.File{theirIn, theirOut}
	cmd.Stdout, cmd.Stderr = w.outs.Writer(), w.errs.Writer()
	w.cmd = cmd
	w.group, err = p.host.c.Keeper.Start(cmd)
	closed := errors.Join(theirIn.Close(), theirOut.Close())
	w.outs.Started()
	w.errs.Started()
	if err = errors.Join(err, closed); err != nil {
		w.closeStreams()
		return nil, errors.Join(err, ourOut.Close(), ourIn.Close())
	}
	p.host.work.Go(func() {
		w.end = cmd.Wait()
		w.group.Gone()
		w.closeStreams()
		_ = errors.Join(w.in.Close(), ourIn.Close())
		done()
		close(w.gone)
	})
	return w, nil
}

// removeMounts removes the files of a worker that is gone.
func (p *pool) removeMounts(dir string) {
	if err := settings.RemoveFiles(dir); err != nil {
		p.host.c.Log.Warn("files of a function were not removed", "function", p.name(), "error", err)
	}
}

// openStreams makes the pipes of a worker's output.
func (p *pool) openStreams(w *worker) (err error) {
	if w.outs, err = child.NewPipe(func(line string) { p.output(w.log(event.StreamStdout, line)) }); err != nil {
		return err
	}
	w.errs, err = child.NewPipe(func(line string) {
		w.tail.add(w.mask.String(line))
		p.output(w.log(event.StreamStderr, line))
	})
	if err != nil {
		w.outs.Started()
		w.outs.Close(0)
	}
	return err
}

// closeStreams ends the streams; what the worker has started may hold them on.
func (w *worker) closeStreams() {
	w.outs.Close(time.Second)
	w.errs.Close(time.Second)
}

// kill ends the process and waits for it.
func (w *worker) kill() {
	w.group.Kill()
	<-w.gone
}

// awaitReady waits for the first frame.
func (w *worker) awaitReady(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	m, err := w.read(ctx)
	if err == nil && m.Is != "ready" {
		err = fmt.Errorf("it said %q", m.Is)
	}
	if err != nil {
		return fmt.Errorf("the worker did not become ready: %w", w.why(err))
	}
	return nil
}

// read reads one frame; when ctx ends the process is killed, as what it does then is of no use.
func (w *worker) read(ctx context.Context) (fromWorker, error) {
	stop := context.AfterFunc(ctx, w.group.Kill)
	defer stop()
	m, err := readFrame(w.out)
	if err != nil && ctx.Err() != nil {
		return m, ctx.Err()
	}
	return m, err
}

// whyAt is why, and says how much memory a worker may have when that was the cause.
func (w *worker) whyAt(memoryMB int, err error) error {
	cause := w.why(err)
	if w.tail.ranOut() {
		return fmt.Errorf("the worker ended: JavaScript heap out of memory: a worker may have %d MB, see spec.scripts.memoryMB", memoryMB)
	}
	return cause
}

// why says what ended a worker that was to say something.
func (w *worker) why(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	w.group.Kill() // what it says is no frame, or its pipe is closed
	<-w.gone
	last := w.tail.text()
	if last != "" {
		last = ": " + last
	}
	if w.end == nil {
		return errors.New("the worker ended by itself" + last)
	}
	return fmt.Errorf("the worker ended: %w%s", w.end, last)
}
