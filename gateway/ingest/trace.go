package ingest

import (
	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/otel/tracing"
)

// startSpan opens the SERVER span of a request, below the context it brought.
func (h *Handler) startSpan(hdr *fasthttp.RequestHeader) tracing.Span {
	return h.deps.Traces.Server(HopOf(hdr), fasthttp.MethodPost, Route)
}

// HopOf is the trace context that a request brought; of several traceparents
// none counts.
func HopOf(hdr *fasthttp.RequestHeader) tracing.Context {
	parents := hdr.PeekAll("Traceparent")
	if len(parents) != 1 {
		return tracing.Context{}
	}
	// The next PeekAll overwrites what the last one returned, so the one
	// traceparent that counts is taken out before tracestate is asked for.
	parent := [1][]byte{parents[0]}
	return tracing.Extract(parent[:], hdr.PeekAll("Tracestate"))
}

// endSpan closes it with what was answered.
func endSpan(span tracing.Span, status int, err error) {
	span.SetStatus(status)
	if err != nil && status >= 500 {
		span.Fail("refused", err.Error())
	}
	span.End()
}
