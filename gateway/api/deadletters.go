package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
)

// The parameters of the routes of dead letters; nothing changes them.
var (
	// letterSelection are those that say which dead letters are meant.
	letterSelection      = []string{"source", "id", "type", "function", "link", "reason", "since", "until", "where"}
	deadLetterParameters = append(slices.Clone(letterSelection), "state", "limit", "cursor")
	decideAllParameters  = append(slices.Clone(letterSelection), "all", "limit", "cursor", "dryRun")
)

// DeadLetters lists dead letters.
func (a *API) DeadLetters(c *fiber.Ctx) error {
	return listed(a, c, deadLetterParameters, a.deps.Reader.DeadLetters, letterJSON)
}

// DeadLetter answers one dead letter, with what was decided about it.
func (a *API) DeadLetter(c *fiber.Ctx) error {
	id := strings.Clone(c.Params("id"))
	return a.within(func(ctx context.Context) error {
		l, err := a.deps.Reader.DeadLetter(ctx, id)
		if err != nil {
			return err
		}
		b, err := letterJSON(&l)
		if err != nil {
			return err
		}
		return answer(c, fiber.StatusOK, json.RawMessage(b))
	})
}

// Decide redrives or drops one dead letter.
func (a *API) Decide(action event.Action) fiber.Handler {
	return func(c *fiber.Ctx) error {
		id := strings.Clone(c.Params("id"))
		if _, err := a.query(c, "dryRun"); err != nil {
			return err
		}
		d, err := decision(c, action)
		if err != nil {
			return err
		}
		return a.within(func(ctx context.Context) error {
			out, err := a.deps.Letters.Decide(ctx, id, d)
			if err != nil {
				return err
			}
			return answer(c, fiber.StatusOK, &out)
		})
	}
}

// DecideAll redrives or drops the dead letters that the query selects. A query
// that selects nothing in particular must say all=true.
func (a *API) DecideAll(action event.Action) fiber.Handler {
	return func(c *fiber.Ctx) error {
		q, err := a.query(c, decideAllParameters...)
		if err != nil {
			return err
		}
		if c.Query("limit") == "" {
			q.Limit = a.config.MaxLimit
		}
		if err := selects(c); err != nil {
			return err
		}
		d, err := decision(c, action)
		if err == nil && d.Event != nil {
			err = problem.New(problem.InvalidRequest, "event: only for one dead letter, at /deadletters/{id}/redrive")
		}
		if err != nil {
			return err
		}
		return a.within(func(ctx context.Context) error {
			out, err := a.deps.Letters.DecideAll(ctx, q, d)
			if err != nil {
				return err
			}
			return answer(c, fiber.StatusOK, &out)
		})
	}
}

// selects refuses a request that names no dead letters and does not say that
// all of them are meant.
func selects(c *fiber.Ctx) error {
	all, err := flag(c, "all")
	if err != nil || all {
		return err
	}
	for _, name := range letterSelection {
		if c.Query(name) != "" {
			return nil
		}
	}
	return problem.New(problem.InvalidQuery, "which dead letters: want one of %s, or all=true", strings.Join(letterSelection, ", "))
}

// decision reads the body: nothing, or for a redrive {"version", "event"}.
func decision(c *fiber.Ctx, action event.Action) (history.Decision, error) {
	d := history.Decision{Action: action}
	var err error
	if d.DryRun, err = flag(c, "dryRun"); err != nil {
		return d, err
	}
	body := c.Context().Request.Body()
	if len(bytes.TrimSpace(body)) == 0 {
		return d, nil
	}
	if action == event.Drop {
		return d, problem.New(problem.InvalidRequest, "body: want none; a drop takes no options")
	}
	if t := mediaType(c.Get(fiber.HeaderContentType)); t != "" && t != fiber.MIMEApplicationJSON {
		return d, problem.New(problem.UnsupportedMediaType, "Content-Type: want %s", fiber.MIMEApplicationJSON)
	}
	var in struct {
		Version string          `json:"version"`
		Event   json.RawMessage `json:"event"`
	}
	if err := decodeStrictly(body, &in); err != nil {
		return d, problem.New(problem.InvalidRequest, "body: %v: want an object with version, event, both or neither", err)
	}
	d.Version = in.Version
	if len(in.Event) > 0 && string(in.Event) != "null" {
		if d.Event, err = event.ParseJSON(in.Event); err != nil {
			return d, fmt.Errorf("event: %w", err)
		}
	}
	return d, nil
}

// decodeStrictly reads one JSON value that has no other fields than into has.
func decodeStrictly(b []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// letterJSON adds the event, or the record that was no event, the state, and
// what was decided.
func letterJSON(l *history.Letter) ([]byte, error) {
	out := struct {
		*event.DeadLetter
		Event      json.RawMessage     `json:"event,omitempty"`
		Raw        *rawRecord          `json:"raw,omitempty"`
		Attempts   []event.Attempt     `json:"attempts"`
		State      history.LetterState `json:"state"`
		Resolution *resolution         `json:"resolution,omitempty"`
	}{DeadLetter: &l.DeadLetter, Attempts: l.Attempts, State: l.State}
	if out.Attempts == nil {
		out.Attempts = []event.Attempt{}
	}
	if l.Event != nil {
		out.Event = l.Event.AppendJSON(nil)
	} else {
		out.Raw = raw(&l.Raw)
	}
	if r := l.Resolution; r != nil {
		out.Resolution = &resolution{Resolution: r}
		if r.Event != nil {
			out.Resolution.Event = r.Event.AppendJSON(nil)
		}
	}
	return json.Marshal(out)
}

// resolution is a decision as JSON, with the event that replaced the dead letter's.
type resolution struct {
	*event.Resolution
	Event json.RawMessage `json:"event,omitempty"`
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
