package subscribe

import (
	"sync"
	"sync/atomic"
)

// subscriber is one client and the queue of what it has yet to be sent. The
// queue is bounded by length and bytes; when it is full the subscriber is cut
// off, so that the follower never waits.
type subscriber struct {
	sel   *selection
	queue chan *message
	// waiting is the number of bytes in the queue.
	waiting  atomic.Int64
	maxBytes int64

	ended  chan struct{}
	once   sync.Once
	reason string
}

func newSubscriber(sel *selection, c Config) *subscriber {
	return &subscriber{
		sel: sel, queue: make(chan *message, c.QueueLength), maxBytes: int64(c.QueueBytes),
		ended: make(chan struct{}),
	}
}

// offer queues a message, or cuts the subscriber off. It never blocks. One
// message is always taken, however large.
func (s *subscriber) offer(m *message) {
	size := int64(len(m.json()))
	if n := s.waiting.Add(size); n > s.maxBytes && n > size {
		s.end(reasonSlow)
		return
	}
	select {
	case s.queue <- m:
	default:
		s.end(reasonSlow)
	}
}

// taken says that a message has left the queue.
func (s *subscriber) taken(m *message) { s.waiting.Add(-int64(len(m.json()))) }

// The reasons for which a stream ends, as the client is told.
const (
	reasonSlow     = "cut off: too slow, the queue is full; resume with Last-Event-ID or since"
	reasonBroken   = "the log cannot be followed any more; resume with Last-Event-ID or since"
	reasonStopping = "the server is shutting down; resume with Last-Event-ID or since"
)

// end ends the stream; the first reason stands.
func (s *subscriber) end(reason string) {
	s.once.Do(func() {
		s.reason = reason
		close(s.ended)
	})
}
