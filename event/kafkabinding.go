package event

import "time"

// Message is the event as a Kafka record in binary mode.
func (e *Event) Message() Message { return Message{Key: e.Key(), Value: e.Data} }

// FromMessage reads the event that a Kafka record carries.
func FromMessage(m Message) (*Event, error) { return nil, errTodo }

// RecordFrom reads a record of the event log.
func RecordFrom(pos Position, ts time.Time, m Message) Record {
	r := Record{Position: pos, Timestamp: ts, Message: m}
	r.Event, r.Fault = FromMessage(m)
	return r
}
