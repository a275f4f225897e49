package subscribe

import (
	"net"
	"runtime/debug"

	"github.com/fasthttp/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// Route is where the live stream is.
const Route = "/subscribe"

// Get begins a stream: a WebSocket when the client asks for the upgrade, else
// Server-Sent Events.
func (h *Hub) Get(c *fiber.Ctx) error {
	sel, err := h.parse(c)
	if err != nil {
		return err
	}
	if err := h.full(); err != nil {
		return err
	}
	ctx := c.Context()
	if websocket.FastHTTPIsWebSocketUpgrade(ctx) {
		return h.upgrade(ctx, sel)
	}
	if c.Method() == fiber.MethodHead {
		c.Set(fiber.HeaderContentType, "text/event-stream")
		return nil
	}
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(conn net.Conn) {
		defer h.caught()
		s := newSSE(conn, h.config.WriteTimeout)
		defer s.done()
		h.serve(sel, s)
	})
	return nil
}

// upgrade answers the handshake. A browser may open a socket from its own
// origin only: without that check any page could read along.
func (h *Hub) upgrade(ctx *fasthttp.RequestCtx, sel *selection) error {
	var refused error
	u := websocket.FastHTTPUpgrader{
		HandshakeTimeout: h.config.WriteTimeout,
		Error: func(ctx *fasthttp.RequestCtx, status int, reason error) {
			refused = handshakeProblem(status, reason)
		},
	}
	err := u.Upgrade(ctx, func(conn *websocket.Conn) {
		defer h.caught()
		s := newSocket(conn, h.config.WriteTimeout)
		defer s.done()
		h.serve(sel, s)
	})
	if refused != nil {
		return refused
	}
	return err
}

func handshakeProblem(status int, reason error) error {
	if status == fiber.StatusForbidden {
		return problem.New(problem.Forbidden, "the Origin is not this server's")
	}
	return problem.New(problem.MalformedRequest, "%v", reason)
}

// caught keeps a bug in one stream from ending the process; the HTTP server
// does not watch over connections it gave away.
func (h *Hub) caught() {
	if r := recover(); r != nil {
		h.deps.Logger.Error("panic in a live stream", "panic", r, "stack", string(debug.Stack()))
	}
}
