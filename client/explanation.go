package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// Explanation says what became of an event and why; the fields are those of
// /api/v1/explain, which openapi.json describes.
type Explanation struct {
	Event      json.RawMessage `json:"event"`
	Position   string          `json:"position"`
	Accepted   time.Time       `json:"accepted,omitzero"`
	State      string          `json:"state,omitempty"`
	Behind     int64           `json:"behind,omitempty"`
	Revision   uint64          `json:"revision"`
	Known      string          `json:"known,omitempty"`
	PolicyTime time.Time       `json:"policyTime,omitzero"`
	Dedup      Dedup           `json:"dedup"`
	Admission  Admission       `json:"admission"`
	// Error is why nothing could be chosen.
	Error       string          `json:"error,omitempty"`
	Links       []LinkVerdict   `json:"links"`
	Letters     []LetterVerdict `json:"letters,omitempty"`
	Chain       Chain           `json:"chain,omitzero"`
	Differences []string        `json:"differences,omitempty"`
}

// Dedup is what deduplication said.
type Dedup struct {
	Verdict    string      `json:"verdict"`
	First      string      `json:"first,omitempty"`
	Duplicates []Duplicate `json:"duplicates,omitempty"`
}

// Duplicate is a copy that was dropped.
type Duplicate struct {
	Position string    `json:"position"`
	Time     time.Time `json:"time"`
}

// Admission is how the event came in, and what the admission policies say of it.
type Admission struct {
	Via     string            `json:"via,omitempty"`
	Asked   bool              `json:"asked"`
	Allowed bool              `json:"allowed"`
	Reason  string            `json:"reason,omitempty"`
	Policy  string            `json:"policy,omitempty"`
	Now     *AdmissionVerdict `json:"now,omitempty"`
	Refused []event.Decision  `json:"refused,omitempty"`
}

// AdmissionVerdict is what admission policies say.
type AdmissionVerdict struct {
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason,omitempty"`
	Policy  string `json:"policy,omitempty"`
}

// NearNothing is Near of a link whose types have nothing in common with the event's.
const NearNothing = 20

// LinkVerdict is one link's part in an explanation.
type LinkVerdict struct {
	Name       string        `json:"name"`
	Function   string        `json:"function"`
	Version    string        `json:"version,omitempty"`
	Matched    bool          `json:"matched"`
	Chosen     bool          `json:"chosen"`
	Near       int           `json:"near"`
	Why        string        `json:"why"`
	Rule       string        `json:"rule,omitempty"`
	Revision   uint64        `json:"revision,omitempty"`
	Outcome    event.Outcome `json:"outcome,omitempty"`
	Limit      string        `json:"limit,omitempty"`
	Waiting    *Waiting      `json:"waiting,omitempty"`
	Since      string        `json:"since,omitempty"`
	Deliveries []event.Run   `json:"deliveries"`
}

// Waiting is where a delivery is that has no outcome yet.
type Waiting struct {
	Where  string    `json:"where"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	Next   time.Time `json:"next,omitzero"`
}

// LetterVerdict is a dead letter of the event.
type LetterVerdict struct {
	ID       string    `json:"id"`
	Link     string    `json:"link,omitempty"`
	Function string    `json:"function,omitempty"`
	Reason   string    `json:"reason"`
	Time     time.Time `json:"time"`
	Attempts int       `json:"attempts"`
	Held     bool      `json:"held,omitempty"`
	State    string    `json:"state"`
	Decided  time.Time `json:"decided,omitzero"`
}

// Chain is what the event came from, and what came of it.
type Chain struct {
	Causes  []ChainStep `json:"causes"`
	Effects []ChainStep `json:"effects"`
	Cut     string      `json:"cut,omitempty"`
}

// ChainStep is one event of a chain.
type ChainStep struct {
	Depth   int    `json:"depth"`
	Source  string `json:"source,omitempty"`
	ID      string `json:"id"`
	Type    string `json:"type,omitempty"`
	Link    string `json:"link,omitempty"`
	Outcome string `json:"outcome,omitempty"`
}

// Explain asks for the explanation of an event; source may be "" when the id is the only one.
func (c *Client) Explain(ctx context.Context, source, id string) (Explanation, error) {
	var out Explanation
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/explain", query: Query{Source: source, ID: id}.values()}, &out)
	return out, err
}
