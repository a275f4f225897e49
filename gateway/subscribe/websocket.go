package subscribe

import (
	"sync"
	"time"

	"github.com/fasthttp/websocket"

	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// socket is a WebSocket; each message is one text message. What the client
// says is not looked at.
type socket struct {
	conn    *websocket.Conn
	timeout time.Duration
	hungUp  chan struct{}
	watch   sync.WaitGroup
}

// readLimit bounds a client's message, which nobody reads.
const readLimit = 4 << 10

func newSocket(conn *websocket.Conn, timeout time.Duration) *socket {
	s := &socket{conn: conn, timeout: timeout, hungUp: make(chan struct{})}
	conn.SetReadLimit(readLimit)
	s.watch.Go(func() {
		defer close(s.hungUp)
		for { // answers pings and closes too
			if _, _, err := conn.NextReader(); err != nil {
				return
			}
		}
	})
	return s
}

// done wakes the watcher and waits for it; see sse.done.
func (s *socket) done() {
	_ = s.conn.SetReadDeadline(time.Now())
	s.watch.Wait()
}

func (s *socket) gone() <-chan struct{} { return s.hungUp }

func (s *socket) refuse(p *problem.Problem) { s.close(p.Error()) }

func (s *socket) open() error { return nil }

func (s *socket) message(m *message) error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.timeout))
	return s.conn.WriteMessage(websocket.TextMessage, m.json())
}

func (s *socket) heartbeat() error {
	return s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(s.timeout))
}

func (s *socket) note(string) error { return nil }

// close sends status 1013 (try again later) with the reason, of which a close
// frame holds 123 bytes.
func (s *socket) close(reason string) {
	frame := websocket.FormatCloseMessage(websocket.CloseTryAgainLater, reason[:min(len(reason), 123)])
	_ = s.conn.WriteControl(websocket.CloseMessage, frame, time.Now().Add(s.timeout))
}
