package ingest

import (
	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/otel/tracing"
)

// startSpan opens the SERVER span of a request, below the context it brought.
func (h *Handler) startSpan(hdr *fasthttp.RequestHeader) tracing.Span {
	var in tracing.Context
	// The next PeekAll overwrites what the last one returned, so the one
	// traceparent that counts is taken out before tracestate is asked for.
	if parents := hdr.PeekAll("Traceparent"); len(parents) == 1 {
		parent := [1][]byte{parents[0]}
		in = tracing.Extract(parent[:], hdr.PeekAll("Tracestate"))
	}
	return h.deps.Traces.Server(in, fasthttp.MethodPost, Route)
}

// endSpan closes it with what was answered.
func endSpan(span tracing.Span, status int, err error) {
	span.SetStatus(status)
	if err != nil && status >= 500 {
		span.Fail("refused", err.Error())
	}
	span.End()
}
