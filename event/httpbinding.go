package event

import (
	"bytes"
	"errors"
	"strings"
	"sync"
)

// Mode is how an HTTP or Kafka message carries CloudEvents.
type Mode uint8

// The content modes (CloudEvents HTTP binding 1.0.2, section "Content Modes").
const (
	// Binary: attributes in headers, the data is the body.
	Binary Mode = iota
	// Structured: one event, attributes and data, is the body.
	Structured
	// Batched: a list of events is the body.
	Batched
)

// The content types of the JSON format.
const (
	ContentTypeJSON  = "application/cloudevents+json"
	ContentTypeBatch = "application/cloudevents-batch+json"
)

// ModeOf tells the mode by the content type, without case and whatever its
// parameters. The error is ErrUnsupportedFormat for a structured or batched
// message that is not JSON.
func ModeOf(contentType string) (Mode, error) {
	const prefix, batch = "application/cloudevents", "application/cloudevents-batch"
	mediaType := mediaTypeOf(contentType)
	mode, format := Structured, ""
	switch {
	case foldPrefix(mediaType, batch):
		mode, format = Batched, mediaType[len(batch):]
	case foldPrefix(mediaType, prefix):
		format = mediaType[len(prefix):]
	default:
		return Binary, nil
	}
	if !strings.EqualFold(format, "+json") {
		return mode, ErrUnsupportedFormat
	}
	return mode, nil
}

// FitsBinary reports whether the event can travel in binary mode. It cannot when
// its own data are a CloudEvent or a batch by their content type: the receiver
// would take the message for structured or batched, and the data for the event.
// Such an event is sent in structured mode.
func (e *Event) FitsBinary() bool {
	mode, _ := ModeOf(e.DataContentType)
	return mode == Binary
}

// mediaTypeOf is the content type without parameters and blanks.
func mediaTypeOf(contentType string) string {
	if i := strings.IndexByte(contentType, ';'); i >= 0 {
		contentType = contentType[:i]
	}
	return strings.Trim(contentType, " \t")
}

func foldPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// Parse reads the events of a message in the mode that its content type says: one
// event, or those of a batch of at most max. headers, what the events own and the
// errors are as for ParseHTTP, ParseJSON and ParseJSONBatch.
func Parse(contentType string, headers func(yield func(name, value []byte)), body []byte, max int) ([]*Event, error) {
	mode, err := ModeOf(contentType)
	if err != nil {
		return nil, err
	}
	var e *Event
	switch mode {
	case Batched:
		return ParseJSONBatch(body, max)
	case Structured:
		e, err = ParseJSON(body)
	default:
		e, err = ParseHTTP(contentType, headers, body)
	}
	if err != nil {
		return nil, err
	}
	return []*Event{e}, nil
}

// ParseOne is Parse of a message that is to hold one event; of a batch there must be one, too.
func ParseOne(contentType string, headers func(yield func(name, value []byte)), body []byte) (*Event, error) {
	all, err := Parse(contentType, headers, body, 1)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("an empty batch")
	}
	return all[0], nil
}

// Headers gives an http.Header to Parse and ParseHTTP.
func Headers(h map[string][]string) func(yield func(name, value []byte)) {
	return func(yield func(name, value []byte)) {
		for name, values := range h {
			for _, v := range values {
				yield([]byte(name), []byte(v))
			}
		}
	}
}

// ParseHTTP reads an event in binary mode. headers calls its argument with
// every header of the message, names in any case; headers that do not begin
// with ce- are ignored. Nothing of the arguments is kept: names, values and body
// are copied into one buffer that the event owns.
//
// The error is ErrNotEvent when there is no ce- header at all, and else an
// *InvalidError. An empty body is no data.
func ParseHTTP(contentType string, headers func(yield func(name, value []byte)), body []byte) (*Event, error) {
	p := collectors.Get().(*collector)
	defer p.release()
	headers(p.visit)
	return p.event(strings.Trim(contentType, " \t"), body)
}

// collectors keeps scratch memory between calls; nothing of an event stays in it.
var collectors = sync.Pool{New: func() any {
	p := new(collector)
	p.visit = p.collect
	return p
}}

// collector gathers the ce- headers of one message, decoded, in one scratch
// buffer, so that the event's own buffer can be made in its exact size.
type collector struct {
	visit   func(name, value []byte)
	scratch []byte
	found   []span
	err     error
}

// span is where an attribute stands in the buffer.
type span struct{ name, value, end int }

func (p *collector) release() {
	const keep = 64 << 10
	if cap(p.scratch) > keep || cap(p.found) > keep/16 {
		return
	}
	p.scratch, p.found, p.err = p.scratch[:0], p.found[:0], nil
	collectors.Put(p)
}

func (p *collector) collect(name, value []byte) {
	if len(name) < 3 || name[2] != '-' || name[0]|0x20 != 'c' || name[1]|0x20 != 'e' {
		return
	}
	s := span{name: len(p.scratch)}
	for _, c := range name[3:] {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		p.scratch = append(p.scratch, c)
	}
	s.value = len(p.scratch)
	var err error
	p.scratch, err = appendDecoded(p.scratch, bytes.Trim(value, " \t"))
	if err != nil && p.err == nil {
		p.err = &InvalidError{shortName(string(p.scratch[s.name:s.value])), quoted(string(value)) + ": " + err.Error()}
	}
	s.end = len(p.scratch)
	p.found = append(p.found, s)
}

func (p *collector) event(contentType string, body []byte) (*Event, error) {
	if len(p.found) == 0 {
		return nil, ErrNotEvent
	}
	if p.err != nil {
		return nil, p.err
	}
	buf := make([]byte, 0, len(p.scratch)+len(contentType)+len(body))
	buf = append(append(append(buf, p.scratch...), contentType...), body...)
	all := text(buf)
	head, end := len(p.scratch), len(p.scratch)+len(contentType)
	b := newBuilder(len(p.found))
	for _, s := range p.found {
		if err := b.set(all[s.name:s.value], all[s.value:s.end]); err != nil {
			return nil, err
		}
	}
	b.e.DataContentType = all[head:end]
	if len(body) > 0 {
		b.e.Data = buf[end:len(buf):len(buf)]
	}
	return b.finish()
}

// VisitHTTPHeaders calls fn with every header of the event in binary mode: the
// Content-Type when there is one, and a ce- header for each other attribute,
// its value percent-encoded. It allocates only for values that need escapes
// and for extensions whose names are not among the usual ones. FitsBinary must
// hold for the event.
func (e *Event) VisitHTTPHeaders(fn func(name, value string)) {
	if e.DataContentType != "" {
		fn("Content-Type", e.DataContentType)
	}
	fn("ce-specversion", SpecVersion)
	fn("ce-id", percentEncoded(e.ID))
	fn("ce-source", percentEncoded(e.Source))
	fn("ce-type", percentEncoded(e.Type))
	if e.Subject != "" {
		fn("ce-subject", percentEncoded(e.Subject))
	}
	if e.Time != "" {
		fn("ce-time", percentEncoded(e.Time))
	}
	if e.DataSchema != "" {
		fn("ce-dataschema", percentEncoded(e.DataSchema))
	}
	for i := range e.Extensions {
		fn(httpName(e.Extensions[i].Name), percentEncoded(e.Extensions[i].Value))
	}
}

// httpName is the header of an extension, ready-made for the usual ones.
func httpName(name string) string {
	switch name {
	case ExtCausationID:
		return "ce-causationid"
	case ExtCorrelationID:
		return "ce-correlationid"
	case ExtHops:
		return "ce-signalboxhops"
	case ExtPath:
		return "ce-signalboxpath"
	case ExtChainStart:
		return "ce-chainstart"
	case ExtReplyID:
		return "ce-replyid"
	case ExtTraceParent:
		return "ce-traceparent"
	case ExtTraceState:
		return "ce-tracestate"
	case "partitionkey":
		return "ce-partitionkey"
	case "sequence":
		return "ce-sequence"
	}
	return "ce-" + name
}
