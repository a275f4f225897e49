package api

import (
	"context"
	"encoding/json"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
)

// The parameters of the query routes; nothing changes them.
var (
	eventParameters    = []string{"source", "id", "type", "since", "until", "limit", "cursor"}
	runParameters      = []string{"source", "id", "type", "function", "version", "run", "trace", "link", "outcome", "reason", "since", "until", "limit", "cursor"}
	lineParameters     = []string{"function", "version", "run", "trace", "since", "until", "limit", "cursor"}
	decisionParameters = []string{"kind", "source", "id", "type", "since", "until", "limit", "cursor"}
	explainParameters  = []string{"source", "id"}
)

// Events lists events of the log.
func (a *API) Events(c *fiber.Ctx) error {
	q, err := a.query(c, eventParameters...)
	if err != nil {
		return err
	}
	return a.within(func(ctx context.Context) error {
		p, err := a.deps.Reader.Events(ctx, q)
		if err != nil {
			return err
		}
		return page(c, p, eventJSON)
	})
}

// Runs lists run records.
func (a *API) Runs(c *fiber.Ctx) error {
	q, err := a.query(c, runParameters...)
	if err != nil {
		return err
	}
	return a.within(func(ctx context.Context) error {
		p, err := a.deps.Reader.Runs(ctx, q)
		if err != nil {
			return err
		}
		return page(c, p, func(r *event.Run) ([]byte, error) { return json.Marshal(r) })
	})
}

// Decisions lists records of the decision log.
func (a *API) Decisions(c *fiber.Ctx) error {
	q, err := a.query(c, decisionParameters...)
	if err != nil {
		return err
	}
	return a.within(func(ctx context.Context) error {
		p, err := a.deps.Reader.Decisions(ctx, q)
		if err != nil {
			return err
		}
		return page(c, p, func(d *event.Decision) ([]byte, error) { return json.Marshal(d) })
	})
}

// Lines lists what functions print.
func (a *API) Lines(c *fiber.Ctx) error {
	q, err := a.query(c, lineParameters...)
	if err != nil {
		return err
	}
	return a.within(func(ctx context.Context) error {
		p, err := a.deps.Reader.Lines(ctx, q)
		if err != nil {
			return err
		}
		return page(c, p, func(l *history.Line) ([]byte, error) { return json.Marshal(l) })
	})
}

// Explain says what became of an event.
func (a *API) Explain(c *fiber.Ctx) error {
	q, err := a.query(c, explainParameters...)
	if err != nil {
		return err
	}
	if q.ID == "" {
		return problem.New(problem.InvalidQuery, "id: missing; want the id of an event")
	}
	return a.within(func(ctx context.Context) error {
		x, err := a.deps.Explainer.Explain(ctx, q.Source, q.ID)
		if err != nil {
			return err
		}
		return answer(c, fiber.StatusOK, &x)
	})
}

func eventJSON(r *event.Record) ([]byte, error) { return history.EventJSON(r), nil }
