package container

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

var (
	// errNotSent: no connection was to be had, so the container got nothing.
	errNotSent = errors.New("the container accepts no connection")
	// errNoAnswer: the connection ended before the first byte of an answer.
	errNoAnswer = errors.New("the container ended the connection without an answer")
	errReset    = errors.New("the connection was reset in the middle of the answer")
)

const (
	// dialTimeout bounds a connection to loopback.
	dialTimeout = 5 * time.Second
	// idleAtMost is how long a connection may be idle and be used again: less than
	// the five seconds after which Node.js closes its own.
	idleAtMost = 4 * time.Second
	// lookAfter is how long one must have been idle to be looked at before it is used.
	lookAfter = 200 * time.Millisecond
	// maxAnswer bounds an answer's body.
	maxAnswer = 64 << 20
)

// upstream is the connections to one container.
type upstream struct {
	addr string

	mu sync.Mutex
	// idle ones were put back; the last one is the youngest.
	idle   []*conn
	open   map[*conn]struct{}
	closed bool
}

func newUpstream(addr string) *upstream { return &upstream{addr: addr, open: map[*conn]struct{}{}} }

// conn is a connection to a container; one call at a time has it.
type conn struct {
	net.Conn
	u    *upstream
	raw  syscall.RawConn
	r    *bufio.Reader
	w    *bufio.Writer
	used time.Time
}

// Read implements net.Conn. fasthttp takes a reset for the end of a body; this is no reset to it.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && errors.Is(err, syscall.ECONNRESET) {
		err = errReset
	}
	return n, err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.u.mu.Lock()
	delete(c.u.open, c)
	c.u.mu.Unlock()
	return c.Conn.Close()
}

// gone reports whether the other side has closed a connection, or sent what
// nobody asked for.
func gone(raw syscall.RawConn, strict bool) bool {
	is := false
	err := raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		case err != nil, n == 0:
			is = true
		default:
			is = strict
		}
	})
	return is || err != nil
}

// get returns a connection, an idle one if there is one that is still good.
func (u *upstream) get() (*conn, error) {
	now := time.Now()
	for {
		u.mu.Lock()
		n := len(u.idle)
		if n == 0 {
			u.mu.Unlock()
			break
		}
		c := u.idle[n-1]
		u.idle = u.idle[:n-1]
		u.mu.Unlock()
		idle := now.Sub(c.used)
		if idle < lookAfter || idle < idleAtMost && !gone(c.raw, true) {
			return c, nil
		}
		c.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	nc, err := u.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotSent, err)
	}
	c := &conn{Conn: nc, u: u}
	c.raw, err = nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("%w: %w", errNotSent, err)
	}
	c.r, c.w = bufio.NewReaderSize(c, 16<<10), bufio.NewWriterSize(nc, 4<<10)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		nc.Close()
		return nil, fmt.Errorf("%w: it has ended", errNotSent)
	}
	u.open[c] = struct{}{}
	return c, nil
}

func (u *upstream) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", u.addr)
}

// put keeps a connection for the next call.
func (u *upstream) put(c *conn) {
	c.used = time.Now()
	u.mu.Lock()
	if !u.closed {
		u.idle = append(u.idle, c)
		u.mu.Unlock()
		return
	}
	u.mu.Unlock()
	c.Close()
}

// close ends all connections, and calls with them.
func (u *upstream) close() {
	u.mu.Lock()
	u.closed = true
	open := u.open
	u.open, u.idle = map[*conn]struct{}{}, nil
	u.mu.Unlock()
	for c := range open {
		c.Conn.Close()
	}
}

// call sends req and reads its answer. of has the connection in between, so that
// it can be cut.
func (u *upstream) call(req *fasthttp.Request, resp *fasthttp.Response, of *call) error {
	c, err := u.get()
	if err != nil {
		return err
	}
	of.bind(c)
	err = c.exchange(req, resp)
	of.bind(nil)
	if err != nil || resp.Header.ConnectionClose() {
		c.Close()
		return err
	}
	u.put(c)
	return nil
}

func (c *conn) exchange(req *fasthttp.Request, resp *fasthttp.Response) error {
	err := req.Write(c.w)
	if err == nil {
		err = c.w.Flush()
	}
	if err == nil || !errors.Is(err, net.ErrClosed) { // an answer may stand before the end of a request that was refused
		if _, peeked := c.r.Peek(1); peeked != nil {
			return fmt.Errorf("%w: %w", errNoAnswer, errors.Join(err, peeked))
		}
	}
	if err != nil {
		return err
	}
	resp.SkipBody = req.Header.IsHead()
	if err := resp.ReadLimitBody(c.r, maxAnswer); err != nil {
		return err
	}
	if s := resp.StatusCode(); s/100 == 1 {
		return fmt.Errorf("the container answers with status %d, which is none of an answer", s)
	}
	if c.r.Buffered() > 0 {
		resp.Header.SetConnectionClose() // what comes after an answer is nobody's
	}
	return nil
}
