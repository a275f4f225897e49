package event

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// ParkedHeader is the header of a record of a parked topic that holds the
// Parked as JSON.
const ParkedHeader = "signalbox_parked"

// ParkReason says why a delivery waits in the log.
type ParkReason string

// The reasons for parking a delivery.
const (
	// ParkFull: the function's lane had no room.
	ParkFull ParkReason = "full"
	// ParkSlow: it would have waited in the lane for too long.
	ParkSlow ParkReason = "slow"
	// ParkClosed: the function takes nothing for some time (429, 503, refused, breaker).
	ParkClosed ParkReason = "closed"
	// ParkRetry: its next attempt is some time away.
	ParkRetry ParkReason = "retry"
	// ParkOrder: an earlier event of its key is parked.
	ParkOrder ParkReason = "order"
	// ParkDead: it is a dead letter, and its key waits for what is decided about it.
	ParkDead ParkReason = "dead"
	// ParkStop: the dispatcher stopped before its next attempt.
	ParkStop ParkReason = "stop"
	// ParkDelay: the event's deliverafter lies ahead.
	ParkDelay ParkReason = "delay"
	// ParkLease: the function works on it and will report.
	ParkLease ParkReason = "lease"
	// ParkRedrive, ParkReplay and ParkCatchUp: put there to be delivered (again).
	ParkRedrive ParkReason = "redrive"
	ParkReplay  ParkReason = "replay"
	ParkCatchUp ParkReason = "catchup"
)

// Parked is a delivery that waits in the log, on the topic
// signalbox.parked.<function>: everything that is needed to go on with it.
type Parked struct {
	// Event is what is delivered; it stands in the record itself.
	Event *Event `json:"-"`
	// Key orders it among the deliveries of its link: the key of the event's
	// record in the log. nil is none. It is the record's key.
	Key      []byte `json:"-"`
	Link     string `json:"link"`
	Function string `json:"function"`
	// Version is that of the function; "" is the one in force when it is called.
	Version string `json:"version,omitempty"`
	// Position is where the log keeps the event, as partition:offset.
	Position string `json:"position"`
	// Accepted is the time of the event's record in the log: ages count from it.
	Accepted time.Time `json:"accepted"`
	// Revision is that of the resources by which was chosen.
	Revision uint64 `json:"revision"`
	// Attempt is the number of calls that were made, Free how many of them spent
	// no attempt (the function took nothing), Attempts the others that failed.
	Attempt  int       `json:"attempt,omitempty"`
	Free     int       `json:"free,omitempty"`
	Attempts []Attempt `json:"attempts,omitempty"`
	// NotBefore is when the next call may be made; zero is at once.
	NotBefore time.Time  `json:"notBefore,omitzero"`
	Reason    ParkReason `json:"reason"`
	// Leased is when the call began that the function answered with a lease;
	// the lease ends at NotBefore. Zero unless Reason is ParkLease.
	Leased time.Time `json:"leased,omitzero"`
	// Letter is the id of the dead letter that this delivery is or was.
	Letter string `json:"letter,omitempty"`
	// Redrive counts the times that it was a dead letter and was sent again.
	Redrive int `json:"redrive,omitempty"`
	// Replay is the name of the replay that sent it; "" is none.
	Replay string `json:"replay,omitempty"`
}

// Message is the delivery as a record of its parked topic: the event in binary
// mode and the header signalbox_parked. The record's key is Key.
func (p *Parked) Message() Message {
	m := p.Event.Message()
	m.Key = p.Key
	b, err := json.Marshal(p)
	if err != nil {
		// A year beyond 9999, which no clock gives: better without times than lost.
		q := *p
		q.Attempts, q.Accepted, q.NotBefore = nil, time.Time{}, time.Time{}
		b, _ = json.Marshal(&q)
	}
	m.Headers = append(slices.Clip(m.Headers), Header{Key: ParkedHeader, Value: b})
	return m
}

// ParseParked reads what Message wrote. The event is a view of the message.
func ParseParked(m Message) (Parked, error) {
	var p Parked
	head, ok := m.Header(ParkedHeader)
	if !ok {
		return p, fmt.Errorf("parked delivery: header %s is missing", ParkedHeader)
	}
	if err := json.Unmarshal(head, &p); err != nil {
		return Parked{}, fmt.Errorf("parked delivery: header %s: %w", ParkedHeader, err)
	}
	if p.Link == "" || p.Function == "" {
		return Parked{}, fmt.Errorf("parked delivery: header %s: link and function are missing", ParkedHeader)
	}
	if _, err := ParsePosition(p.Position); err != nil {
		return Parked{}, fmt.Errorf("parked delivery: header %s: %w", ParkedHeader, err)
	}
	ev, err := FromMessage(m)
	if err != nil {
		return Parked{}, fmt.Errorf("parked delivery of link %s, event at %s: %w", p.Link, p.Position, err)
	}
	p.Event, p.Key = ev, m.Key
	return p, nil
}
