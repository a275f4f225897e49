package invoke

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/ingest"
	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// maxCallID bounds an id that the caller chooses, in bytes.
const maxCallID = 128

// eventOf is the event that a call at once is. A request that bears no mark of an event may have any
// coding: its body is passed on as it is.
func eventOf(c *fiber.Ctx, name string) (*event.Event, error) {
	if isEvent(c) {
		return ownEvent(c, name)
	}
	return madeEvent(c, name)
}

// isEvent reports whether the request bears a mark of an event.
func isEvent(c *fiber.Ctx) bool {
	header := &c.Context().Request.Header
	if mode, err := event.ModeOf(string(header.ContentType())); mode != event.Binary || err != nil {
		return true
	}
	marked := false
	header.VisitAll(func(name, _ []byte) {
		marked = marked || len(name) > 3 && bytes.EqualFold(name[:3], []byte("ce-"))
	})
	return marked
}

// ownEvent is the event of the request, or one made of it where it bears no mark of one.
func ownEvent(c *fiber.Ctx, name string) (*event.Event, error) {
	e, err := ingest.EventOf(c.Context())
	if errors.Is(err, event.ErrNotEvent) {
		return madeEvent(c, name)
	}
	return e, err
}

// madeEvent is an event with the request's body as its data, so that functions which
// take events can be called with anything.
func madeEvent(c *fiber.Ctx, name string) (*event.Event, error) {
	id := strings.Clone(c.Get(headerCallID))
	switch {
	case id == "":
		id = rand.Text()
	case len(id) > maxCallID || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, problem.New(problem.MalformedRequest, "%s: want at most %d printable ASCII characters without spaces", headerCallID, maxCallID)
	}
	return &event.Event{
		ID: id, Source: Prefix + name, Type: event.TypeInvoke,
		DataContentType: strings.Clone(c.Get(fiber.HeaderContentType)), Data: append([]byte(nil), c.Context().Request.Body()...),
	}, nil
}

// called is the function that the path names, perhaps with @version: clients may write
// the @ as %40.
func called(c *fiber.Ctx) string {
	reference, err := url.PathUnescape(c.Params("name"))
	if err != nil {
		return strings.Clone(c.Params("name"))
	}
	return strings.Clone(reference)
}

// below is what follows the function's name in the request, as event.ExtCallPath has it. The route's
// parameter has lost a slash at the end, which functions may want.
func below(c *fiber.Ctx) (string, error) {
	parts := strings.SplitN(string(c.Context().URI().PathOriginal()), "/", 4) // "", the prefix, the name, the rest
	rest := parts[len(parts)-1]
	if len(parts) < 4 {
		rest = ""
	}
	if climbs(rest) {
		return "", problem.New(problem.MalformedRequest, "the path leads out of the function's: want none of its parts to be . or ..")
	}
	if rest != "" {
		rest = "/" + rest
	}
	if query := c.Context().URI().QueryString(); len(query) > 0 {
		rest += "?" + string(query)
	}
	return rest, nil
}

// climbs reports whether a path below a function's leads out of it.
func climbs(path string) bool {
	plain, err := url.PathUnescape(path)
	if err != nil {
		return true
	}
	for part := range strings.SplitSeq(strings.ReplaceAll(plain, `\`, "/"), "/") {
		if part == ".." || part == "." {
			return true
		}
	}
	return false
}

// carry makes the request one of the event in binary mode, whatever mode it came
// in: attributes that only the gateway sets are as the gateway says.
func (c *call) carry(out *http.Request) {
	for name := range out.Header {
		if len(name) > 3 && strings.EqualFold(name[:3], "ce-") {
			out.Header.Del(name)
		}
	}
	out.Header.Del("Content-Type")
	// The same bytes in our own memory: the request's is used again, perhaps while they are still being sent.
	body := c.event.Data
	if c.event.FitsBinary() {
		c.event.VisitHTTPHeaders(out.Header.Set)
	} else {
		body = c.event.AppendJSON(nil) // its data would pass for the event
		out.Header.Set("Content-Type", event.ContentTypeJSON)
	}
	// A body in memory is sent in one write with the headers.
	out.Body, out.ContentLength = http.NoBody, int64(len(body))
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
	}
}
