package event

import (
	"bytes"
	"strings"
	"time"
)

// Message is the event as a Kafka record in binary mode (CloudEvents Kafka
// binding 1.0.2): attributes in headers ce_<name> as they are, datacontenttype
// in content-type, the data as value, and Key as key. Everything in it is a view
// of the event and must not be changed; the caller may append headers. An event
// that FitsBinary does not hold for is in structured mode instead.
func (e *Event) Message() Message {
	if !e.FitsBinary() {
		return Message{Key: e.Key(), Headers: []Header{{"content-type", view(ContentTypeJSON)}}, Value: e.AppendJSON(nil)}
	}
	headers := make([]Header, 0, 10+len(e.Extensions))
	add := func(name, value string) {
		if value != "" {
			headers = append(headers, Header{Key: name, Value: view(value)})
		}
	}
	add("ce_specversion", SpecVersion)
	add("ce_id", e.ID)
	add("ce_source", e.Source)
	add("ce_type", e.Type)
	add("ce_subject", e.Subject)
	add("ce_time", e.Time)
	add("ce_dataschema", e.DataSchema)
	add("content-type", e.DataContentType)
	for i := range e.Extensions {
		x := &e.Extensions[i]
		headers = append(headers, Header{Key: kafkaName(x.Name), Value: view(x.Value)})
	}
	return Message{Key: e.Key(), Headers: headers, Value: e.Data}
}

// kafkaName is the header of an extension, ready-made for the usual ones.
func kafkaName(name string) string {
	switch name {
	case ExtCausationID:
		return "ce_causationid"
	case ExtCorrelationID:
		return "ce_correlationid"
	case ExtHops:
		return "ce_signalboxhops"
	case ExtPath:
		return "ce_signalboxpath"
	case ExtChainStart:
		return "ce_chainstart"
	case ExtReplyID:
		return "ce_replyid"
	case ExtTraceParent:
		return "ce_traceparent"
	case ExtTraceState:
		return "ce_tracestate"
	case "partitionkey":
		return "ce_partitionkey"
	case "sequence":
		return "ce_sequence"
	}
	return "ce_" + name
}

// FromMessage reads the event that a Kafka record carries, in structured or
// binary mode by its content-type header. Header names are matched exactly;
// headers other than content-type and ce_<name> are ignored.
//
// The error is ErrNotEvent when the record bears no mark of an event, and else
// an *InvalidError. The event's strings and data are views of the record's
// bytes: the record is owned by the caller, who never changes or recycles it.
func FromMessage(m Message) (*Event, error) {
	contentType, attributes, twice := "", 0, false
	for i := range m.Headers {
		switch h := &m.Headers[i]; {
		case strings.HasPrefix(h.Key, "ce_"):
			attributes++
		case h.Key == "content-type":
			twice = twice || contentType != ""
			contentType = text(h.Value)
		}
	}
	mode, err := ModeOf(contentType)
	switch {
	case mode == Binary && attributes == 0:
		return nil, ErrNotEvent
	case twice:
		return nil, &InvalidError{"datacontenttype", "header content-type stands twice: want it once"}
	case mode == Batched:
		return nil, invalid("datacontenttype", contentType, "Kafka has no batched mode")
	case err != nil:
		return nil, invalid("datacontenttype", contentType, "want the JSON format, "+ContentTypeJSON)
	case mode == Structured:
		return parseJSON(text(m.Value))
	}
	return fromBinary(m, contentType, attributes)
}

func fromBinary(m Message, contentType string, attributes int) (*Event, error) {
	b := newBuilder(attributes)
	for i := range m.Headers {
		name, ok := strings.CutPrefix(m.Headers[i].Key, "ce_")
		if !ok {
			continue
		}
		if err := b.set(name, text(m.Headers[i].Value)); err != nil {
			return nil, err
		}
	}
	b.e.DataContentType = contentType
	b.e.Data = m.Value
	return b.finish()
}

// RecordFrom reads a record of the event log: its event, or as Fault why it is
// none. TraceParent and TraceState are the record's own headers of these names;
// several tracestate headers are joined, and with several traceparent headers
// neither is valid (W3C Trace Context). The record's bytes must stay as they
// are, as for FromMessage.
func RecordFrom(pos Position, ts time.Time, m Message) Record {
	r := Record{Position: pos, Timestamp: ts, Message: m}
	r.Event, r.Fault = FromMessage(m)
	r.TraceParent, r.TraceState = traceHeaders(m.Headers)
	return r
}

func traceHeaders(headers []Header) (parent, state string) {
	var parents, states [][]byte
	var one, other [1][]byte
	parents, states = one[:0], other[:0]
	for i := range headers {
		switch headers[i].Key {
		case "traceparent":
			parents = append(parents, headers[i].Value)
		case "tracestate":
			states = append(states, headers[i].Value)
		}
	}
	if len(parents) != 1 {
		return "", ""
	}
	if len(states) == 1 {
		return text(parents[0]), text(states[0])
	}
	return text(parents[0]), text(bytes.Join(states, []byte(",")))
}
