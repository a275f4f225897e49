package verify

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// answer is what a function answers when nothing is broken.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// breaker sends one answer, or breaks it in the way of one fault. The wire is
// what counts: connections are taken over from the HTTP server and cut there.
type breaker struct {
	w      http.ResponseWriter
	r      *http.Request
	answer answer
	// variant picks among the shapes of a fault.
	variant uint64
	// timeout is how long the caller waits for an answer.
	timeout time.Duration
}

// errHungUp: the caller went away before the answer was sent.
var errHungUp = errors.New("the caller hung up")

// succeed sends the answer; nil means that all of it was handed to the network
// while the caller was still there. A slow one pauses in the middle for up to
// half the caller's timeout.
func (b *breaker) succeed(slow bool) error {
	h := b.w.Header()
	for name, values := range b.answer.header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	h.Set("Content-Length", strconv.Itoa(len(b.answer.body)))
	b.w.WriteHeader(b.answer.status)
	body := b.answer.body
	if slow {
		half := len(body) / 2
		if err := b.send(body[:half]); err != nil {
			return err
		}
		pause := b.timeout/10 + time.Duration(b.variant%uint64(b.timeout*2/5))
		if !b.wait(pause) {
			return errHungUp
		}
		body = body[half:]
	}
	if b.r.Context().Err() != nil {
		return errHungUp
	}
	return b.send(body)
}

func (b *breaker) send(p []byte) error {
	if _, err := b.w.Write(p); err != nil {
		return err
	}
	return http.NewResponseController(b.w).Flush()
}

// wait is false when the caller hung up first.
func (b *breaker) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-b.r.Context().Done():
		return false
	}
}

// fail ends the call in the way of a fault (not FaultSlow).
func (b *breaker) fail(f Fault) {
	switch f {
	case Fault5xx:
		codes := []int{500, 502, 503, 504}
		http.Error(b.w, "out of order, as planned", codes[b.variant%4])
	case Fault429:
		if b.variant%4 == 0 {
			b.w.Header().Set("Retry-After", "1")
		}
		http.Error(b.w, "too many requests, as planned", http.StatusTooManyRequests)
	case FaultTimeout:
		b.wait(2 * b.timeout)
		b.hangUp(true, nil)
	case FaultCut:
		b.hangUp(b.variant%2 == 0, b.half())
	default:
		b.hangUp(true, nil)
	}
}

// half is the head of the answer with the first half of its body.
func (b *breaker) half() []byte {
	out := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\n", b.answer.status, http.StatusText(b.answer.status), len(b.answer.body))
	for name, values := range b.answer.header {
		for _, v := range values {
			out = fmt.Appendf(out, "%s: %s\r\n", name, v)
		}
	}
	out = append(out, "\r\n"...)
	return append(out, b.answer.body[:len(b.answer.body)/2]...)
}

// hangUp takes the connection, writes what is to be written of an answer, and
// closes it: with a reset, or as if that were the end.
func (b *breaker) hangUp(reset bool, first []byte) {
	conn, _, err := http.NewResponseController(b.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // no connection to take: the server cuts it
	}
	defer conn.Close()
	if len(first) > 0 {
		if _, err := conn.Write(first); err != nil {
			return // the caller was faster
		}
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0) // close sends a reset instead of an end; best effort
	}
}
