package gateway

import (
	"runtime/debug"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/gateway/problem"
)

var (
	headerNoSniff = []byte("X-Content-Type-Options")
	valueNoSniff  = []byte("nosniff")
)

// serve is what every well-delimited request goes through: the checks the HTTP
// server leaves out, then fiber's routes; a panic is a 500.
func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	defer s.caught(ctx)
	ctx.Response.Header.SetCanonical(headerNoSniff, valueNoSniff)
	if p := wellFormed(&ctx.Request.Header); p != nil {
		p.Close = true // what follows on the connection cannot be trusted either
		s.linger(ctx)
		s.answer(ctx, p)
		return
	}
	s.next(ctx)
}

func (s *Server) caught(ctx *fasthttp.RequestCtx) {
	r := recover()
	if r == nil {
		return
	}
	s.deps.Logger.Error("panic while answering a request; this is a bug", "panic", r,
		"method", string(ctx.Method()), "path", string(ctx.Path()), "stack", string(debug.Stack()))
	ctx.Response.Reset()
	ctx.Response.Header.SetCanonical(headerNoSniff, valueNoSniff)
	p := problem.New(problem.Internal, "")
	p.Close = true
	p.Write(ctx)
}

// fail is fiber's error handler, for handlers' errors and for requests that
// never reached one (too large, too slow, malformed).
func (s *Server) fail(c *fiber.Ctx, err error) error {
	ctx := c.Context()
	ctx.Response.Header.SetCanonical(headerNoSniff, valueNoSniff)
	p := problem.Of(err)
	if _, early := err.(*fiber.Error); early && p.Kind != problem.NotFound && p.Kind != problem.MethodNotAllowed {
		s.linger(ctx)
		s.count(p)
	}
	if p.Kind == problem.Internal {
		s.deps.Logger.Error("a request failed in a way nobody foresaw; this is a bug", "error", err,
			"method", string(ctx.Method()), "path", string(ctx.Path()))
	}
	p.Write(ctx)
	return nil
}

// answer writes a problem found before any handler.
func (s *Server) answer(ctx *fasthttp.RequestCtx, p *problem.Problem) {
	s.count(p)
	p.Write(ctx)
}

// count counts what was refused before package ingest could.
func (s *Server) count(p *problem.Problem) {
	if s.deps.Metrics != nil {
		s.deps.Metrics.Refused(p.Kind.Slug(), 0)
	}
}

// linger lets the client finish sending, so that it gets to read the answer.
func (s *Server) linger(ctx *fasthttp.RequestCtx) {
	if c, ok := ctx.Conn().(*conn); ok {
		c.linger.Store(true)
	}
}
