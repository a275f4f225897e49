package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/gateway/access"
)

// What a refused sender may still send before the connection is closed.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 64 << 20
)

// listener hands out connections that can linger, and knows those that are
// open: fasthttp's shutdown waits for them but does not close them.
type listener struct {
	net.Listener
	once sync.Once
	err  error
	mu   sync.Mutex
	open map[*conn]struct{}
}

func newListener(ln net.Listener) *listener {
	return &listener{Listener: ln, open: map[*conn]struct{}{}}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	wrapped := &conn{Conn: c, owner: l}
	l.mu.Lock()
	l.open[wrapped] = struct{}{}
	l.mu.Unlock()
	return wrapped, nil
}

// Close implements net.Listener; closing again is no error.
func (l *listener) Close() error {
	l.once.Do(func() { l.err = l.Listener.Close() })
	return l.err
}

// closeUnused ends connections on which nothing has come yet: fasthttp takes
// them for busy, and clients keep such ones in store.
func (l *listener) closeUnused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		if !c.used.Load() {
			c.Conn.Close()
		}
	}
}

// closeAll ends what is still open.
func (l *listener) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		c.Conn.Close()
	}
}

// conn is an accepted connection: Conn is a *tls.Conn where TLS is spoken.
type conn struct {
	net.Conn
	access.Peer
	owner  *listener
	linger atomic.Bool
	// used is set once the client has sent something.
	used atomic.Bool
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.used.Load() {
		c.used.Store(true)
	}
	return n, err
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
	c.owner.mu.Lock()
	delete(c.owner.open, c)
	c.owner.mu.Unlock()
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
