package history

import (
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// EventJSON is the event of a record in the CloudEvents JSON format, with two
// extensions that are the log's: position ("partition:offset") and logtime
// (RFC 3339). One that the event has itself is left as it is.
func EventJSON(r *event.Record) []byte {
	b := r.Event.AppendJSON(make([]byte, 0, 512+len(r.Event.Data)))
	b = b[:len(b)-1] // the closing brace
	add := func(name, value string) {
		if _, ok := r.Event.Extension(name); !ok {
			b = append(append(append(append(append(b, `,"`...), name...), `":"`...), value...), '"')
		}
	}
	add("position", r.Position.String())
	add("logtime", r.Timestamp.UTC().Format(time.RFC3339Nano))
	return append(b, '}')
}
