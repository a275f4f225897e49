package api

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
)

// Deps are what the API calls. All are required, except that Filter nil
// refuses filters, Guard nil allows everything, and Now nil is time.Now.
type Deps struct {
	Guard      *access.Guard
	Resources  Resources
	Reader     Reader
	Letters    Letters
	Deliveries Deliveries
	Explainer  Explainer
	// Artifacts nil answers with 503.
	Artifacts Artifacts
	// Tracer nil answers with 503.
	Tracer Tracer
	// WhatIfs nil answers what-if requests with 503.
	WhatIfs WhatIfs
	// Graphs and Catalogue nil answer with 503, and changes come without warnings.
	Graphs    Graphs
	Catalogue Catalogue
	// Filter compiles a CESQL expression; the error says what is wrong with it.
	// The function is called from one goroutine at a time.
	Filter func(expression string) (func(*event.Event) bool, error)
	Now    func() time.Time
}

// API serves the routes below /api/v1. It is safe for concurrent use.
type API struct {
	config Config
	deps   Deps
}

// New makes the API; the configuration has been validated.
func New(c Config, d Deps) *API {
	if d.Now == nil {
		d.Now = time.Now
	}
	return &API{config: c, deps: d}
}

// list is the JSON of a page.
type list struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"next,omitempty"`
}

// within runs f under the API's time limit.
func (a *API) within(f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), a.config.Timeout)
	defer cancel()
	err := f(ctx)
	var ambiguous *history.AmbiguousError
	if errors.As(err, &ambiguous) {
		p := problem.Wrap(problem.AmbiguousEvent, err)
		p.Sources = ambiguous.Sources
		return p
	}
	return err
}

// answer writes v as JSON.
func answer(c *fiber.Ctx, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-cache")
	if c.Locals(localNoStore{}) != nil {
		c.Set(fiber.HeaderCacheControl, "no-store")
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Status(status).Send(b)
}

// page writes the items of a page, each marshalled by one.
func page[T any](c *fiber.Ctx, p history.Page[T], one func(*T) ([]byte, error)) error {
	out := list{Items: make([]json.RawMessage, 0, len(p.Items)), Next: p.Next}
	for i := range p.Items {
		b, err := one(&p.Items[i])
		if err != nil {
			return err
		}
		out.Items = append(out.Items, b)
	}
	return answer(c, fiber.StatusOK, out)
}
