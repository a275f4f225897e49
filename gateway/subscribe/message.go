package subscribe

import (
	"bytes"
	"encoding/json"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/history"
)

// message is one thing that is streamed: an event with its position, a run, or
// a line of a function. It is encoded once, when the first subscriber wants it.
type message struct {
	record *event.Record
	run    *event.Run
	line   *history.Line
	text   []byte
}

// id is what a client gives back as Last-Event-ID: the position of an event,
// the id of a run, the position of a line.
func (m *message) id() string {
	switch {
	case m.run != nil:
		return m.run.ID
	case m.line != nil:
		return m.line.Position.String()
	}
	return m.record.Position.String()
}

// json is the message on one line. Line breaks can stand between the tokens of
// JSON that a source sent, never within one; a stream needs them gone.
func (m *message) json() []byte {
	if m.text != nil {
		return m.text
	}
	if m.run != nil {
		m.text, _ = json.Marshal(m.run) // plain fields: it cannot fail
		return m.text
	}
	if m.line != nil {
		m.text, _ = m.line.MarshalJSON() // likewise
		return m.text
	}
	m.text = history.EventJSON(m.record)
	for _, c := range []byte{'\n', '\r'} {
		if bytes.IndexByte(m.text, c) >= 0 {
			m.text = bytes.ReplaceAll(m.text, []byte{c}, []byte{' '})
		}
	}
	return m.text
}
