package dispatcher

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// errStale means that nothing was sent, because the other side had closed the
// connection, or left it in a state that is no longer ours.
var errStale = errors.New("the kept connection is no longer usable")

// staleAfter is how long a connection must have been idle to be looked at
// before it is used again. Servers close idle connections after seconds.
const staleAfter = 500 * time.Millisecond

// conn is a connection to a function. It guards against what fasthttp does not:
// a request on a connection that the server has closed already, a reset that
// counts as the end of a body, and the rest of an answer after a 1xx.
type conn struct {
	net.Conn
	set *connSet
	raw syscall.RawConn // nil: cannot be looked at
	// asked is set from a request's first byte until its answer's; spoilt when
	// the connection must not be used for another request.
	asked   bool
	spoilt  bool
	lastUse time.Time
}

// Handshake tells fasthttp that TLS is none of its business.
func (c *conn) Handshake() error { return nil }

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	if !c.asked {
		if c.spoilt || (c.raw != nil && time.Since(c.lastUse) > staleAfter && c.readable()) {
			return 0, errStale
		}
		c.asked = true
	}
	return c.Conn.Write(b)
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.asked && n > 0 {
		c.asked = false
		c.spoilt = interim(b[:n])
	}
	c.lastUse = time.Now()
	if err != nil && errors.Is(err, syscall.ECONNRESET) {
		err = errReset
	}
	return n, err
}

// interim reports whether an answer is 1xx (but not 100, which fasthttp
// skips): the real answer would follow it, and be taken for the next request's.
func interim(b []byte) bool {
	return len(b) >= 12 && b[8] == ' ' && b[9] == '1' && string(b[9:12]) != "100"
}

// readable reports whether there is something to read, which between an answer
// and a request can only be the end, or what nobody asked for.
func (c *conn) readable() bool {
	is := false
	err := c.raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		is = !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
		return true
	})
	return is || err != nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.set.remove(c)
	return c.Conn.Close()
}

// connSet holds every open connection, so that calls in flight can be cut off.
type connSet struct {
	mu     sync.Mutex
	open   map[*conn]struct{}
	closed bool
}

func (s *connSet) add(nc net.Conn) (*conn, error) {
	c := &conn{Conn: nc, set: s, lastUse: time.Now()}
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if sc, ok := nc.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.Join(net.ErrClosed, nc.Close())
	}
	if s.open == nil {
		s.open = map[*conn]struct{}{}
	}
	s.open[c] = struct{}{}
	return c, nil
}

func (s *connSet) remove(c *conn) {
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
}

// closeAll closes every connection, and those to come.
func (s *connSet) closeAll() {
	s.mu.Lock()
	s.closed = true
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for c := range open {
		c.Conn.Close()
	}
}

// rooted is config with the authorities of all functions as they are now, where it
// has none of its own.
func (d *Dispatcher) rooted(config *tls.Config) *tls.Config {
	if config.RootCAs != nil || d.parts.Roots == nil {
		return config
	}
	now := config.Clone()
	now.RootCAs = d.parts.Roots()
	return now
}

// dial opens a connection within timeout, TLS handshake included.
func (d *Dispatcher) dial(dial Dial, addr string, tlsConfig *tls.Config, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.life, min(timeout, d.cfg.ConnectTimeout))
	defer cancel()
	nc, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if tlsConfig != nil {
		t := tls.Client(nc, d.rooted(tlsConfig))
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, nc.Close())
		}
		nc = t
	}
	c, err := d.conns.add(nc)
	if err != nil {
		return nil, err
	}
	return c, nil
}
