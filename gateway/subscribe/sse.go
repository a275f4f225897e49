package subscribe

import (
	"bufio"
	"io"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// sse writes Server-Sent Events (HTML standard, section 9.2) on a connection
// taken over from the HTTP server: its own write timeout is for whole answers,
// and it would not notice a client that hangs up.
type sse struct {
	conn    net.Conn
	w       *bufio.Writer
	timeout time.Duration
	hungUp  chan struct{}
	watch   sync.WaitGroup
}

// headHeaders begin every stream. It is delimited by the end of the connection.
const headHeaders = "HTTP/1.1 200 OK\r\n" +
	"Content-Type: text/event-stream\r\n" +
	"Cache-Control: no-store\r\n" +
	"X-Accel-Buffering: no\r\n" +
	"X-Content-Type-Options: nosniff\r\n" +
	"Connection: close\r\n\r\n"

func newSSE(conn net.Conn, timeout time.Duration) *sse {
	s := &sse{conn: conn, w: bufio.NewWriterSize(conn, 16<<10), timeout: timeout, hungUp: make(chan struct{})}
	s.watch.Go(func() {
		defer close(s.hungUp)
		_, _ = io.Copy(io.Discard, conn) // ends when the client hangs up, or by done
	})
	return s
}

// done wakes the watcher and waits for it. The HTTP server closes a connection
// it gave away when the handler is back, and not before.
func (s *sse) done() {
	_ = s.conn.SetReadDeadline(time.Now())
	s.watch.Wait()
}

func (s *sse) gone() <-chan struct{} { return s.hungUp }

func (s *sse) refuse(p *problem.Problem) {
	var r fasthttp.Response
	p.Close = true
	p.WriteResponse(&r)
	r.Header.Set("X-Content-Type-Options", "nosniff")
	s.deadline()
	if _, err := r.WriteTo(s.w); err == nil {
		_ = s.w.Flush()
	}
}

func (s *sse) open() error {
	s.deadline()
	_, _ = s.w.WriteString(headHeaders)
	_, _ = s.w.WriteString(": signalbox\n\n") // makes proxies pass the headers on
	return s.w.Flush()
}

// message writes one event; a write error sticks to the writer and comes out of Flush.
func (s *sse) message(m *message) error {
	s.deadline()
	_, _ = s.w.WriteString("id: ")
	_, _ = s.w.WriteString(m.id())
	_, _ = s.w.WriteString("\nevent: message\ndata: ")
	_, _ = s.w.Write(m.json())
	_, _ = s.w.WriteString("\n\n")
	return s.w.Flush()
}

func (s *sse) heartbeat() error { return s.note("alive") }

func (s *sse) close(reason string) { _ = s.note(reason) }

func (s *sse) note(text string) error {
	s.deadline()
	_, _ = s.w.WriteString(": " + text + "\n\n")
	return s.w.Flush()
}

func (s *sse) deadline() { _ = s.conn.SetWriteDeadline(time.Now().Add(s.timeout)) }
