package function

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// Event is a CloudEvent of the CloudEvents SDK.
type Event = event.Event

// HandlerFunc is what is called with each event. The events it returns are the
// replies. An error is answered with 500, and the event is delivered again; see
// Permanent and Retry. ctx ends when the caller goes away; RunOf and Log know the call.
type HandlerFunc func(ctx context.Context, e Event) ([]Event, error)

// Reply is an event to answer with, as a list of one. Its source, where it gets no
// other, is the function; its id one that is the same when the call is repeated. data
// is written as JSON; []byte and nil are as they are.
func Reply(eventType string, data any) ([]Event, error) {
	e := event.New()
	e.SetType(eventType)
	switch d := data.(type) {
	case nil:
	case []byte:
		if err := e.SetData("application/octet-stream", d); err != nil {
			return nil, err
		}
	default:
		if err := e.SetData(event.ApplicationJSON, d); err != nil {
			return nil, err
		}
	}
	return []Event{e}, nil
}

// maxBody bounds the events that are taken.
const maxBody = 64 << 20

const batchType = "application/cloudevents-batch+json"

// Handler answers calls of a function: POST with an event in any of the three modes
// calls f, GET /healthz answers 200. It is what Serve serves.
func Handler(f HandlerFunc) http.Handler { return &handler{f: f, log: lines()} }

type handler struct {
	f   HandlerFunc
	log *slog.Logger
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost:
		h.post(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "want POST", http.StatusMethodNotAllowed)
	case r.URL.Path == "/healthz" || r.URL.Path == "/readyz":
		_, _ = io.WriteString(w, "ok\n")
	default:
		http.NotFound(w, r)
	}
}

func (h *handler) post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big):
		http.Error(w, fmt.Sprintf("the body has more than %d bytes", big.Limit), http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, "the body ended early", http.StatusBadRequest)
		return
	}
	events, err := parse(r.Context(), r.Header, body)
	if err != nil {
		http.Error(w, "no CloudEvent: "+err.Error(), http.StatusBadRequest)
		return
	}
	var replies []Event
	for i := range events {
		more, err := h.one(r, &events[i])
		if err != nil {
			status, after := answer(err)
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			http.Error(w, err.Error(), status)
			return
		}
		replies = append(replies, more...)
	}
	h.reply(w, r, replies)
}

// parse reads the events of a request.
func parse(ctx context.Context, header http.Header, body []byte) ([]Event, error) {
	if media, _, _ := mime.ParseMediaType(header.Get("Content-Type")); media == batchType {
		var batch []Event
		if err := json.Unmarshal(body, &batch); err != nil {
			return nil, err
		}
		for i := range batch {
			if err := batch[i].Validate(); err != nil {
				return nil, err
			}
		}
		return batch, nil
	}
	m := cehttp.NewMessage(decoded(header), io.NopCloser(bytes.NewReader(body)))
	defer m.Finish(nil)
	e, err := binding.ToEvent(ctx, m)
	if err != nil {
		return nil, err
	}
	if err := e.Validate(); err != nil {
		return nil, err
	}
	return []Event{*e}, nil
}

// one calls the function with one event; a panic is an error like any other.
func (h *handler) one(r *http.Request, e *Event) (replies []Event, err error) {
	run := runOf(r.Header)
	log := logger(h.log, &run, e.ID(), r.Header.Get("Traceparent"))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			log.Error(err.Error(), "trace", string(debug.Stack()))
		} else if err != nil {
			log.Error(err.Error())
		}
	}()
	if replies, err = h.f(context.WithValue(r.Context(), runKey{}, &call{run, log}), *e); err != nil {
		return nil, err
	}
	for i := range replies {
		reply := &replies[i]
		if reply.Source() == "" {
			reply.SetSource("/functions/" + name())
		}
		if reply.ID() == "" {
			reply.SetID(fmt.Sprintf("%s-%d", e.ID(), i))
		}
		if err := reply.Validate(); err != nil {
			return nil, fmt.Errorf("reply %d: %w", i, err)
		}
	}
	return replies, nil
}

func (h *handler) reply(w http.ResponseWriter, r *http.Request, replies []Event) {
	switch len(replies) {
	case 0:
		w.WriteHeader(http.StatusNoContent)
	case 1:
		buffered := &responseHeader{ResponseWriter: w}
		if err := cehttp.WriteResponseWriter(r.Context(), binding.ToMessage(&replies[0]), http.StatusOK, buffered); err != nil {
			h.log.Error("answering", "cause", err.Error())
		}
	default:
		b, err := json.Marshal(replies)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", batchType)
		_, _ = w.Write(b)
	}
}

// responseHeader encodes the attributes before they are sent.
type responseHeader struct{ http.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *responseHeader) WriteHeader(status int) {
	encode(w.Header())
	w.ResponseWriter.WriteHeader(status)
}
