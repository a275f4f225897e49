package functions

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// supervisor keeps the program of one version of a function running. Its fields belong to the
// goroutine of run.
type supervisor struct {
	r      *Registry
	id     id
	cancel context.CancelFunc
	// asked is set when somebody wants its URL.
	asked atomic.Bool
	// wanted, and idle since when it is not, belong to the Registry's Run.
	wanted bool
	idle   time.Time
	// changes takes over what shall run; it holds the latest only, and is
	// written by the Registry's Run alone.
	changes chan program

	program program
	// serving accepts connections; starting does not yet. Both are there while
	// a changed program starts beside the old one.
	serving  *process
	starting *process
	// fetching is under way before the program can be started; nil: it is not.
	fetching *fetch
	// failures are those in a row, of which last is the last one.
	failures int
	last     error
	// retry fires when the program is due to be started again.
	retry <-chan time.Time
	// edits takes over a source that was saved.
	edits chan string
	// unwatch ends the watch over them.
	unwatch context.CancelFunc
	// edit is the change that starting runs, nil for none.
	edit *Change
	// editedAt is when it was seen.
	editedAt time.Time
	// retired are closed to end processes that were replaced before their time.
	retired []chan struct{}
	// ending is closed when run ends.
	ending <-chan struct{}
	stops  sync.WaitGroup
}

func newSupervisor(r *Registry, p program) *supervisor {
	return &supervisor{r: r, id: p.id, program: p, changes: make(chan program, 1), edits: make(chan string, 1), unwatch: func() {}}
}

// offer hands over a program, in place of one that was not taken yet. It does
// not block, since nobody else writes.
func (s *supervisor) offer(p program) {
	select {
	case <-s.changes:
	default:
	}
	s.changes <- p
}

// run starts the program and starts it again when it ends, until ctx ends;
// then it stops what runs and waits for that.
func (s *supervisor) run(ctx context.Context) {
	s.ending = ctx.Done()
	defer s.stops.Wait()
	defer func() { s.stop(s.serving); s.stop(s.starting); s.abandon(); s.unwatch() }()
	s.watch(ctx)
	s.start()
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-s.changes:
			if s.change(p) {
				s.watch(ctx)
			}
		case file := <-s.edits:
			s.edited(file)
		case <-s.starting.accepting():
			s.promote()
		case <-s.starting.ended():
			err := s.starting.err
			s.starting = nil
			s.failed(err)
		case <-s.serving.ended():
			s.lost()
		case got := <-s.fetching.fetched():
			s.fetching.cancel()
			s.fetching = nil
			s.launch(got)
		case <-s.retry:
			s.start()
		}
	}
}

// start begins another process; the one that serves goes on.
func (s *supervisor) start() {
	s.retry = nil
	if err := s.program.missing; err != nil { // whoever sees the secret offers the program again
		s.r.c.Log.Warn("function cannot be started", "function", s.id.String(), "cause", err)
		s.notServing(err.Error())
		return
	}
	if s.program.artifact == "" {
		s.launch(filesOf(s.program))
		return
	}
	s.fetching = s.fetchFiles()
	if s.failures == 0 {
		s.notServing("its files are being fetched")
	}
}

// launch starts the process among its files.
func (s *supervisor) launch(f files) {
	if f.err != nil {
		s.failed(fmt.Errorf("its files cannot be fetched: %w", f.err))
		return
	}
	p, err := s.r.launch(s.program, f)
	if err != nil {
		f.release()
		s.failed(err)
		return
	}
	s.starting = p
	if s.failures > 0 {
		s.notServing("starting again; before: " + s.last.Error())
		return
	}
	s.notServing(fmt.Sprintf("starting: nothing accepts connections on 127.0.0.1:%d (PORT) yet", p.port))
}

// change starts a program that differs, and reports whether it does.
func (s *supervisor) change(p program) bool {
	if p.same(s.program) {
		return false
	}
	s.stop(s.starting)
	s.abandon()
	s.starting, s.edit = nil, nil
	s.program, s.failures = p, 0
	if s.serving != nil && p.same(s.serving.program) { // what was to replace it is taken back
		s.retry = nil
		return true
	}
	s.start()
	return true
}

// promote lets the new process serve, and only then stops the old one.
func (s *supervisor) promote() {
	old := s.serving
	s.serving, s.starting = s.starting, nil
	s.serving.readyAt = s.r.c.Now()
	s.r.publish(s, endpoint{url: s.serving.url, program: s.serving.program})
	s.r.c.Log.Info("function is ready", "function", s.id.String(), "url", s.serving.url, "pid", s.serving.pid())
	s.runsEdit()
	s.retire(old)
}

// maxRetired bounds the processes of a version that were replaced and wait for
// their calls; the oldest one is stopped when there are more.
const maxRetired = 2

// retire stops a process in whose place another one serves, once the calls that
// are on their way to it have had the time to be answered: a program need not
// know how to end without breaking them off.
func (s *supervisor) retire(p *process) {
	if p == nil {
		return
	}
	now := make(chan struct{})
	if s.retired = append(s.retired, now); len(s.retired) > maxRetired {
		close(s.retired[0])
		s.retired = s.retired[1:]
	}
	s.stops.Go(func() {
		linger := time.NewTimer(s.r.c.Linger)
		defer linger.Stop()
		select {
		case <-linger.C:
		case <-now:
		case <-p.done:
		case <-s.ending:
		}
		p.stop(s.r.c.StopGrace)
	})
}

// lost deals with the end of the process that served.
func (s *supervisor) lost() {
	if s.r.c.Now().Sub(s.serving.readyAt) >= s.r.c.StableAfter {
		s.failures = 0
	}
	err := s.serving.err
	s.serving = nil
	if s.starting != nil || s.fetching != nil {
		s.notServing(err.Error())
		return
	}
	s.failed(err)
}

// failed plans the next start.
func (s *supervisor) failed(err error) {
	if s.edit != nil && s.serving != nil {
		s.refused(err)
		return
	}
	s.failures++
	s.last = err
	delay := s.r.c.restartDelay(s.failures)
	s.retry = time.After(delay)
	s.r.c.Log.Warn("function does not run", "function", s.id.String(), "cause", err, "restart_in", delay)
	s.notServing(err.Error())
}

// notServing says why there is no URL, when there is none.
func (s *supervisor) notServing(why string) {
	if s.serving == nil {
		s.r.publish(s, endpoint{err: fmt.Errorf("function %s: %w: %s", s.id, ErrNotReady, why), failing: s.failures > 0})
	}
}

// stop ends a process without waiting for it here; run waits for all of them.
func (s *supervisor) stop(p *process) {
	if p != nil {
		s.stops.Go(func() { p.stop(s.r.c.StopGrace) })
	}
}
