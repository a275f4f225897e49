package event

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// ResolutionHeader is the header of a record of the topic signalbox.dead that
// is no dead letter but says what was decided about one: a Resolution as JSON.
const ResolutionHeader = "signalbox_resolution"

// Action is what was decided about a dead letter.
type Action string

// The actions on a dead letter.
const (
	// Redrive delivers it again, its attempts counted from 1.
	Redrive Action = "redrive"
	// Drop gives it up.
	Drop Action = "drop"
)

// Resolution is a decision about a dead letter. The first one holds.
type Resolution struct {
	// Letter is the dead letter's id.
	Letter string `json:"letter"`
	Action Action `json:"action"`
	// Event replaces the dead letter's; nil leaves it as it was. It stands in
	// the record itself.
	Event *Event `json:"-"`
	// Version is that of the function to deliver to; "" is the one in force.
	Version string    `json:"version,omitempty"`
	Time    time.Time `json:"time"`
}

// Message is the decision as a record of the topic signalbox.dead: the
// event that replaces the dead letter's, if any, in binary mode, and the header
// signalbox_resolution. The record's key is the letter's id.
func (r *Resolution) Message() Message {
	var m Message
	if r.Event != nil {
		m = r.Event.Message()
	}
	m.Key = []byte(r.Letter)
	b, err := json.Marshal(r)
	if err != nil { // a year beyond 9999, which no clock gives
		q := *r
		q.Time = time.Time{}
		b, _ = json.Marshal(&q)
	}
	m.Headers = append(slices.Clip(m.Headers), Header{Key: ResolutionHeader, Value: b})
	return m
}

// ParseResolution reads what Message wrote. ok is false for a record that is no
// resolution. The event is a view of the message.
func ParseResolution(m Message) (r Resolution, ok bool, err error) {
	head, ok := m.Header(ResolutionHeader)
	if !ok {
		return r, false, nil
	}
	if err := json.Unmarshal(head, &r); err != nil {
		return Resolution{}, true, fmt.Errorf("resolution: header %s: %w", ResolutionHeader, err)
	}
	if r.Letter == "" || (r.Action != Redrive && r.Action != Drop) {
		return Resolution{}, true, fmt.Errorf("resolution: header %s: want a letter, and redrive or drop", ResolutionHeader)
	}
	if len(m.Headers) > 1 {
		if r.Event, err = FromMessage(m); err != nil {
			return Resolution{}, true, fmt.Errorf("resolution of %s: %w", r.Letter, err)
		}
	}
	return r, true, nil
}
