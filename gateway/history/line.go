package history

import (
	"encoding/json"

	"github.com/signalbox-dev/signalbox/event"
)

// Line is one line of a function, with its place in the log.
type Line struct {
	event.Log
	Position event.Position
}

// MarshalJSON writes the line's fields with the position as a string.
func (l *Line) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		*event.Log
		Position string `json:"position"`
	}{&l.Log, l.Position.String()})
}
