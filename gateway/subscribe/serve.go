package subscribe

import (
	"context"
	"errors"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
)

// sink is the way to one client, as Server-Sent Events or as a WebSocket. An
// error means that the client is gone.
type sink interface {
	// refuse says that there will be no stream.
	refuse(p *problem.Problem)
	// open begins the stream.
	open() error
	message(m *message) error
	heartbeat() error
	// note tells a person who looks on; a program may not see it.
	note(text string) error
	// close says why the stream ends.
	close(reason string)
	// gone is closed when the client has hung up.
	gone() <-chan struct{}
}

// serve streams to one client until either side ends it.
func (h *Hub) serve(sel *selection, to sink) {
	if err := h.enter(); err != nil {
		to.refuse(problem.Of(err))
		return
	}
	defer h.leave()
	s := newSubscriber(sel, h.config)
	defer h.part(s)
	if err := h.join(s); err != nil {
		to.refuse(problem.Of(err))
		return
	}
	if err := to.open(); err != nil {
		return
	}
	seen, err := h.replay(s, to)
	if err == nil {
		err = h.live(s, to, seen)
	}
	if err != nil && !errors.Is(err, errGone) {
		h.deps.Logger.Debug("a live stream ended", "error", err)
	}
}

// reasonInvalid is why a stream ends whose identity would not be let in any more.
const reasonInvalid = "the credentials are no longer valid"

// errGone is a client that has hung up.
var errGone = errors.New("the client is gone")

// live passes on what comes in, skipping what the replay has sent already.
func (h *Hub) live(s *subscriber, to sink, seen seen) error {
	beat := time.NewTicker(h.config.Heartbeat)
	defer beat.Stop()
	for {
		select { // the end goes before what still waits
		case <-s.ended:
			to.close(s.reason)
			return nil
		default:
		}
		var err error
		select {
		case <-s.ended:
			continue
		case <-to.gone():
			return errGone
		case <-beat.C:
			if h.deps.Valid != nil && !h.deps.Valid(s.sel.identity) {
				to.close(reasonInvalid)
				return nil
			}
			err = to.heartbeat()
		case m := <-s.queue:
			s.taken(m)
			if !seen.has(m) {
				err = to.message(m)
			}
		}
		if err != nil {
			return err
		}
	}
}

// seen knows what a replay has sent, so that the live stream, which began
// before it, does not repeat it.
type seen struct {
	offsets map[int32]int64
	runs    map[string]bool
}

// place is the position of what has one.
func (m *message) place() event.Position {
	if m.line != nil {
		return m.line.Position
	}
	return m.record.Position
}

func (s *seen) add(m *message) {
	if m.run != nil {
		s.runs[runKey(m.run)] = true
		return
	}
	at := m.place()
	s.offsets[at.Partition] = max(at.Offset, s.offsets[at.Partition])
}

func (s *seen) has(m *message) bool {
	if m.run != nil {
		return s.runs[runKey(m.run)]
	}
	at := m.place()
	last, ok := s.offsets[at.Partition]
	return ok && at.Offset <= last
}

func runKey(r *event.Run) string { return r.ID + " " + string(r.Outcome) }

// replay sends what the client missed. A single position resumes all
// partitions by the time the log took that record: on its own partition
// nothing is repeated, on the others records of about that time may be.
func (h *Hub) replay(s *subscriber, to sink) (seen, error) {
	done := seen{offsets: map[int32]int64{}, runs: map[string]bool{}}
	q := s.sel.query
	q.Since, q.Limit = s.sel.since, h.config.QueueLength
	if after := s.sel.after; after != nil {
		t := h.timeOf(*after)
		if t.IsZero() {
			return done, to.note("the log does not hold " + after.String() + ": going on from now")
		}
		q.Since = t
		done.offsets[after.Partition] = after.Offset
	}
	if q.Since.IsZero() {
		return done, nil
	}
	for {
		messages, next, err := h.past(s.sel.stream, q)
		if err != nil {
			to.close("what was missed cannot be read: " + problem.Of(err).Title)
			return done, err
		}
		for _, m := range messages {
			if err := h.catchUp(s, to, &done, m); err != nil {
				return done, err
			}
		}
		if q.Cursor = next; next == "" {
			return done, nil
		}
	}
}

// catchUp sends one message of the past, unless the stream is over.
func (h *Hub) catchUp(s *subscriber, to sink, done *seen, m *message) error {
	select {
	case <-s.ended:
		to.close(s.reason)
		return errGone
	case <-to.gone():
		return errGone
	default:
	}
	if done.has(m) || !s.sel.wants(m) {
		return nil
	}
	done.add(m)
	return to.message(m)
}

// timeOf is when the log took a record; zero when it no longer has it, and
// then there is nothing to resume from but the present.
func (h *Hub) timeOf(p event.Position) time.Time {
	ctx, cancel := context.WithTimeout(context.Background(), h.config.StartTimeout)
	defer cancel()
	r, err := h.deps.History.Record(ctx, p)
	if err != nil {
		return time.Time{}
	}
	return r.Timestamp
}

func (h *Hub) past(stream string, q history.Query) ([]*message, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), h.config.StartTimeout)
	defer cancel()
	switch stream {
	case streamRuns:
		p, err := h.deps.History.Runs(ctx, q)
		return runMessages(p.Items), p.Next, err
	case streamLogs:
		p, err := h.deps.History.Lines(ctx, q)
		return lineMessages(p.Items), p.Next, err
	}
	p, err := h.deps.History.Events(ctx, q)
	return eventMessages(p.Items), p.Next, err
}
