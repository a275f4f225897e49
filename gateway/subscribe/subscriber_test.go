package subscribe

import (
	"bytes"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
)

func sized(n int) *message {
	return &message{record: &event.Record{Event: &event.Event{}}, text: bytes.Repeat([]byte{'x'}, n)}
}

func over(s *subscriber) bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

func TestSubscriberIsCutOffWhenItsQueueIsFull(t *testing.T) {
	for name, c := range map[string]struct {
		length, bytes, size int
		// fits is how many messages wait before one is too many.
		fits int
	}{
		"by length":                      {3, 1000, 1, 3},
		"by bytes":                       {100, 1000, 300, 3},
		"one message is always taken":    {100, 10, 300, 1},
		"exactly as many bytes as allow": {100, 900, 300, 3},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSubscriber(&selection{}, Config{QueueLength: c.length, QueueBytes: c.bytes})
			for i := range c.fits {
				if s.offer(sized(c.size)); over(s) {
					t.Fatalf("cut off at message %d", i)
				}
			}
			if s.offer(sized(c.size)); !over(s) || s.reason != reasonSlow {
				t.Errorf("not cut off: %q", s.reason)
			}
		})
	}
}

func TestTakenMessagesMakeRoom(t *testing.T) {
	s := newSubscriber(&selection{}, Config{QueueLength: 2, QueueBytes: 1000})
	for range 100 {
		s.offer(sized(600))
		s.taken(<-s.queue)
	}
	if over(s) {
		t.Error("cut off with an empty queue")
	}
}

func TestPlacesAreBounded(t *testing.T) {
	h := New(Config{MaxSubscribers: 2}, Deps{})
	for range 2 {
		if err := h.enter(); err != nil {
			t.Fatal(err)
		}
	}
	if h.enter() == nil || h.full() == nil {
		t.Error("a third came in")
	}
	h.leave()
	if err := h.full(); err != nil {
		t.Error(err)
	}
	if err := h.enter(); err != nil {
		t.Error(err)
	}
}
