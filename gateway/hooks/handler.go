package hooks

import (
	"errors"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/gateway/ingest"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/otel/tracing"
)

// Route is where deliveries are posted, as fiber writes it; Template is
// http.route of the span.
const (
	Route    = "/webhooks/:name"
	Template = "/webhooks/{name}"
)

// Handler serves the routes. It is safe for concurrent use.
type Handler struct {
	deps Deps
	told told
}

// New makes a handler.
func New(d Deps) *Handler { return &Handler{deps: d} }

// Post takes one delivery.
func (h *Handler) Post(c *fiber.Ctx) error {
	start := h.deps.Now()
	req := c.Context()
	span := h.deps.Traces.Server(ingest.HopOf(&req.Request.Header), fasthttp.MethodPost, Template)
	name := strings.Clone(c.Params("name"))
	taken, err := h.take(req, name, start, span)
	took := h.deps.Now().Sub(start)
	if err != nil {
		return h.refuse(name, err, span, took)
	}
	if taken.Event != nil && h.deps.Metrics != nil {
		h.deps.Metrics.Accepted(1, took)
	}
	status := answer(req, &taken)
	span.SetStatus(status)
	span.End()
	return nil
}

// take verifies, and appends what there is to append.
func (h *Handler) take(req *fasthttp.RequestCtx, name string, start time.Time, span tracing.Span) (Taken, error) {
	if len(req.Request.Header.ContentEncoding()) > 0 {
		return Taken{}, problem.New(problem.UnsupportedEncoding, "Content-Encoding: want none, as signatures are of the body as it is")
	}
	var taken Taken
	err := h.deps.Guard.Verify(req.RemoteAddr(), name, func() (err error) {
		taken, err = h.deps.Webhooks.Take(name, delivery(req, start))
		return err
	}, unverified)
	if err != nil || taken.Event == nil {
		return taken, err
	}
	own(taken.Event)
	a := ingest.Arrival{
		Start: start, Route: "/webhooks/" + name, Hop: span.Context(),
		Identity: access.OfWebhook(name, taken.Provider, req.RemoteIP().String()),
	}
	return taken, h.deps.Acceptor.Accept(a, []*event.Event{taken.Event})
}

// unverified reports whether a refusal is one that a stranger without the secret gets.
func unverified(err error) bool {
	r, is := errors.AsType[*Refusal](err)
	return is && r.Cause == Unverified
}

// delivery is the request as Webhooks sees it.
func delivery(req *fasthttp.RequestCtx, now time.Time) *Delivery {
	header := &req.Request.Header
	return &Delivery{
		Method: string(header.Method()),
		Values: func(name string) []string {
			var all []string
			for _, v := range header.PeekAll(name) {
				all = append(all, string(v))
			}
			return all
		},
		Query: string(req.URI().QueryString()), Body: req.Request.Body(), Now: now, Loopback: onThisMachine(req),
	}
}

// onThisMachine reports whether a request was sent on this machine, to this machine:
// no proxy says for whom it asks, and it came under a name that leads nowhere else. A web
// page can make a name of its own lead here (DNS rebinding), and a tunnel brings its own along.
func onThisMachine(req *fasthttp.RequestCtx) bool {
	if !req.RemoteIP().IsLoopback() || !access.Loopback(strings.ToLower(string(req.Request.Header.Host()))) {
		return false
	}
	for _, name := range [...]string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if len(req.Request.Header.Peek(name)) > 0 {
			return false
		}
	}
	return true
}

// own makes the event's data its own: the request's buffer is used again.
func own(e *event.Event) {
	if e.Data != nil {
		e.Data = append(make([]byte, 0, len(e.Data)), e.Data...)
	}
}

// answer tells the sender that it is taken, in words that the provider bears.
func answer(req *fasthttp.RequestCtx, t *Taken) int {
	switch {
	case t.Event == nil:
		req.SetContentType(t.ContentType)
		req.SetBody(t.Answer)
		return fasthttp.StatusOK
	case t.Quiet:
		req.SetStatusCode(fasthttp.StatusNoContent)
		return fasthttp.StatusNoContent
	}
	req.SetStatusCode(fasthttp.StatusAccepted)
	req.SetContentType("application/json")
	req.SetBodyString(`{"accepted":1}`)
	return fasthttp.StatusAccepted
}

// Get answers a provider that asks whether deliveries are wanted here.
func (h *Handler) Get(c *fiber.Ctx) error {
	name := strings.Clone(c.Params("name"))
	var challenge []byte
	err := h.deps.Guard.Verify(c.Context().RemoteAddr(), name, func() (err error) {
		challenge, err = h.deps.Webhooks.Challenge(name, delivery(c.Context(), h.deps.Now()))
		return err
	}, unverified)
	if err != nil {
		return h.refuse(name, err, tracing.Span{}, 0)
	}
	c.Set(fiber.HeaderContentType, fiber.MIMETextPlainCharsetUTF8) // never HTML: it is the stranger's text
	return c.Send(challenge)
}

// refuse counts and traces an error, and passes it on to be answered.
func (h *Handler) refuse(name string, err error, span tracing.Span, took time.Duration) error {
	var refused *Refusal
	if errors.As(err, &refused) {
		if refused.Err != nil {
			h.deps.Logger.Error("a webhook cannot be verified", "webhook", name, "error", refused.Err)
		} else if silent, tell := h.told.again(name, h.deps.Now()); tell {
			h.deps.Logger.Warn("a webhook delivery was refused", "webhook", name, "reason", clip(refused.Detail), "not_logged", silent)
		}
		err = asProblem(refused)
	}
	p := problem.Of(err)
	if h.deps.Metrics != nil {
		h.deps.Metrics.Refused(p.Kind.Slug(), took)
	}
	span.SetStatus(p.Status)
	if p.Status >= 500 {
		span.Fail("refused", p.Detail)
	}
	span.End()
	return p
}

func asProblem(r *Refusal) *problem.Problem {
	switch r.Cause {
	case Malformed:
		return problem.New(problem.InvalidRequest, "%s", r.Detail)
	case NoSecret:
		return problem.New(problem.Unavailable, "%s", r.Detail)
	case Forbidden:
		return problem.New(problem.Forbidden, "%s", r.Detail)
	}
	return problem.New(problem.UnverifiedWebhook, "%s", r.Detail)
}
