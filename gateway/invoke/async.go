package invoke

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/gateway/ingest"
	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// AsyncPrefix is what the paths of calls through the log begin with; the
// function's name, perhaps with @version, follows.
const AsyncPrefix = "/async-function/"

// The headers of a call through the log, as OpenFaaS has them.
const (
	headerCallback = "X-Callback-Url"
	headerCallID   = "X-Call-Id"
)

// Queued is the answer to a call that will be made: the id and the source of its event.
type Queued struct {
	Accepted int    `json:"accepted"`
	ID       string `json:"id"`
	Source   string `json:"source"`
}

// Queue takes a call that is made later, through the log: 202 once it is
// durable. The parameters of the route are name and *.
func (h *Handler) Queue(c *fiber.Ctx) error {
	start := h.deps.Now()
	span := h.deps.Traces.Server(ingest.HopOf(&c.Context().Request.Header), fiber.MethodPost, AsyncPrefix+"{name}")
	e, err := h.queue(c, ingest.Arrival{Start: start, Identity: access.Of(c.Context()), Hop: span.Context()})
	if err != nil {
		p := problem.Of(err)
		span.SetStatus(p.Status)
		span.End()
		return p
	}
	span.SetStatus(fiber.StatusAccepted)
	span.End()
	c.Set(headerCallID, e.ID)
	return c.Status(fiber.StatusAccepted).JSON(Queued{Accepted: 1, ID: e.ID, Source: e.Source})
}

// queue makes the event of the call and appends it.
func (h *Handler) queue(c *fiber.Ctx, a ingest.Arrival) (*event.Event, error) {
	reference := called(c)
	name, version, _ := strings.Cut(reference, "@")
	if t, err := h.deps.Functions.Find(name, version, ""); err != nil && t.Function == "" {
		return nil, err // one that is there and not ready gets the call when it is
	}
	callback, err := h.callback(c)
	if err != nil {
		return nil, err
	}
	path, err := below(c)
	if err != nil {
		return nil, err
	}
	e, err := ownEvent(c, name)
	if err != nil {
		return nil, err
	}
	event.StripReserved(e)
	a.Identity.Stamp(e)
	e.SetExtension(event.ExtCallTarget, reference)
	e.SetExtension(event.ExtCallbackURL, callback)
	e.SetExtension(event.ExtCallPath, path)
	a.Route = AsyncPrefix + name
	return e, h.deps.Acceptor.Accept(a, []*event.Event{e})
}

// callback is where the caller wants the answer; "" is nowhere.
func (h *Handler) callback(c *fiber.Ctx) (string, error) {
	all := c.Context().Request.Header.PeekAll(headerCallback)
	switch {
	case len(all) == 0 || len(all) == 1 && len(all[0]) == 0:
		return "", nil
	case len(all) > 1:
		return "", problem.New(problem.MalformedRequest, "%d headers %s: want one", len(all), headerCallback)
	}
	to := string(all[0])
	if err := h.deps.Callbacks(to); err != nil {
		return "", problem.New(problem.MalformedRequest, "%s: %v", headerCallback, err)
	}
	return to, nil
}
