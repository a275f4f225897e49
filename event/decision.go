package event

import (
	"encoding/json"
	"fmt"
	"time"
)

// The CloudEvent that carries a decision.
const (
	DecisionType   = "signalbox.decision"
	DecisionSource = "/signalbox/decisions"
)

// DecisionKind says what was decided.
type DecisionKind string

// The kinds of decisions that are kept. What was chosen for an event is in its
// run records, and can be computed again from the revision.
const (
	// DecidedChoosing: from Position on, the events of its partition are chosen for by Revision.
	DecidedChoosing DecisionKind = "choosing"
	// DecidedAdmission: an event was refused; Event says which.
	DecidedAdmission DecisionKind = "admission"
	// DecidedManagement: a request to the API was refused, or changed a resource.
	DecidedManagement DecisionKind = "management"
	// DecidedShadow: a policy in shadow mode would have chosen otherwise.
	DecidedShadow DecisionKind = "shadow"
	// DecidedSchema: an event that does not satisfy a schema was refused, or let in with a warning.
	DecidedSchema DecisionKind = "schema"
)

// Decision is a record of the topic signalbox.decisions.
type Decision struct {
	Kind DecisionKind `json:"kind"`
	Time time.Time    `json:"time"`
	// Revision is that of the resources that were in force.
	Revision uint64 `json:"revision,omitempty"`
	// Position is an event's in the log: the first one decided so (choosing), or
	// the one that was decided about.
	Position string `json:"position,omitempty"`
	// Event names the event, where the decision is about one.
	Event *DecidedEvent `json:"event,omitempty"`
	// Identity is who asked, without secrets; nil is anonymous.
	Identity map[string]any `json:"identity,omitempty"`
	// Route and Method are of the request; Resource is kind/name, where it is about one.
	Route    string `json:"route,omitempty"`
	Method   string `json:"method,omitempty"`
	Resource string `json:"resource,omitempty"`
	// Allowed: the request was carried out (management), or the event let in with a warning (schema).
	Allowed bool `json:"allowed,omitempty"`
	// Policy is the policy, or schema, that decided; Reason says why.
	Policy string `json:"policy,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Newly and Stops are the links that a policy in shadow mode would have added and taken out.
	Newly []string `json:"newly,omitempty"`
	Stops []string `json:"stops,omitempty"`
	// Before and After are the resource before and after a change (management); nil is none.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	// Changed are the paths of what differs between them, such as spec.url: at
	// most 50, and then "…". It is there too where they were too large to be kept.
	Changed []string `json:"changed,omitempty"`
}

// DecidedEvent names the event of a decision.
type DecidedEvent struct {
	Source string `json:"source"`
	ID     string `json:"id"`
	Type   string `json:"type"`
	Size   int    `json:"size"`
}

// Message is the decision as a record: no key, value a CloudEvent in binary mode
// of type signalbox.decision with the decision as JSON data. id is the event's.
func (d *Decision) Message(id string) Message {
	value, err := json.Marshal(d)
	if err != nil { // Identity, Before or After is no JSON: say the rest
		plain := *d
		plain.Identity, plain.Before, plain.After = nil, nil, nil
		value, _ = json.Marshal(&plain)
	}
	return Message{
		Headers: []Header{
			{"ce_specversion", []byte(SpecVersion)},
			{"ce_id", []byte(id)},
			{"ce_source", []byte(DecisionSource)},
			{"ce_type", []byte(DecisionType)},
			{"ce_time", []byte(d.Time.UTC().Format(time.RFC3339Nano))},
			{"ce_subject", []byte(d.Kind)},
			{"content-type", []byte("application/json")},
		},
		Value: value,
	}
}

// ParseDecision reads what Message wrote.
func ParseDecision(m Message) (Decision, error) {
	var d Decision
	if t, _ := m.Header("ce_type"); string(t) != DecisionType {
		return d, fmt.Errorf("ce_type %q: want %s", t, DecisionType)
	}
	err := json.Unmarshal(m.Value, &d)
	return d, err
}
