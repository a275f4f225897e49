package subscribe

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
)

// Hub connects subscribers with the log. It is safe for concurrent use.
type Hub struct {
	config Config
	deps   Deps
	events stream
	runs   stream
	lines  stream

	mu     sync.Mutex
	closed bool
	count  int
	// work counts the subscribers being served; Close waits for it.
	work sync.WaitGroup
}

// New makes a hub; the configuration has been validated.
func New(c Config, d Deps) *Hub {
	if d.Now == nil {
		d.Now = time.Now
	}
	h := &Hub{config: c, deps: d}
	h.events.follow = func(ctx context.Context, started func(), handle func([]*message)) error {
		return d.Follower.Follow(ctx, started, func(records []event.Record) { handle(eventMessages(records)) })
	}
	h.runs.follow = func(ctx context.Context, started func(), handle func([]*message)) error {
		return d.Follower.FollowRuns(ctx, started, func(runs []event.Run) { handle(runMessages(runs)) })
	}
	h.lines.follow = func(ctx context.Context, started func(), handle func([]*message)) error {
		return d.Follower.FollowLines(ctx, started, func(lines []history.Line) { handle(lineMessages(lines)) })
	}
	return h
}

func lineMessages(lines []history.Line) []*message {
	all := make([]*message, len(lines))
	for i := range lines {
		all[i] = &message{line: &lines[i]}
	}
	return all
}

func eventMessages(records []event.Record) []*message {
	all := make([]*message, 0, len(records))
	for i := range records {
		if records[i].Event != nil {
			all = append(all, &message{record: &records[i]})
		}
	}
	return all
}

func runMessages(runs []event.Run) []*message {
	all := make([]*message, len(runs))
	for i := range runs {
		all[i] = &message{run: &runs[i]}
	}
	return all
}

// Close ends every stream and waits until all are over, or ctx ends.
func (h *Hub) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.events.endAll(reasonStopping)
	h.runs.endAll(reasonStopping)
	h.lines.endAll(reasonStopping)
	done := make(chan struct{})
	go func() { // ends with the last stream, each of which WriteTimeout bounds
		h.work.Wait()
		h.events.followers.Wait()
		h.runs.followers.Wait()
		h.lines.followers.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// full reports whether another subscriber would be one too many; for an early
// answer, join decides.
func (h *Hub) full() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fullLocked()
}

func (h *Hub) fullLocked() error {
	switch {
	case h.closed:
		return problem.New(problem.Stopping, "%s", reasonStopping)
	case h.count >= h.config.MaxSubscribers:
		return problem.New(problem.TooManySubscribers, "all %d places are taken", h.config.MaxSubscribers)
	}
	return nil
}

// enter takes a place; leave gives it back.
func (h *Hub) enter() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.fullLocked(); err != nil {
		return err
	}
	h.count++
	h.work.Add(1)
	return nil
}

func (h *Hub) leave() {
	h.mu.Lock()
	h.count--
	h.mu.Unlock()
	h.work.Done()
}

// join adds a subscriber to its stream and returns once the log is followed;
// from then on it gets everything it wants. part must be called, once.
func (h *Hub) join(s *subscriber) error {
	st := h.stream(s.sel)
	f := st.add(s)
	h.mu.Lock()
	closed := h.closed
	h.mu.Unlock()
	if closed { // Close may have looked before the subscriber was there
		s.end(reasonStopping)
	}
	timeout := time.NewTimer(h.config.StartTimeout)
	defer timeout.Stop()
	select {
	case <-f.started:
		return nil
	case <-s.ended:
		return problem.New(problem.Unavailable, "%s", s.reason)
	case <-timeout.C:
		return problem.New(problem.Unavailable, "the log cannot be followed at the moment")
	}
}

func (h *Hub) part(s *subscriber) { h.stream(s.sel).remove(s) }

func (h *Hub) stream(sel *selection) *stream {
	switch sel.stream {
	case streamRuns:
		return &h.runs
	case streamLogs:
		return &h.lines
	}
	return &h.events
}

// isStop reports whether following ended because it was told to.
func isStop(err error) bool { return errors.Is(err, context.Canceled) }
