package history

import (
	"encoding/json"
	"strings"

	"github.com/signalbox-dev/signalbox/event"
)

// Explanation says what became of an event and why.
type Explanation struct {
	Event    *event.Event   `json:"-"`
	Position event.Position `json:"-"`
	// Revision is that of the resources the links were judged by.
	Revision  uint64    `json:"revision"`
	Dedup     Dedup     `json:"dedup"`
	Admission Admission `json:"admission"`
	// Error is why nothing could be chosen: a policy that failed.
	Error string `json:"error,omitempty"`
	// Links are all links, sorted by name.
	Links []Link `json:"links"`
}

// Dedup is what deduplication said.
type Dedup struct {
	// Verdict is first, redelivery, duplicate, or unknown when the claim is gone.
	Verdict string `json:"verdict"`
	// First is the position that holds the claim.
	First string `json:"first,omitempty"`
}

// Admission is what the admission policy says now.
type Admission struct {
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason,omitempty"`
}

// Link is one link's part in an explanation.
type Link struct {
	Name     string `json:"name"`
	Function string `json:"function"`
	// Matched: types, filters and policies all hold. Chosen: Matched, and the
	// link is not paused, so that there is a delivery.
	Matched bool `json:"matched"`
	Chosen  bool `json:"chosen"`
	// Why names the filter, rule or limit that decided.
	Why string `json:"why"`
	// Deliveries are the runs of this link for the event, oldest first.
	Deliveries []event.Run `json:"deliveries"`
}

// MarshalJSON writes the event in the CloudEvents JSON format and the position
// as a string; lists are never null.
func (x *Explanation) MarshalJSON() ([]byte, error) {
	type plain Explanation
	p := plain(*x)
	p.Links = make([]Link, len(x.Links))
	for i, l := range x.Links {
		if l.Deliveries == nil {
			l.Deliveries = []event.Run{}
		}
		p.Links[i] = l
	}
	out := struct {
		Event    json.RawMessage `json:"event"`
		Position string          `json:"position"`
		plain
	}{Position: x.Position.String(), plain: p}
	if x.Event != nil {
		out.Event = x.Event.AppendJSON(nil)
	}
	return json.Marshal(out)
}

// AmbiguousError is answered when only an id was asked for and events of
// several sources have it.
type AmbiguousError struct {
	ID      string
	Sources []string
}

// Error implements error.
func (e *AmbiguousError) Error() string {
	return "several sources sent an event with this id: " + strings.Join(e.Sources, ", ") + "; name one as source"
}
