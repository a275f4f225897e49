package event

import "time"

// Attempt is one call of a function for one delivery.
type Attempt struct {
	// Number counts from 1.
	Number int `json:"number"`
	// Time is when the call began.
	Time time.Time `json:"time"`
	// DurationMS is how long the call took, in milliseconds.
	DurationMS float64 `json:"durationMs"`
	// Status is the HTTP status; 0 when there was no answer.
	Status int `json:"status,omitempty"`
	// Class is the error class ("" on success): see dispatcher.DeliveryError.
	Class string `json:"class,omitempty"`
	// Error is the cause in words, redacted.
	Error string `json:"error,omitempty"`
	// Body is the start of the answer's body, at most 1024 bytes.
	Body string `json:"body,omitempty"`
}

// Outcome is how a delivery ended.
type Outcome string

// The outcomes of a delivery.
const (
	Delivered Outcome = "delivered"
	Dead      Outcome = "dead"
	Dropped   Outcome = "dropped"
	Retrying  Outcome = "retrying"
	// Waiting: it was parked before it was called (again).
	Waiting Outcome = "waiting"
)

// Final reports whether nothing more comes of the delivery.
func (o Outcome) Final() bool { return o != Retrying && o != Waiting }

// Run is the record of one delivery (or of one attempt that will be repeated:
// then Outcome is Retrying; or of its being parked: Waiting), kept on the topic signalbox.runs.
type Run struct {
	ID       string `json:"id"`
	Link     string `json:"link"`
	Function string `json:"function"`
	Version  string `json:"version,omitempty"`
	// EventSource, EventID, EventType and Position name the event that was delivered.
	EventSource string `json:"eventSource"`
	EventID     string `json:"eventId"`
	EventType   string `json:"eventType"`
	Position    string `json:"position"`
	// Attempt is the number of the last attempt.
	Attempt int     `json:"attempt"`
	Outcome Outcome `json:"outcome"`
	// Reason says why for Dead and Dropped, and what failed for Retrying.
	Reason string    `json:"reason,omitempty"`
	Status int       `json:"status,omitempty"`
	Time   time.Time `json:"time"`
	// DurationMS is the last call's, in milliseconds.
	DurationMS float64 `json:"durationMs"`
	TraceID    string  `json:"traceId,omitempty"`
	// Revision is that of the resources by which the function was chosen.
	Revision uint64 `json:"revision"`
	// Replies are the events the function answered with.
	Replies []ReplyRef `json:"replies,omitempty"`
}

// ReplyRef names an event that a run produced.
type ReplyRef struct {
	Source string `json:"source"`
	ID     string `json:"id"`
	Type   string `json:"type"`
}

// DeadLetter is a delivery that ended without success, or a record that is no
// event, kept on the topic signalbox.dead.
type DeadLetter struct {
	// ID is derived from the position and the link, so that writing it twice
	// gives the same one.
	ID string `json:"id"`
	// Event is nil when the record was no event; Raw holds it then.
	Event *Event `json:"-"`
	// Raw is the record as it stood in the log, when it was no event.
	Raw      Message   `json:"-"`
	Link     string    `json:"link,omitempty"`
	Function string    `json:"function,omitempty"`
	Version  string    `json:"version,omitempty"`
	Reason   string    `json:"reason"`
	Attempts []Attempt `json:"attempts"`
	Revision uint64    `json:"revision"`
	Position string    `json:"position"`
	Time     time.Time `json:"time"`
	TraceID  string    `json:"traceId,omitempty"`
	// Accepted is the time of the event's record in the log.
	Accepted time.Time `json:"accepted,omitzero"`
	// Key is the key that the link orders by, base64 in JSON; nil is none.
	Key []byte `json:"key,omitempty"`
	// Held says that the later events of the key wait for what is decided about this one.
	Held bool `json:"held,omitempty"`
	// Redrive counts the times that the delivery was sent again before.
	Redrive int `json:"redrive,omitempty"`
	// TraceParent and TraceState are the trace context of the event's record; they
	// stand in headers of these names.
	TraceParent string `json:"-"`
	TraceState  string `json:"-"`
}
