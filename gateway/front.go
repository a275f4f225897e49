package gateway

import (
	"bytes"
	"runtime/debug"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// serve is what every well-delimited request goes through: what is asked of
// browsers and of the Host, then fiber's routes; a panic is a 500.
func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	c, _ := ctx.Conn().(*conn)
	if c != nil {
		c.begin()
		s.identifyRequest(&ctx.Request.Header, c)
	}
	s.respond(ctx)
	if c == nil {
		return
	}
	if len(c.requestID) > 0 {
		ctx.Response.Header.SetCanonical(headerRequestID, c.requestID)
	}
	if ctx.Hijacked() {
		c.unwatched = true // it stays busy: its place is one of the live streams'
		return
	}
	c.end(ctx.Time())
}

func (s *Server) respond(ctx *fasthttp.RequestCtx) {
	defer s.caught(ctx)
	ctx.Response.Header.SetCanonical(headerNoSniff, valueNoSniff)
	h := &ctx.Request.Header
	if p := s.strange(ctx); p != nil {
		s.answer(ctx, p)
		s.secure(ctx)
		return
	}
	switch {
	case s.preflight(ctx):
	case len(h.RequestURI()) == 1 && h.RequestURI()[0] == '*': // OPTIONS alone comes so
		ctx.Response.Header.Set(fiber.HeaderAllow, everyMethod)
		ctx.SetStatusCode(fasthttp.StatusNoContent)
	default:
		if !routable(h.Method()) {
			h.SetMethod(fasthttp.MethodTrace) // which no route takes: fiber says which methods they do take
		}
		s.next(ctx)
	}
	s.secure(ctx)
}

// strange refuses what a browser was brought to send, or what came under a
// name that is not ours.
func (s *Server) strange(ctx *fasthttp.RequestCtx) *problem.Problem {
	if p := s.misdirected(ctx); p != nil {
		return p
	}
	return s.crossSite(&ctx.Request.Header)
}

// everyMethod is what the server as a whole takes.
const everyMethod = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

// routable: those fiber can have routes for; it answers others in plain text.
func routable(b []byte) bool {
	switch string(b) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH":
		return true
	}
	return false
}

func (s *Server) caught(ctx *fasthttp.RequestCtx) {
	r := recover()
	if r == nil {
		return
	}
	s.deps.Logger.Error("panic while answering a request; this is a bug", "panic", r,
		"method", string(ctx.Method()), "path", string(ctx.Path()), "request", requestID(ctx), "stack", string(debug.Stack()))
	ctx.Response.Reset()
	ctx.Response.Header.SetCanonical(headerNoSniff, valueNoSniff)
	p := problem.New(problem.Internal, "")
	p.Close = true
	s.write(ctx, p)
}

// fail is fiber's error handler, for handlers' errors and for requests that
// never reached one (too large, too slow, malformed).
func (s *Server) fail(c *fiber.Ctx, err error) error {
	ctx := c.Context()
	ctx.Response.Header.SetCanonical(headerNoSniff, valueNoSniff)
	p := problem.Of(err)
	if _, early := err.(*fiber.Error); early && p.Kind != problem.NotFound && p.Kind != problem.MethodNotAllowed {
		p = s.early(ctx, p)
	}
	if p.Kind == problem.Internal {
		s.deps.Logger.Error("a request failed in a way nobody foresaw; this is a bug", "error", err,
			"method", string(ctx.Method()), "path", string(ctx.Path()), "request", requestID(ctx))
	}
	s.write(ctx, p)
	if allow := s.allow[c.Path()]; p.Kind == problem.MethodNotAllowed && allow != "" {
		c.Set(fiber.HeaderAllow, allow)
	}
	return nil
}

// early is the refusal of a request that reached no handler, and after which
// nothing on the connection can be trusted.
func (s *Server) early(ctx *fasthttp.RequestCtx, p *problem.Problem) *problem.Problem {
	if c, ok := ctx.Conn().(*conn); ok {
		c.linger.Store(true) // so that the client gets to read the answer
		c.requestID = c.requestID[:0]
		if c.fault != nil {
			p = problem.New(problem.MalformedRequest, "%s", c.fault.Detail)
		}
	}
	s.count(p)
	p.Close = true
	s.secure(ctx)
	return p
}

// answer writes a problem found before any handler.
func (s *Server) answer(ctx *fasthttp.RequestCtx, p *problem.Problem) {
	s.count(p)
	s.write(ctx, p)
}

// write answers with a problem, which names the request.
func (s *Server) write(ctx *fasthttp.RequestCtx, p *problem.Problem) {
	named := *p
	named.RequestID = requestID(ctx)
	named.Write(ctx)
}

// count counts what was refused before package ingest could.
func (s *Server) count(p *problem.Problem) {
	if s.deps.Metrics != nil {
		s.deps.Metrics.Refused(p.Kind.Slug(), 0)
	}
}

// equalFold compares ASCII without case.
func equalFold(a, b []byte) bool { return len(a) == len(b) && bytes.EqualFold(a, b) }
