package tracing

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-dev/signalbox/otel/otlp"
)

// scope is the instrumentation scope of every span.
const scope = "github.com/signalbox-dev/signalbox/otel/tracing"

// Provider makes spans. All methods are safe for concurrent use, and on a nil
// Provider, which passes contexts on as they came and makes none.
type Provider struct {
	c Config
	// sdk and tracer are nil while nothing is recorded.
	sdk    *sdktrace.TracerProvider
	tracer trace.Tracer
	// bound is the sampling ratio as a bound of the trace id's lower 63 bits.
	bound uint64
}

// Open starts tracing. Without an endpoint the Provider records nothing:
// contexts from outside pass through it unchanged, and events without one
// still get ids, marked as not sampled. It does not wait for the collector.
func Open(ctx context.Context, c Config) (*Provider, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	p := &Provider{c: c, bound: uint64(c.SampleRatio * (1 << 63))}
	exporter, err := newExporter(ctx, &p.c)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	if exporter == nil {
		return p, nil
	}
	if c.Instance == "" {
		id := newTraceID()
		c.Instance = hex.EncodeToString(id[:])
	}
	res, err := otlp.Resource(ctx, c.Version, c.Instance)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	l := &otlp.Losses{Signal: signal, QueueSize: c.QueueSize, Lost: c.Lost, Log: c.Log, Now: c.Now}
	batches := sdktrace.NewBatchSpanProcessor(&countingExporter{exporter, l},
		sdktrace.WithMaxQueueSize(c.QueueSize),
		sdktrace.WithMaxExportBatchSize(min(c.QueueSize, sdktrace.DefaultMaxExportBatchSize)))
	p.sdk = sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(&boundedProcessor{batches, l}),
		sdktrace.WithResource(res),
		sdktrace.WithSampler(sdktrace.AlwaysSample()), // decided before the SDK is asked
		sdktrace.WithIDGenerator(givenIDs{}),
	)
	p.tracer = p.sdk.Tracer(scope)
	return p, nil
}

// Flush waits until every finished span was exported or lost.
func (p *Provider) Flush(ctx context.Context) error {
	if p == nil || p.sdk == nil {
		return nil
	}
	return p.sdk.ForceFlush(ctx)
}

// Shutdown exports what is waiting, until ctx ends, and stops. Spans that end
// later are lost.
func (p *Provider) Shutdown(ctx context.Context) error {
	if p == nil || p.sdk == nil {
		return nil
	}
	return p.sdk.Shutdown(ctx)
}

// begin decides about a span below parent. When it is not sampled, the Span is
// complete; when it is, record makes it.
func (p *Provider) begin(parent Context) (s Span, sampled bool) {
	switch {
	case p == nil:
		return Span{ctx: parent}, false
	case parent.IsValid() && p.tracer == nil:
		return Span{ctx: parent}, false
	case parent.IsValid():
		return Span{ctx: child(parent)}, parent.Sampled()
	}
	s.ctx = child(Context{})
	if p.tracer != nil && p.chosen(s.ctx.TraceID) {
		s.ctx.Flags |= flagSampled
		return s, true
	}
	return s, false
}

// chosen decides by the trace id, in the way of the SDK's TraceIDRatioBased,
// so that other programs with the same ratio choose the same traces.
func (p *Provider) chosen(id [16]byte) bool {
	return binary.BigEndian.Uint64(id[8:])>>1 < p.bound
}

// start is what record needs to know about a span.
type start struct {
	parent Context
	// remote: the parent is a span of another process, or of another part of
	// the way of the event.
	remote bool
	kind   trace.SpanKind
	name   string
	// creation is linked when it is valid and not the parent.
	creation Context
	attrs    []attribute.KeyValue
}

// record makes the SDK's span of a sampled one.
func (p *Provider) record(s Span, o start) Span {
	ctx := context.Context(idContext{context.Background(), s.ctx})
	if o.parent.IsValid() {
		ctx = trace.ContextWithSpanContext(ctx, o.parent.spanContext(o.remote))
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(o.kind), trace.WithAttributes(o.attrs...)}
	if o.creation.IsValid() && !o.creation.sameSpan(o.parent) {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: o.creation.spanContext(true)}))
	}
	_, s.sdk = p.tracer.Start(ctx, o.name, options...)
	s.kind = o.kind
	return s
}

func (c Context) sameSpan(o Context) bool {
	return c.TraceID == o.TraceID && c.SpanID == o.SpanID
}

// spanContext converts. The SDK refuses a state with a repeated key, which is
// legal; the exported span then has none, and what is propagated keeps it.
func (c Context) spanContext(remote bool) trace.SpanContext {
	state, _ := trace.ParseTraceState(c.State)
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: c.TraceID, SpanID: c.SpanID, TraceFlags: trace.TraceFlags(c.Flags), TraceState: state, Remote: remote,
	})
}

// idContext carries the ids that a span was given before the SDK makes it.
type idContext struct {
	context.Context
	ids Context
}

// idKey asks an idContext for its ids.
type idKey struct{}

// Value returns the ids for idKey.
func (c idContext) Value(key any) any {
	if _, ok := key.(idKey); ok {
		return &c.ids
	}
	return c.Context.Value(key)
}

// givenIDs hands the SDK the ids of the idContext it was called with.
type givenIDs struct{}

// NewIDs returns the ids of a root span.
func (givenIDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if ids, ok := ctx.Value(idKey{}).(*Context); ok {
		return ids.TraceID, ids.SpanID
	}
	return newTraceID(), newSpanID()
}

// NewSpanID returns the id of a span with a parent.
func (g givenIDs) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	_, id := g.NewIDs(ctx)
	return id
}
