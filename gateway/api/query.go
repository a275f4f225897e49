package api

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/parameter"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
)

// query reads the parameters of a request, of which allowed are known here.
// The strings are copies: fiber's are overwritten by the next request.
func (a *API) query(c *fiber.Ctx, allowed ...string) (history.Query, error) {
	q := history.Query{Limit: a.config.DefaultLimit}
	var err error
	c.Context().QueryArgs().VisitAll(func(k, v []byte) {
		if err == nil {
			err = a.parameter(&q, string(k), string(v), allowed)
		}
	})
	if err == nil && !q.Until.IsZero() && q.Until.Before(q.Since) {
		err = problem.New(problem.InvalidQuery, "until is before since")
	}
	return q, err
}

func (a *API) parameter(q *history.Query, name, value string, allowed []string) (err error) {
	if !slices.Contains(allowed, name) {
		return problem.New(problem.InvalidQuery, "parameter %q: want one of %s", parameter.Clip(name), strings.Join(allowed, ", "))
	}
	switch name {
	case "source":
		q.Source = value
	case "id":
		q.ID = value
	case "type":
		q.Type = value
	case "function":
		q.Function = value
	case "version":
		q.Version = value
	case "run":
		q.Run = value
	case "trace":
		q.Trace = value
	case "link":
		q.Link = value
	case "reason":
		q.Reason = value
	case "state":
		q.State, err = parameter.OneOf(name, value, history.LetterOpen, history.LetterRedriven, history.LetterDropped)
	case "kind":
		q.Kind, err = parameter.OneOf(name, value, event.DecidedAdmission, event.DecidedManagement, event.DecidedShadow, event.DecidedSchema, event.DecidedChoosing)
	case "where":
		q.Where, err = a.where(value)
	case "cursor":
		q.Cursor = value
	case "outcome":
		q.Outcome, err = parameter.OneOf(name, value, event.Delivered, event.Dead, event.Dropped, event.Retrying, event.Waiting)
	case "since":
		q.Since, err = parameter.Time(name, value, a.deps.Now())
	case "until":
		q.Until, err = parameter.Time(name, value, a.deps.Now())
	case "limit":
		q.Limit, err = a.limit(value)
	} // all and dryRun are no part of a query
	return err
}

// where compiles a CESQL expression over the event of a dead letter.
func (a *API) where(expression string) (func(*event.Event) bool, error) {
	if a.deps.Filter == nil {
		return nil, problem.New(problem.InvalidQuery, "where: not available here")
	}
	f, err := a.deps.Filter(expression)
	if err != nil {
		return nil, problem.New(problem.InvalidQuery, "where: %v", err)
	}
	return f, nil
}

// limit is a page size; more than the most is cut to it.
func (a *API) limit(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 0, problem.New(problem.InvalidQuery, "limit %q: want a whole number from 1 to %d", parameter.Clip(value), a.config.MaxLimit)
	}
	return min(n, a.config.MaxLimit), nil
}

// revision reads the parameter of that name; 0 when it is absent.
func revision(c *fiber.Ctx) (uint64, error) {
	s := c.Query("revision")
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, problem.New(problem.InvalidQuery, "revision %q: want a whole number", parameter.Clip(s))
	}
	return n, nil
}

// flag reads a boolean parameter; absent is false.
func flag(c *fiber.Ctx, name string) (bool, error) {
	switch s := c.Query(name); s {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, problem.New(problem.InvalidQuery, "%s %q: want true or false", name, parameter.Clip(s))
	}
}
