package gateway

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// aheadBytes is the size of the buffers into which a request's beginning is
// read: most requests fit.
const aheadBytes = 4 << 10

// limits bound the connections of a listener.
type limits struct {
	// connections are how many there may be in all, perAddress how many of one address.
	connections, perAddress int
	// first is how long a new connection has for its first byte, and for its TLS handshake.
	first time.Duration
	// header bounds what is kept of a line that comes in pieces, in bytes.
	header int
}

// listener accepts connections within bounds, and knows those that are open.
// When all places are taken, the connection that has kept us waiting for its
// request the longest makes room; if all are at work, the new one is refused.
type listener struct {
	net.Listener
	// tls is nil where no TLS is spoken.
	tls     *tls.Config
	limits  limits
	log     *slog.Logger
	refused []byte
	buffers sync.Pool
	// handshakes are those of TLS under way.
	handshakes *handshakes

	once   sync.Once
	closed chan struct{}
	err    error

	mu   sync.Mutex
	open map[*conn]struct{}
	// sources counts the connections by their addresses.
	sources map[netip.Addr]int
	// warned is when was last said that a bound was met.
	warned time.Time
}

func newListener(ln net.Listener, config *tls.Config, l limits, log *slog.Logger) *listener {
	out := &listener{
		Listener: ln, tls: config, limits: l, log: log, refused: busyAnswer(),
		handshakes: newHandshakes(), closed: make(chan struct{}), open: map[*conn]struct{}{}, sources: map[netip.Addr]int{},
	}
	out.buffers.New = func() any { b := make([]byte, aheadBytes); return &b }
	return out
}

// busyAnswer is what a connection too many is told.
func busyAnswer() []byte {
	var r fasthttp.Response
	p := problem.New(problem.TooManyConnections, "there is no room for another connection at the moment")
	p.Close = true
	p.WriteResponse(&r)
	r.Header.Set("X-Content-Type-Options", "nosniff")
	return append(r.Header.Header(), r.Body()...)
}

// Accept implements net.Listener. It ends only when the listener is closed: a
// process without free file descriptors waits for some.
func (l *listener) Accept() (net.Conn, error) {
	pause := time.Duration(0)
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if !passing(err) || !l.rest(&pause) {
				return nil, err
			}
			l.warn("connections cannot be accepted at the moment", "error", err)
			continue
		}
		pause = 0
		if wrapped := l.admit(c, time.Now()); wrapped != nil {
			return wrapped, nil
		}
	}
}

// passing reports whether an error of accept is one that time mends.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPROTO, syscall.ENETDOWN} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// rest waits, longer each time; false is that the listener was closed.
func (l *listener) rest(pause *time.Duration) bool {
	*pause = min(max(2**pause, 5*time.Millisecond), time.Second)
	timer := time.NewTimer(*pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.closed:
		return false
	}
}

// admit takes a connection in, or refuses it, which is nil.
func (l *listener) admit(c net.Conn, now time.Time) *conn {
	wrapped := l.wrap(c, now)
	l.mu.Lock()
	ok := l.sources[wrapped.source] < l.limits.perAddress
	if ok && len(l.open) >= l.limits.connections {
		ok = l.makeRoom(now)
	}
	if ok {
		l.open[wrapped] = struct{}{}
		l.sources[wrapped.source]++
	}
	l.mu.Unlock()
	if ok {
		return wrapped
	}
	l.warn("a connection was refused: too many", "address", wrapped.source)
	if l.tls == nil {
		_ = c.SetWriteDeadline(now.Add(time.Second)) // it fits into the socket's buffer
		_, _ = c.Write(l.refused)
	}
	_ = c.Close()
	return nil
}

func (l *listener) wrap(c net.Conn, now time.Time) *conn {
	_ = c.SetReadDeadline(now.Add(l.limits.first))
	wrapped := &conn{Conn: c, owner: l, source: access.Source(c.RemoteAddr())}
	wrapped.since.Store(now.UnixNano())
	wrapped.watch.Limit(l.limits.header)
	if l.tls != nil {
		wrapped.shaking = &shaking{Conn: c, owner: l.handshakes, source: wrapped.source, until: now.Add(l.limits.first)}
		wrapped.Conn = tls.Server(wrapped.shaking, l.tls)
		return wrapped
	}
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			wrapped.raw, wrapped.fill = raw, wrapped.readAhead
		}
	}
	return wrapped
}

// What is looked at to make room, and how long a connection must have kept us
// waiting to be closed for another.
const (
	roomSample = 64
	roomWait   = time.Second
)

// makeRoom closes the connection that has waited longest of some. It is called
// with the lock held.
func (l *listener) makeRoom(now time.Time) bool {
	var oldest *conn
	seen := 0
	for c := range l.open { // begins anywhere
		if seen++; seen > roomSample {
			break
		}
		if !c.busy.Load() && (oldest == nil || c.since.Load() < oldest.since.Load()) {
			oldest = c
		}
	}
	if oldest == nil || now.UnixNano()-oldest.since.Load() < int64(roomWait) {
		return false
	}
	l.forgetLocked(oldest)
	closeNow(oldest.Conn)
	return true
}

// closeNow closes without the goodbye of TLS, which could block.
func closeNow(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	_ = c.Close()
}

func (l *listener) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgetLocked(c)
}

func (l *listener) forgetLocked(c *conn) {
	if _, ok := l.open[c]; !ok {
		return
	}
	delete(l.open, c)
	if l.sources[c.source]--; l.sources[c.source] == 0 {
		delete(l.sources, c.source)
	}
}

// warn says at most once a minute that a bound was met.
func (l *listener) warn(message string, args ...any) {
	l.mu.Lock()
	now := time.Now()
	silent := now.Sub(l.warned) < time.Minute
	if !silent {
		l.warned = now
	}
	n := len(l.open)
	l.mu.Unlock()
	if !silent {
		l.log.Warn(message, append(args, "open", n)...)
	}
}

// Close implements net.Listener; closing again is no error.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.err = l.Listener.Close()
	})
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
		closeNow(c.Conn)
	}
}
