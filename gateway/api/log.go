package api

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/history"
	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// The parameters of the query routes; nothing changes them.
var (
	eventParameters      = []string{"source", "id", "type", "since", "until", "limit", "cursor"}
	runParameters        = []string{"source", "id", "type", "function", "link", "outcome", "reason", "since", "until", "limit", "cursor"}
	deadLetterParameters = []string{"source", "id", "type", "function", "link", "reason", "since", "until", "limit", "cursor"}
	explainParameters    = []string{"source", "id"}
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

// DeadLetters lists dead letters.
func (a *API) DeadLetters(c *fiber.Ctx) error {
	q, err := a.query(c, deadLetterParameters...)
	if err != nil {
		return err
	}
	return a.within(func(ctx context.Context) error {
		p, err := a.deps.Reader.DeadLetters(ctx, q)
		if err != nil {
			return err
		}
		return page(c, p, deadLetterJSON)
	})
}

// DeadLetter answers one dead letter.
func (a *API) DeadLetter(c *fiber.Ctx) error {
	id := strings.Clone(c.Params("id"))
	return a.within(func(ctx context.Context) error {
		d, err := a.deps.Reader.DeadLetter(ctx, id)
		if err != nil {
			return err
		}
		b, err := deadLetterJSON(&d)
		if err != nil {
			return err
		}
		return answer(c, fiber.StatusOK, json.RawMessage(b))
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

// deadLetterJSON adds the event, or the record that was no event.
func deadLetterJSON(d *event.DeadLetter) ([]byte, error) {
	out := struct {
		*event.DeadLetter
		Event    json.RawMessage `json:"event,omitempty"`
		Raw      *rawRecord      `json:"raw,omitempty"`
		Attempts []event.Attempt `json:"attempts"`
	}{DeadLetter: d, Attempts: d.Attempts}
	if out.Attempts == nil {
		out.Attempts = []event.Attempt{}
	}
	if d.Event != nil {
		out.Event = d.Event.AppendJSON(nil)
	} else {
		out.Raw = raw(&d.Raw)
	}
	return json.Marshal(out)
}

// rawRecord is a Kafka record as JSON; bytes are base64.
type rawRecord struct {
	Key     []byte      `json:"key,omitempty"`
	Headers []rawHeader `json:"headers"`
	Value   []byte      `json:"value"`
}

type rawHeader struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

func raw(m *event.Message) *rawRecord {
	r := &rawRecord{Key: m.Key, Value: m.Value, Headers: make([]rawHeader, len(m.Headers))}
	for i, h := range m.Headers {
		r.Headers[i] = rawHeader(h)
	}
	return r
}
