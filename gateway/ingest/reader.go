package ingest

import (
	"bytes"

	"github.com/gofiber/fiber/v2/utils"
	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// reader parses one request after another; it exists so that parsing needs no
// closure per request.
type reader struct {
	header *fasthttp.RequestHeader
	// visit is r.headers, bound once.
	visit func(yield func(name, value []byte))
	mode  event.Mode
}

func newReader() *reader {
	r := &reader{}
	r.visit = r.headers
	return r
}

func (r *reader) headers(yield func(name, value []byte)) { r.header.VisitAll(yield) }

// read returns the events of a request; they own everything they hold. The
// raw body is taken, not fiber's, which would undo a content coding.
func (r *reader) read(req *fasthttp.Request, maxBatch int) ([]*event.Event, error) {
	r.header = &req.Header
	defer func() { r.header = nil }()
	if err := checkEncoding(&req.Header); err != nil {
		return nil, err
	}
	contentType := utils.UnsafeString(req.Header.ContentType()) // package event keeps nothing of it
	mode, err := event.ModeOf(contentType)
	if err != nil {
		return nil, err
	}
	r.mode = mode
	return event.Parse(contentType, r.visit, req.Body(), maxBatch)
}

// EventOf is the event of a request that may hold one, in binary or structured
// mode; it owns all it holds. The error is event.ErrNotEvent for a request of anything else.
func EventOf(req *fasthttp.RequestCtx) (*event.Event, error) {
	r := newReader()
	events, err := r.read(&req.Request, 1)
	switch {
	case err != nil:
		return nil, err
	case r.mode == event.Batched:
		return nil, problem.New(problem.MalformedRequest, "a batch: want one event")
	}
	return events[0], nil
}

// checkEncoding refuses content codings: the body is the event's data, byte
// for byte, and must not depend on who decoded it.
func checkEncoding(h *fasthttp.RequestHeader) error {
	enc := h.ContentEncoding()
	if len(enc) == 0 || bytes.EqualFold(enc, []byte("identity")) {
		return nil
	}
	return problem.New(problem.UnsupportedEncoding, "Content-Encoding %q: want identity, or no Content-Encoding", cut(enc))
}

// cut bounds what an answer repeats of a request.
func cut(b []byte) string {
	if len(b) > 64 {
		return string(b[:64]) + "…"
	}
	return string(b)
}
