package podlog

import (
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/child"
	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/functions/settings"
)

// follower reads one pod, for as long as its version's Lease is held.
type follower struct {
	r      *Reader
	v      Version
	newest *atomic.Pointer[settings.Mask]
	pod    string
	valid  func() bool
	// cancel ends it, done is closed when it has ended.
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	mark mark

	// What follows belongs to its goroutine. from is where this connection began,
	// passed how many lines of that time it had, old whether the last line was read before.
	from   mark
	passed int
	old    bool
	fresh  bool
}

// maxPause is how many times the first pause the longest one is.
const maxPause = 15

// run reads until the pod is gone, or ctx ends. The container may end and begin
// again, and the connection too: it goes on behind the last line that was read.
func (f *follower) run(ctx context.Context) {
	defer close(f.done)
	for pause := f.r.c.Pause; ; pause = min(2*pause, maxPause*f.r.c.Pause) {
		err := f.once(ctx)
		if ctx.Err() != nil || cluster.NotFound(err) {
			return
		}
		if err != nil {
			f.r.c.Log.Debug("the output of a pod cannot be read", "pod", f.v.Namespace+"/"+f.pod, "error", err)
		}
		if f.fresh {
			pause = f.r.c.Pause
		}
		again := time.NewTimer(pause)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return
		}
	}
}

func (f *follower) once(ctx context.Context) error {
	f.from, f.passed, f.old, f.fresh = f.read(), 0, false, false
	stream, err := f.r.c.Cluster.Logs(ctx, f.v.Namespace, f.pod, cluster.LogOptions{
		Container: f.r.c.Container, Follow: true, Timestamps: true, Since: f.from.at, Last: f.r.c.History,
	})
	if err != nil {
		return err
	}
	defer stream.Close()
	lines := child.NewLines(f.line)
	_, err = io.Copy(lines, stream)
	if err == nil {
		lines.Flush() // else the rest of the line is read again, as a whole
	}
	return err
}

// read is how far it has come.
func (f *follower) read() mark {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mark
}

// line takes a line with its time, or the rest of one that was too long.
func (f *follower) line(s string) {
	if !f.valid() {
		f.cancel()
		return
	}
	now := f.read()
	stamp, text, _ := strings.Cut(s, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err == nil {
		f.old = f.wasRead(at)
	} else {
		at, text = now.at, s
	}
	if f.old {
		return
	}
	f.fresh = true
	text = f.newest.Load().String(f.v.Mask.String(text))
	f.r.c.Output(event.Log{
		Time: at.UTC(), Function: f.v.Function, Version: f.v.Version, Stream: event.StreamStdout, Line: text, Instance: f.pod,
	})
	if err == nil {
		f.mu.Lock()
		f.mark = now.next(at)
		f.mu.Unlock()
	}
}

// wasRead reports whether a line of that time was read by an earlier connection:
// the API server begins at a whole second.
func (f *follower) wasRead(at time.Time) bool {
	if at.Equal(f.from.at) {
		f.passed++
		return f.passed <= f.from.n
	}
	return at.Before(f.from.at)
}
