package history

import (
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// EventJSON is the event of a record in the CloudEvents JSON format, with two
// members that are the log's and not the event's: position ("partition:offset")
// and logTime (RFC 3339). Their names hide no attribute: one has a capital
// letter, and an extension called position is left as it is.
func EventJSON(r *event.Record) []byte {
	b := r.Event.AppendJSON(make([]byte, 0, 512+len(r.Event.Data)))
	b = b[:len(b)-1] // the closing brace
	if _, ok := r.Event.Extension("position"); !ok {
		b = append(append(append(b, `,"position":"`...), r.Position.String()...), '"')
	}
	b = append(append(b, `,"logTime":"`...), r.Timestamp.UTC().Format(time.RFC3339Nano)...)
	return append(b, `"}`...)
}
