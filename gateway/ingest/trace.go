package ingest

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/event"
)

// incoming reads the request's own trace context (W3C Trace Context, level 2):
// exactly one valid traceparent, with the lines of tracestate joined in order.
func incoming(h *fasthttp.RequestHeader) (parent, state string) {
	p := h.Peek("Traceparent")
	if len(p) == 0 || !validTraceParent(p) {
		return "", ""
	}
	parent = string(p)
	if len(h.PeekAll("Traceparent")) != 1 {
		return "", ""
	}
	if lines := h.PeekAll("Tracestate"); len(lines) > 0 {
		state = strings.Trim(string(bytes.Join(lines, []byte{','})), ", \t")
	}
	return parent, state
}

// validTraceParent checks the form vv-<32 hex>-<16 hex>-<2 hex>.
func validTraceParent(p []byte) bool {
	if len(p) < 55 || p[2] != '-' || p[35] != '-' || p[52] != '-' {
		return false
	}
	version := string(p[:2])
	if version == "ff" || version == "00" && len(p) != 55 || len(p) > 55 && p[55] != '-' {
		return false
	}
	return hex(p[:2]) && hex(p[3:35]) && hex(p[36:52]) && hex(p[53:55]) &&
		!zeros(p[3:35]) && !zeros(p[36:52])
}

func hex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != '0' {
			return false
		}
	}
	return true
}

// startTrace opens the SERVER span, or passes the sender's context through
// when nobody traces here.
func (h *Handler) startTrace(hdr *fasthttp.RequestHeader) Trace {
	parent, state := incoming(hdr)
	if h.deps.Tracer == nil {
		return Trace{Parent: parent, State: state}
	}
	return h.deps.Tracer.StartServer("POST", Route, parent, state)
}

// mark adds the distributed tracing extension to events whose source sent
// none, in sampled traces. What the source sent is the trace that started the
// event and stays as it is.
func (t *Trace) mark(events []*event.Event) {
	if t.Span == nil || t.Parent == "" {
		return
	}
	for _, e := range events {
		if _, ok := e.Extension(event.ExtTraceParent); ok {
			continue
		}
		e.SetExtension(event.ExtTraceParent, t.Parent)
		e.SetExtension(event.ExtTraceState, t.State)
	}
}
