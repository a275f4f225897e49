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
	return listed(a, c, eventParameters, a.deps.Reader.Events, eventJSON)
}

// Runs lists run records.
func (a *API) Runs(c *fiber.Ctx) error {
	return listed(a, c, runParameters, a.deps.Reader.Runs, asJSON[event.Run])
}

// Decisions lists records of the decision log.
func (a *API) Decisions(c *fiber.Ctx) error {
	return listed(a, c, decisionParameters, a.deps.Reader.Decisions, asJSON[event.Decision])
}

// Lines lists what functions print.
func (a *API) Lines(c *fiber.Ctx) error {
	return listed(a, c, lineParameters, a.deps.Reader.Lines, asJSON[history.Line])
}

// listed answers with the page that a request asks for by the parameters.
func listed[T any](a *API, c *fiber.Ctx, parameters []string, read func(context.Context, history.Query) (history.Page[T], error), one func(*T) ([]byte, error)) error {
	q, err := a.query(c, parameters...)
	if err != nil {
		return err
	}
	return a.within(func(ctx context.Context) error {
		p, err := read(ctx, q)
		if err != nil {
			return err
		}
		return page(c, p, one)
	})
}

func asJSON[T any](v *T) ([]byte, error) { return json.Marshal(v) }

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
