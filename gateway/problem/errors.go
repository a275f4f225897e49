package problem

import (
	"context"
	"errors"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/resource"
)

// What the parts behind the gateway answer with; whoever implements one of the
// gateway's interfaces wraps its own errors in these (%w).
var (
	// ErrNotFound: there is no such resource, event or dead letter.
	ErrNotFound = errors.New("not found")
	// ErrExists: a resource of this kind and name exists already.
	ErrExists = errors.New("already exists")
	// ErrConflict: the resource is at another revision than the change was based on.
	ErrConflict = errors.New("revision conflict")
	// ErrUnavailable: the log or the ledger is away.
	ErrUnavailable = errors.New("unavailable")
	// ErrBacklog: the log's backlog is over its limit.
	ErrBacklog = errors.New("backlog over its limit")
	// ErrTooLarge: the event is larger than the log takes.
	ErrTooLarge = errors.New("too large for the log")
	// ErrQuery: a cursor, a filter or another part of a query makes no sense.
	ErrQuery = errors.New("invalid query")
	// ErrNoVersion: the function has no such version to go back to.
	ErrNoVersion = errors.New("no such version")
	// ErrInUse: something names what is to be deleted.
	ErrInUse = errors.New("in use")
	// ErrArtifact: what was uploaded is not the artifact it says to be, or too large.
	ErrArtifact = errors.New("not an artifact")
	// ErrNotRedrivable: the dead letter cannot be delivered again as asked.
	ErrNotRedrivable = errors.New("cannot be redriven")
)

// Of says what problem an error is: the only place where that is decided.
// Detail never holds more than the error's own text, and nothing at all when
// nobody foresaw the error.
func Of(err error) *Problem {
	var (
		p      *Problem
		batch  *event.BatchError
		inv    *event.InvalidError
		faults resource.Faults
		fe     *fiber.Error
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &batch):
		return ofBatch(batch)
	case errors.As(err, &inv):
		p = Wrap(InvalidEvent, err)
		p.Attribute = inv.Attribute
		return p
	case errors.As(err, &faults):
		return ofFaults(faults)
	case errors.As(err, &fe):
		return ofFiber(fe)
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return Wrap(s.kind, err)
		}
	}
	p = New(Internal, "")
	p.cause = err
	return p
}

// sentinels maps errors to kinds; nothing changes it.
var sentinels = [...]struct {
	err  error
	kind Kind
}{
	{event.ErrNotEvent, NotEvent},
	{event.ErrUnsupportedFormat, UnsupportedFormat},
	{event.ErrBatchTooLong, BatchTooLong},
	{ErrNotFound, NotFound},
	{ErrExists, Exists},
	{ErrConflict, Conflict},
	{ErrBacklog, Backlog},
	{ErrTooLarge, TooLarge},
	{ErrQuery, InvalidQuery},
	{history.ErrDecided, Decided},
	{ErrNotRedrivable, NotRedrivable},
	{ErrNoVersion, NoVersion},
	{ErrInUse, InUse},
	{ErrArtifact, InvalidArtifact},
	{ErrUnavailable, Unavailable},
	{context.DeadlineExceeded, Unavailable},
	{context.Canceled, Stopping},
}

func ofBatch(b *event.BatchError) *Problem {
	p := Wrap(InvalidBatch, b)
	if len(b.Items) == 0 {
		return p
	}
	first := b.Items[0].Index
	p.Index = &first
	p.Detail = "event " + strconv.Itoa(first) + ": " + b.Items[0].Err.Error()
	for _, it := range b.Items {
		item := Item{Index: it.Index, Detail: it.Err.Error()}
		var inv *event.InvalidError
		if errors.As(it.Err, &inv) {
			item.Attribute = inv.Attribute
		}
		p.Errors = append(p.Errors, item)
	}
	return p
}

func ofFaults(f resource.Faults) *Problem {
	p := Wrap(InvalidResource, f)
	p.Faults = f
	return p
}

// ofFiber maps what the HTTP server itself refuses.
func ofFiber(e *fiber.Error) *Problem {
	switch e.Code {
	case fiber.StatusNotFound:
		return New(NotFound, "no such route")
	case fiber.StatusMethodNotAllowed:
		return New(MethodNotAllowed, "the method is not allowed here: see the Allow header")
	case fiber.StatusRequestEntityTooLarge:
		return New(TooLarge, "the body is over the limit")
	case fiber.StatusRequestHeaderFieldsTooLarge:
		return New(HeadersTooLarge, "the header fields are over the limit")
	case fiber.StatusRequestTimeout:
		return New(RequestTimeout, "the request did not arrive in time")
	}
	if e.Code >= 400 && e.Code < 500 || e.Code == fiber.StatusBadGateway {
		// fasthttp's own text quotes the request; a stranger needs no echo of it.
		return New(MalformedRequest, "not a well-formed HTTP/1.1 request")
	}
	p := New(Internal, "")
	p.cause = e
	return p
}
