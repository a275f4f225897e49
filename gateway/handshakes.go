package gateway

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// handshakes bounds what TLS handshakes take of the processor to half of the cores,
// so that strangers who begin many of them leave the others for what is connected
// already. A turn is taken only while something is computed, never while a client
// is waited for. Those who wait are served in the order of their addresses, one of
// each after the other: who begins a thousand waits for himself. What waits is
// bounded by the connections there may be.
type handshakes struct {
	slots int

	mu      sync.Mutex
	running int
	// waiting are those of an address in their order; turns are the addresses in theirs.
	waiting map[netip.Addr][]*waiter
	turns   []netip.Addr
}

// waiter is one handshake that waits; turn is closed when it may go on.
type waiter struct {
	turn chan struct{}
	gone bool
}

func newHandshakes() *handshakes {
	return &handshakes{slots: max(1, runtime.GOMAXPROCS(0)/2), waiting: map[netip.Addr][]*waiter{}}
}

// enter waits for a turn, which leave ends; false is that none came in time.
func (h *handshakes) enter(source netip.Addr, until time.Time) bool {
	w := h.queue(source)
	if w == nil {
		return true
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-w.turn:
		return true
	case <-timer.C:
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-w.turn: // it came at the same moment
		return true
	default:
		w.gone = true
		return false
	}
}

// queue takes a turn if there is one, which is nil, else a place in the queue.
func (h *handshakes) queue(source netip.Addr) *waiter {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running < h.slots {
		h.running++
		return nil
	}
	w := &waiter{turn: make(chan struct{})}
	if len(h.waiting[source]) == 0 {
		h.turns = append(h.turns, source)
	}
	h.waiting[source] = append(h.waiting[source], w)
	return w
}

// leave passes the turn on.
func (h *handshakes) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.turns) > 0 {
		if w := h.next(); !w.gone {
			close(w.turn)
			return
		}
	}
	h.running--
}

// next is the first of the address whose turn it is.
func (h *handshakes) next() *waiter {
	source := h.turns[0]
	h.turns = h.turns[1:]
	all := h.waiting[source]
	if len(all) == 1 {
		delete(h.waiting, source)
	} else {
		h.waiting[source] = all[1:]
		h.turns = append(h.turns, source)
	}
	return all[0]
}

// shaking is a connection below TLS. Until the handshake is over, what comes of a
// read is worked on in a turn, up to the next read.
type shaking struct {
	net.Conn
	owner  *handshakes
	source netip.Addr
	until  time.Time

	over atomic.Bool
	held atomic.Bool
}

// Read implements net.Conn.
func (s *shaking) Read(b []byte) (int, error) {
	if s.over.Load() {
		return s.Conn.Read(b)
	}
	s.rest()
	n, err := s.Conn.Read(b)
	if n == 0 || err != nil {
		return n, err
	}
	if !s.owner.enter(s.source, s.until) {
		return 0, os.ErrDeadlineExceeded
	}
	s.held.Store(true)
	return n, nil
}

// rest ends the turn, if there is one.
func (s *shaking) rest() {
	if s.held.CompareAndSwap(true, false) {
		s.owner.leave()
	}
}

// done says that the handshake is over, one way or the other.
func (s *shaking) done() {
	s.over.Store(true)
	s.rest()
}

// Close implements net.Conn.
func (s *shaking) Close() error {
	s.rest()
	return s.Conn.Close()
}
