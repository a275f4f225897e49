package eventlog

import (
	"github.com/signalbox-dev/signalbox/event"
	"github.com/twmb/franz-go/pkg/kgo"
)

// eventRecord is a record of the events topic, parsed.
func eventRecord(r *kgo.Record) event.Record {
	return event.RecordFrom(position(r), r.Timestamp, message(r))
}

// topicRecord is a record of any topic: only those of the events topic are
// parsed, since the others have parsers of their own (event.ParseRun, …).
func topicRecord(t Topic, r *kgo.Record) event.Record {
	if t == Events {
		return eventRecord(r)
	}
	return event.Record{Position: position(r), Timestamp: r.Timestamp, Message: message(r)}
}

func position(r *kgo.Record) event.Position {
	return event.Position{Partition: r.Partition, Offset: r.Offset}
}

func message(r *kgo.Record) event.Message {
	return event.Message{Key: r.Key, Headers: messageHeaders(r.Headers), Value: r.Value}
}
