package event

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Header is one Kafka record header.
type Header struct {
	Key   string
	Value []byte
}

// Message is a Kafka record without its coordinates: what is appended to a topic.
type Message struct {
	Key     []byte
	Headers []Header
	// Value is the payload; nil is a tombstone, or an event without data.
	Value []byte
}

// Header returns the value of the first header key, and whether there is one.
func (m *Message) Header(key string) ([]byte, bool) {
	for i := range m.Headers {
		if m.Headers[i].Key == key {
			return m.Headers[i].Value, true
		}
	}
	return nil, false
}

// Position is where the log keeps an event.
type Position struct {
	Partition int32
	Offset    int64
}

// String is the position as "partition:offset".
func (p Position) String() string {
	return strconv.Itoa(int(p.Partition)) + ":" + strconv.FormatInt(p.Offset, 10)
}

// ParsePosition reads what String wrote.
func ParsePosition(s string) (Position, error) {
	a, b, ok := strings.Cut(s, ":")
	if !ok {
		return Position{}, fmt.Errorf("position %q: want partition:offset", s)
	}
	p, err := strconv.ParseInt(a, 10, 32)
	if err != nil {
		return Position{}, fmt.Errorf("position %q: partition: %w", s, err)
	}
	o, err := strconv.ParseInt(b, 10, 64)
	if err != nil {
		return Position{}, fmt.Errorf("position %q: offset: %w", s, err)
	}
	return Position{Partition: int32(p), Offset: o}, nil
}

// Record is one record of the event log.
type Record struct {
	Position
	// Event is nil when the record is no event; Fault then says why.
	Event *Event
	Fault error
	// Timestamp is the record's time in the log.
	Timestamp time.Time
	// TraceParent and TraceState are the record's own headers (per hop, W3C),
	// not the distributed tracing extension (ce_traceparent) of the event.
	TraceParent string
	TraceState  string
	// Message is the record as it stands in the log.
	Message Message
}

// Key is the record's Kafka key, "" when it has none: a view of Message.Key,
// which nobody changes.
func (r *Record) Key() string { return text(r.Message.Key) }

// Verdict is what deduplication says of one record.
type Verdict uint8

// The verdicts of a claim (design: dedup by log coordinates).
const (
	// FirstSight: nobody claimed this source and id before.
	FirstSight Verdict = iota
	// Redelivery: claimed before by the same coordinates; go on.
	Redelivery
	// Duplicate: claimed by other coordinates; drop and count.
	Duplicate
)

// String names the verdict as explain shows it.
func (v Verdict) String() string {
	switch v {
	case FirstSight:
		return "first"
	case Redelivery:
		return "redelivery"
	case Duplicate:
		return "duplicate"
	}
	return "verdict " + strconv.Itoa(int(v))
}
