package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/gateway/wire"
)

// What a refused sender may still send before the connection is closed.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 64 << 20
)

// conn is an accepted connection: Conn is a *tls.Conn where TLS is spoken. What
// comes in is seen by a watch before the HTTP server gets it.
//
// While it waits for a request it holds no buffer: fasthttp then reads one byte
// (ReduceMemoryUsage), and that read waits for the socket to be readable and only
// then takes a buffer from a pool, which is given back when it is empty.
type conn struct {
	net.Conn
	access.Peer
	owner *listener
	// source is what connections are counted by.
	source netip.Addr
	// raw is the socket, where no TLS is spoken; fill is readAhead, bound once.
	raw  syscall.RawConn
	fill func(fd uintptr) bool
	// shaking is below the TLS until its handshake is over; nil then, and without TLS.
	shaking *shaking

	watch wire.Watch
	fault *wire.Fault
	// unwatched: what comes is no HTTP any more.
	unwatched bool
	// ahead is what was read and not asked for yet, at where in it; failed is what
	// the read met after that.
	ahead  *[]byte
	at     window
	failed error

	linger atomic.Bool
	// used is set once the client has sent something.
	used atomic.Bool
	// busy: its request is being answered, or it carries a live stream. Else since
	// is when the wait for its request began, in Unix nanoseconds.
	busy  atomic.Bool
	since atomic.Int64
	// requestID is that of the request being answered, host the last Host that was ours.
	requestID, host []byte
}

// Read implements net.Conn. It gives the bytes of one request at a time: fasthttp
// loses the answer to a request when it has read the beginning of the next one
// already (ReduceMemoryUsage).
func (c *conn) Read(b []byte) (int, error) {
	if c.ahead == nil {
		if c.fault != nil {
			return 0, c.fault
		}
		if len(b) > 1 || c.raw == nil {
			return c.read(b)
		}
		c.failed = nil
		if err := c.raw.Read(c.fill); err != nil {
			return 0, err
		}
	}
	return c.take(b)
}

// read reads into the server's buffer.
func (c *conn) read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.shaking != nil {
		c.shaking.done()
		c.shaking = nil
	}
	if n > 0 {
		c.used.Store(true)
	}
	if c.unwatched || n == 0 {
		return n, err
	}
	seen, f := c.watch.See(b[:n])
	switch {
	case f != nil:
		if c.fault = f; seen == 0 {
			return 0, f
		}
	case seen < n: // the next request, which its sender did not wait with
		rest := append([]byte(nil), b[seen:n]...)
		c.ahead, c.at, c.failed = &rest, window{end: len(rest)}, err
		return seen, nil
	}
	return seen, err
}

// window is a part of a buffer: what is given out begins at next, what may be
// at seen, and all of it ends at end.
type window struct{ next, seen, end int }

// readAhead reads what the socket has into a buffer of the pool; false is nothing yet.
func (c *conn) readAhead(fd uintptr) bool {
	buffer := c.owner.buffers.Get().(*[]byte)
	n, err := syscall.Read(int(fd), *buffer)
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), *buffer)
	}
	if err == syscall.EAGAIN {
		c.owner.buffers.Put(buffer)
		return false
	}
	if n <= 0 && err == nil {
		err = io.EOF
	}
	if n > 0 {
		c.used.Store(true)
	}
	c.ahead, c.at, c.failed = buffer, window{end: max(n, 0)}, err
	return true
}

// take hands out what was read ahead, as far as the end of a request.
func (c *conn) take(b []byte) (int, error) {
	all := (*c.ahead)[:c.at.end]
	if c.at.next == c.at.seen && c.fault == nil {
		c.look(all)
	}
	n := copy(b, all[c.at.next:c.at.seen])
	c.at.next += n
	switch {
	case n == 0 && c.fault != nil:
		c.giveBack()
		return 0, c.fault
	case c.at.next == c.at.end:
		c.giveBack()
		if n == 0 {
			return 0, c.failed
		}
	}
	return n, nil
}

// look sees what was read ahead and not seen yet.
func (c *conn) look(all []byte) {
	if c.unwatched {
		c.at.seen = len(all)
		return
	}
	n, f := c.watch.See(all[c.at.seen:])
	c.at.seen += n
	c.fault = f
}

func (c *conn) giveBack() {
	if cap(*c.ahead) == aheadBytes {
		c.owner.buffers.Put(c.ahead)
	}
	c.ahead = nil
}

// begin says that a request is being answered, end that another is waited for.
func (c *conn) begin() { c.busy.Store(true) }

func (c *conn) end(now time.Time) {
	c.since.Store(now.UnixNano())
	c.busy.Store(false)
}

// Close implements net.Conn. A connection that is closed while its client is
// still sending is reset, and the client may lose the answer (a 413, say)
// before it reads it; so such a one is half-closed and drained first, within bounds.
func (c *conn) Close() error {
	if c.linger.Load() {
		if half, ok := c.Conn.(halfCloser); ok && half.CloseWrite() == nil {
			_ = c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
			_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
		}
	}
	c.owner.forget(c)
	return c.Conn.Close()
}

// halfCloser is a TCP or TLS connection.
type halfCloser interface{ CloseWrite() error }

// ClientCertificate is the client's, verified; nil is none. It is there once
// something was read.
func (c *conn) ClientCertificate() *x509.Certificate {
	t, ok := c.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	state := t.ConnectionState()
	if len(state.VerifiedChains) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}
