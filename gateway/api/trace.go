package api

import (
	"context"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
)

// Tracer follows chains.
type Tracer interface {
	// Trace returns the chain that an id belongs to, or problem.ErrNotFound; an
	// event's id that several sources use is a *history.AmbiguousError. It returns
	// what it has when ctx is about to end. Safe for concurrent use.
	Trace(ctx context.Context, q history.TraceQuery) (history.Trace, error)
}

// Trace shows the whole chain that an event, a run or a trace belongs to.
func (a *API) Trace(c *fiber.Ctx) error {
	q, err := a.query(c, "id", "source", "logs")
	if err != nil {
		return err
	}
	lines, err := flag(c, "logs")
	if err != nil {
		return err
	}
	if q.ID == "" {
		return problem.New(problem.InvalidQuery, "id: missing; want the id of an event, a run or a trace")
	}
	if a.deps.Tracer == nil {
		return problem.New(problem.Unavailable, "traces are not available here")
	}
	return a.within(func(ctx context.Context) error {
		t, err := a.deps.Tracer.Trace(ctx, history.TraceQuery{ID: q.ID, Source: q.Source, Lines: lines})
		if err != nil {
			return err
		}
		return answer(c, fiber.StatusOK, &t)
	})
}
