package subscribe

import (
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/gateway/parameter"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
)

// selection is what one subscriber wants to see.
type selection struct {
	stream string
	// types are event types or prefixes ending in '*'; none is all.
	types []string
	// query holds source and id, and for runs and logs function, link, version, run and trace.
	query history.Query
	// filter is nil when there is none.
	filter func(*event.Event) bool
	// since and after say where to resume; zero and nil: now.
	since time.Time
	after *event.Position
	// identity is who subscribes.
	identity *access.Identity
}

// parse reads the parameters of a request, copying every string.
func (h *Hub) parse(c *fiber.Ctx) (*selection, error) {
	s := &selection{stream: streamEvents, identity: access.Of(c.Context())}
	var err error
	c.Context().QueryArgs().VisitAll(func(k, v []byte) {
		if err == nil {
			err = h.parameter(s, string(k), string(v))
		}
	})
	if err != nil {
		return nil, err
	}
	if err := s.fitting(); err != nil {
		return nil, err
	}
	return s, s.resume(strings.Clone(c.Get("Last-Event-ID")))
}

// The streams.
const (
	streamEvents = "events"
	streamRuns   = "runs"
	streamLogs   = "logs"
)

// fitting refuses parameters that mean nothing for the stream.
func (s *selection) fitting() error {
	q := &s.query
	ofCalls := q.Function != "" || q.Version != "" || q.Run != "" || q.Trace != ""
	switch {
	case s.stream != streamEvents && s.filter != nil:
		return problem.New(problem.InvalidQuery, "filter: applies to events, not to stream=%s", s.stream)
	case s.stream == streamEvents && (ofCalls || q.Link != ""):
		return problem.New(problem.InvalidQuery, "function, version, run, trace and link: apply to stream=runs and stream=logs only")
	case s.stream == streamLogs && (q.Link != "" || q.Source != "" || q.ID != "" || len(s.types) > 0):
		return problem.New(problem.InvalidQuery, "source, id, type and link: do not apply to stream=logs")
	}
	return nil
}

// parameters are those of the route.
const parameters = "stream, type, filter, source, id, function, version, run, trace, link, since"

func (h *Hub) parameter(s *selection, name, value string) (err error) {
	switch name {
	case "stream":
		if value != streamEvents && value != streamRuns && value != streamLogs {
			return problem.New(problem.InvalidQuery, "stream: want events, runs or logs")
		}
		s.stream = value
	case "type":
		s.types = append(s.types, strings.Split(value, ",")...)
	case "filter":
		s.filter, err = h.compile(value)
	case "source":
		s.query.Source = value
	case "id":
		s.query.ID = value
	case "function":
		s.query.Function = value
	case "version":
		s.query.Version = value
	case "run":
		s.query.Run = value
	case "trace":
		s.query.Trace = value
	case "link":
		s.query.Link = value
	case "since":
		s.since, err = parameter.Time(name, value, h.deps.Now())
	default:
		return problem.New(problem.InvalidQuery, "unknown parameter: want one of %s", parameters)
	}
	return err
}

func (h *Hub) compile(expression string) (func(*event.Event) bool, error) {
	if h.deps.Filter == nil {
		return nil, problem.New(problem.InvalidQuery, "filter: not available here")
	}
	f, err := h.deps.Filter(expression)
	if err != nil {
		return nil, problem.New(problem.InvalidQuery, "filter: %v", err)
	}
	return f, nil
}

// resume takes the id a client saw last; for runs and lines it is no place in the log of events.
func (s *selection) resume(lastID string) error {
	if lastID == "" || s.stream != streamEvents {
		return nil
	}
	p, err := event.ParsePosition(lastID)
	if err != nil {
		return problem.New(problem.InvalidQuery, "Last-Event-ID: %v", err)
	}
	s.after = &p
	return nil
}

// wants reports whether the subscriber gets the message.
func (s *selection) wants(m *message) bool {
	if m.line != nil {
		return s.query.MatchLine(m.line)
	}
	if m.run != nil {
		return s.wantsType(m.run.EventType) && s.query.MatchRun(m.run)
	}
	e := m.record.Event
	return e != nil && s.wantsType(e.Type) && s.query.MatchEvent(m.record) && (s.filter == nil || s.filter(e))
}

func (s *selection) wantsType(typ string) bool {
	return len(s.types) == 0 || slices.ContainsFunc(s.types, func(p string) bool { return history.MatchType(p, typ) })
}
