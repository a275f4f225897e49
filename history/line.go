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

// lineJSON is a Line as it is written: with the position as a string.
type lineJSON struct {
	*event.Log
	Position string `json:"position"`
}

// MarshalJSON writes the line's fields with the position as a string.
func (l Line) MarshalJSON() ([]byte, error) {
	return json.Marshal(lineJSON{&l.Log, l.Position.String()})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (l *Line) UnmarshalJSON(b []byte) error {
	in := lineJSON{Log: &l.Log}
	err := json.Unmarshal(b, &in)
	if err == nil {
		l.Position, err = event.ParsePosition(in.Position)
	}
	return err
}
