package tracing

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
)

// The bits of trace flags that exist (W3C Trace Context level 2).
const (
	flagSampled = 0x01
	flagRandom  = 0x02
)

// Context names a span and its trace. The zero value is no context at all. It
// is a plain value: copy and compare it freely.
type Context struct {
	TraceID [16]byte
	SpanID  [8]byte
	// Flags are bit 0, sampled, and bit 1, the trace id is random; others are zero.
	Flags byte
	// State is a valid tracestate list, joined by commas; "" is none.
	State string
}

// IsValid tells whether the context names a span.
func (c Context) IsValid() bool {
	return c.TraceID != [16]byte{} && c.SpanID != [8]byte{}
}

// Sampled tells whether the span's spans are recorded.
func (c Context) Sampled() bool { return c.Flags&flagSampled != 0 }

// TraceParent is the context as a traceparent header, version 00; "" when it
// is not valid.
func (c Context) TraceParent() string {
	if !c.IsValid() {
		return ""
	}
	var b [traceParentLen]byte
	return string(c.AppendTraceParent(b[:0]))
}

// AppendTraceParent appends what TraceParent returns.
func (c Context) AppendTraceParent(b []byte) []byte {
	if !c.IsValid() {
		return b
	}
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, c.TraceID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, c.SpanID[:])
	b = append(b, '-')
	return hex.AppendEncode(b, []byte{c.Flags})
}

// TraceIDString is the trace id as 32 hexadecimal digits; "" when the context
// is not valid.
func (c Context) TraceIDString() string {
	if !c.IsValid() {
		return ""
	}
	return hex.EncodeToString(c.TraceID[:])
}

// LogValue shows the context in logs as trace_id and span_id.
func (c Context) LogValue() slog.Value {
	if !c.IsValid() {
		return slog.GroupValue()
	}
	return slog.GroupValue(
		slog.String("trace_id", c.TraceIDString()),
		slog.String("span_id", hex.EncodeToString(c.SpanID[:])),
	)
}

// contextKey is the key of a Context in a context.Context.
type contextKey struct{}

// NewContext returns ctx carrying c, where logs find it.
func NewContext(ctx context.Context, c Context) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// FromContext returns what NewContext put in; the zero Context when nothing was.
func FromContext(ctx context.Context) Context {
	c, _ := ctx.Value(contextKey{}).(Context)
	return c
}

// child is a new span below parent: same trace, state and flags. A parent that
// is not valid starts a new trace.
func child(parent Context) Context {
	c := parent
	if !parent.IsValid() {
		c = Context{TraceID: newTraceID()}
	}
	c.SpanID = newSpanID()
	return c
}

// newTraceID is random. The top-level functions of math/rand/v2 draw from a
// generator of each thread, which takes no lock.
func newTraceID() (id [16]byte) {
	for id == [16]byte{} {
		binary.BigEndian.PutUint64(id[:8], rand.Uint64()) // #nosec G404 -- ids of traces are unique, not secret
		binary.BigEndian.PutUint64(id[8:], rand.Uint64()) // #nosec G404 -- ids of traces are unique, not secret
	}
	return id
}

func newSpanID() (id [8]byte) {
	for id == [8]byte{} {
		binary.BigEndian.PutUint64(id[:], rand.Uint64()) // #nosec G404 -- ids of spans are unique, not secret
	}
	return id
}

// Extract reads the traceparent and tracestate headers of a message, every
// line of them in order. A missing, repeated or invalid traceparent gives the
// zero Context and ignores tracestate. The result holds copies, so that the
// lines may be views of a buffer that is used again.
func Extract[T ~string | ~[]byte](traceparents, tracestates []T) Context {
	if len(traceparents) != 1 {
		return Context{}
	}
	c, ok := parseTraceParent(traceparents[0])
	if !ok {
		return Context{}
	}
	c.State = joinTraceState(tracestates)
	return c
}

// FromHeaders is Extract for one line each; "" is none. It keeps no view of
// its arguments either.
func FromHeaders(traceparent, tracestate string) Context {
	c, ok := ParseTraceParent(traceparent)
	if !ok || tracestate == "" {
		return c
	}
	c.State = joinTraceState([]string{tracestate})
	return c
}
