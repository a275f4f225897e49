package ingest

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/failpoint"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/otel/tracing"
)

// Deps are what the handler calls; only Appender and Logger are required.
type Deps struct {
	Appender Appender
	// Guard knows who may emit where no policy says so; nil: everybody.
	Guard *access.Guard
	// Admitter nil admits everything, Validator nil finds nothing wrong, Traces and
	// Metrics nil are none.
	Admitter  Admitter
	Validator Validator
	Traces    *tracing.Provider
	Metrics   Metrics
	Logger    *slog.Logger
}

// Handler serves the route. It is safe for concurrent use.
type Handler struct {
	config    Config
	deps      Deps
	deadlines deadlines
	readers   sync.Pool
}

// New makes a handler; the configuration has been validated.
func New(c Config, d Deps) *Handler {
	h := &Handler{config: c, deps: d, deadlines: deadlines{timeout: c.AcceptTimeout}}
	h.readers.New = func() any { return newReader() }
	return h
}

// accepted1 is the answer nearly every request gets.
var accepted1 = []byte(`{"accepted":1}`)

// Post accepts the events of one request.
func (h *Handler) Post(c *fiber.Ctx) error {
	start := time.Now()
	req := c.Context()
	span := h.startSpan(&req.Request.Header)
	n, err := h.accept(req, span, start)
	took := time.Since(start)
	if err != nil {
		return h.refuse(err, span, took)
	}
	if h.deps.Metrics != nil {
		h.deps.Metrics.Accepted(n, took)
	}
	endSpan(span, fasthttp.StatusAccepted, nil)
	req.SetStatusCode(fasthttp.StatusAccepted)
	req.Response.Header.SetContentType("application/json")
	if n == 1 {
		req.Response.SetBodyRaw(accepted1)
		return nil
	}
	req.Response.SetBodyString(`{"accepted":` + strconv.Itoa(n) + `}`)
	return nil
}

// accept parses, admits and appends; nil means that all n events are durable.
func (h *Handler) accept(req *fasthttp.RequestCtx, span tracing.Span, start time.Time) (n int, err error) {
	r := h.readers.Get().(*reader)
	events, err := r.read(&req.Request, h.config.MaxBatch)
	defer h.readers.Put(r)
	if err != nil {
		return 0, err
	}
	sender := access.Of(req)
	for _, e := range events {
		event.StripReserved(e) // who sent them is not theirs to say
		sender.Stamp(e)
	}
	a := Arrival{Start: start, Route: Route, Identity: sender, Batch: r.mode == event.Batched, Hop: span.Context()}
	return len(events), h.Accept(a, events)
}

// Arrival is how events came in.
type Arrival struct {
	// Start is when the request began; the time to accept counts from there.
	Start time.Time
	Route string
	// Identity is who sent them; nil: the route knows its senders by other means,
	// and roles and rates do not apply.
	Identity *access.Identity
	// Batch: refusals name the index of the event.
	Batch bool
	// Hop is the trace context of the request's span; it need not be valid.
	Hop tracing.Context
}

// Accept asks the policy about the events of one request and appends them; nil
// means that all of them are durable. Every route that takes events ends here.
// The errors are problems.
func (h *Handler) Accept(a Arrival, events []*event.Event) error {
	ctx := h.deadlines.at(a.Start)
	if err := h.admit(ctx, a, events); err != nil {
		return err
	}
	if len(events) == 0 {
		return nil
	}
	if err := h.validate(a, events); err != nil {
		return err
	}
	failpoint.Hit(failpoint.GatewayAcceptBefore)
	if err := h.deps.Appender.AppendEvents(ctx, events, a.Hop); err != nil {
		return appendProblem(err)
	}
	failpoint.Hit(failpoint.GatewayAcceptAfter)
	return nil
}

// Admit asks only: nil means that the events would be let in. The errors are problems.
func (h *Handler) Admit(a Arrival, events []*event.Event) error {
	return h.admit(h.deadlines.at(a.Start), a, events)
}

// admit asks the identity's own bounds, then the policy about every event; one
// that is denied refuses all.
func (h *Handler) admit(ctx context.Context, a Arrival, events []*event.Event) error {
	ruled := false
	for i, e := range events {
		v := h.verdict(ctx, a, e)
		if ruled = v.Ruled; v.Denied {
			h.deps.Guard.RefusedEvent(a.Identity, a.Route, e, v.Policy, v.Reason)
			return denied(v.Reason, i, a.Batch)
		}
	}
	if a.Identity == nil {
		return nil
	}
	if reason := h.deps.Guard.Emitter(a.Identity); reason != "" && !ruled {
		if len(events) > 0 { // the first stands for all of them
			h.deps.Guard.RefusedEvent(a.Identity, a.Route, events[0], "", reason)
		}
		return problem.New(problem.Forbidden, "%s", reason)
	}
	if wait := a.Identity.Take(len(events), a.Start); wait > 0 {
		p := problem.New(problem.RateLimited, "%s sends more events than it may", a.Identity)
		p.RetryAfter = wait
		return p
	}
	return nil
}

// verdict is what the identity's own bounds and the policies say.
func (h *Handler) verdict(ctx context.Context, a Arrival, e *event.Event) Verdict {
	if reason := a.Identity.RefuseEvent(e); reason != "" {
		return Verdict{Denied: true, Reason: reason}
	}
	if h.deps.Admitter == nil {
		return Verdict{}
	}
	v, err := h.deps.Admitter.Admit(ctx, Admission{Event: e, Route: a.Route, Identity: a.Identity})
	if err != nil {
		// the engine logs failures, and not once for each event
		h.deps.Logger.Debug("admission policy failed; the event is refused", "error", err, "source", e.Source, "id", e.ID)
		return Verdict{Denied: true, Reason: "the admission policy could not be computed", Policy: v.Policy}
	}
	return v
}

func denied(reason string, index int, batch bool) error {
	if reason == "" {
		reason = "no reason given"
	}
	p := problem.New(problem.Denied, "%s", reason)
	if batch {
		p.Index = &index
		p.Errors = []problem.Item{{Index: index, Detail: reason}}
	}
	return p
}

// appendProblem keeps what the sender can act on; the rest is the log being away.
func appendProblem(err error) error {
	if errors.Is(err, problem.ErrBacklog) || errors.Is(err, problem.ErrTooLarge) {
		return err
	}
	p := problem.Wrap(problem.Unavailable, err)
	p.Detail = "the log is away; send again"
	if errors.Is(err, context.DeadlineExceeded) {
		p.Detail = "the log did not acknowledge in time; send again"
	}
	return p
}

// refuse counts and traces an error, and passes it on to be answered.
func (h *Handler) refuse(err error, span tracing.Span, took time.Duration) error {
	p := problem.Of(err)
	if h.deps.Metrics != nil {
		h.deps.Metrics.Refused(p.Kind.Slug(), took)
	}
	endSpan(span, p.Status, err)
	return p
}
