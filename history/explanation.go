package history

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// Explanation says what became of an event and why. What is recorded is told as
// it was; the rest is judged again by the resources of then.
type Explanation struct {
	Event    *event.Event   `json:"-"`
	Position event.Position `json:"-"`
	// Accepted is the event's time in the log.
	Accepted time.Time `json:"accepted"`
	State    State     `json:"state"`
	// Behind is, for a pending event, how many records of its partition stand before it.
	Behind int64 `json:"behind,omitempty"`
	// Revision is that of the resources by which was chosen, and Known how that is known.
	Revision uint64 `json:"revision"`
	Known    Known  `json:"known"`
	// PolicyTime is the time at which policies were asked again.
	PolicyTime time.Time `json:"policyTime"`
	Dedup      Dedup     `json:"dedup"`
	Admission  Admission `json:"admission"`
	// Error is why nothing could be chosen: a policy that failed, a loop.
	Error string `json:"error,omitempty"`
	// Links are all links: those chosen, those that matched and were held back,
	// near misses, then the others.
	Links []Link `json:"links"`
	// Letters are the event's dead letters.
	Letters []LetterRef `json:"letters"`
	Chain   Chain       `json:"chain"`
	// Differences are where what is recorded and what is judged again disagree,
	// and what could not be found out.
	Differences []string `json:"differences"`
}

// State is how far an event is.
type State string

// The states of an event.
const (
	// StatePending: no dispatcher has come to it yet, as far as is recorded.
	StatePending State = "pending"
	// StateOpen: a delivery has no outcome yet.
	StateOpen State = "open"
	// StateDone: nothing more comes of it by itself.
	StateDone State = "done"
)

// Known says how the revision is known by which was chosen.
type Known string

// The ways to know a revision.
const (
	// KnownByRun: run records say it. KnownByLetter: a dead letter does.
	KnownByRun    Known = "run"
	KnownByLetter Known = "deadletter"
	// KnownByNote: the decision log says from where on it was chosen by.
	KnownByNote Known = "note"
	// KnownEstimated: it is the newest one of the time when the event came in.
	KnownEstimated Known = "estimated"
	// KnownPresent: nothing was chosen yet, so it is the one in force.
	KnownPresent Known = "present"
)

// Dedup is what deduplication said.
type Dedup struct {
	// Verdict is first, duplicate (another copy was taken, and is gone from the
	// log), or unknown: the claim has expired and nothing else tells.
	Verdict string `json:"verdict"`
	// First is the position of the copy that was taken.
	First string `json:"first,omitempty"`
	// Duplicates are the copies that were dropped.
	Duplicates []Duplicate `json:"duplicates,omitempty"`
}

// Duplicate is a copy of an event that was dropped.
type Duplicate struct {
	Position string    `json:"position"`
	Time     time.Time `json:"time"`
}

// Admission is how the event came in, and what the admission policies say of it.
type Admission struct {
	// Via says how it came in, as far as the event shows it.
	Via string `json:"via"`
	// Asked: it came a way on which admission policies are asked, or may have.
	Asked bool `json:"asked"`
	// Allowed, Reason and Policy are what the policies of Revision say when they
	// are asked again. What the event does not show of its sender they are not told.
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason,omitempty"`
	Policy  string `json:"policy,omitempty"`
	// Now is what those in force say, where that is something else.
	Now *AdmissionVerdict `json:"now,omitempty"`
	// Refused are the times that an event with this source and id was refused.
	Refused []event.Decision `json:"refused,omitempty"`
}

// AdmissionVerdict is what admission policies say.
type AdmissionVerdict struct {
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason,omitempty"`
	Policy  string `json:"policy,omitempty"`
}

// NearNothing is Near of a link whose types have nothing in common with the event's.
const NearNothing = 20

// Link is one link's part in an explanation.
type Link struct {
	Name     string `json:"name"`
	Function string `json:"function"`
	// Version is the function's that the event went to, or would have.
	Version string `json:"version,omitempty"`
	// Matched: types, filters and policies all hold. Chosen: Matched, and the
	// link is not paused, so that there is a delivery.
	Matched bool `json:"matched"`
	Chosen  bool `json:"chosen"`
	// Near is 0 when types and filters hold, else how far they are from it: up to
	// 9 is the number of filters that do not; from 10 on the type is another, and
	// NearNothing has nothing in common with it.
	Near int `json:"near"`
	// Why names the filter, rule or limit that decided.
	Why string `json:"why"`
	// Rule is the rule of a policy that decided, as policy:line of its Rego.
	Rule string `json:"rule,omitempty"`
	// Revision is that of the resources it was chosen by, where that is not the
	// event's: it was paused then, or replayed.
	Revision uint64 `json:"revision,omitempty"`
	// Outcome is the last one recorded.
	Outcome event.Outcome `json:"outcome,omitempty"`
	// Limit names what kept the event from its function, or ended its delivery:
	// paused, expired, delay, full, slow, closed, retry, lease, order, stop,
	// attempts, maxAge, chain, deadletter or dropped.
	Limit string `json:"limit,omitempty"`
	// Waiting says where a delivery without an outcome is.
	Waiting *Waiting `json:"waiting,omitempty"`
	// Since is what became of the link afterwards, in words: gone, or changed.
	Since string `json:"since,omitempty"`
	// Deliveries are the runs of this link for the event, oldest first.
	Deliveries []event.Run `json:"deliveries"`
}

// Waiting is a delivery that has no outcome yet.
type Waiting struct {
	// Where is parked (in the log), held (its key waits for a dead letter) or dispatcher.
	Where string `json:"where"`
	// Reason is why it is parked, see event.ParkReason.
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	// Next is when it is tried next, if that is known.
	Next time.Time `json:"next,omitzero"`
}

// LetterRef is a dead letter of the event, and what was decided about it.
type LetterRef struct {
	ID string `json:"id"`
	// Link is empty when the event was refused as a whole.
	Link     string    `json:"link,omitempty"`
	Function string    `json:"function,omitempty"`
	Reason   string    `json:"reason"`
	Time     time.Time `json:"time"`
	Attempts int       `json:"attempts"`
	// Held: the later events of its key wait for what is decided about it.
	Held  bool        `json:"held,omitempty"`
	State LetterState `json:"state"`
	// Decided is when it was redriven or dropped.
	Decided time.Time `json:"decided,omitzero"`
}

// Chain is what the event came from and what came of it.
type Chain struct {
	// Causes go from the event's own cause up to the first event of the chain.
	Causes []ChainStep `json:"causes"`
	// Effects are the events that came of it, each behind the one it came of.
	Effects []ChainStep `json:"effects"`
	// Cut says that there are more, or that some could not be found.
	Cut string `json:"cut,omitempty"`
}

// ChainStep is one event of a chain.
type ChainStep struct {
	// Depth counts the functions between it and the event that is explained.
	Depth  int    `json:"depth"`
	Source string `json:"source,omitempty"`
	ID     string `json:"id"`
	Type   string `json:"type,omitempty"`
	// Link is the one whose function answered with the later of the two: with
	// this one for an effect, with the one before it for a cause.
	Link string `json:"link,omitempty"`
	// Outcome sums up the event's own deliveries.
	Outcome string `json:"outcome,omitempty"`
}

// plain is an Explanation without methods.
type plain Explanation

// explanationJSON is an Explanation as it is written: with the event in the
// CloudEvents JSON format, and the position as a string.
type explanationJSON struct {
	Event    json.RawMessage `json:"event"`
	Position string          `json:"position"`
	*plain
}

// MarshalJSON writes the event in the CloudEvents JSON format and the position
// as a string; lists are never null.
func (x Explanation) MarshalJSON() ([]byte, error) {
	p := plain(x)
	p.Links = make([]Link, len(x.Links))
	for i, l := range x.Links {
		l.Deliveries = list(l.Deliveries)
		p.Links[i] = l
	}
	p.Letters, p.Differences = list(x.Letters), list(x.Differences)
	p.Chain.Causes, p.Chain.Effects = list(x.Chain.Causes), list(x.Chain.Effects)
	out := explanationJSON{Position: x.Position.String(), plain: &p}
	if x.Event != nil {
		out.Event = x.Event.AppendJSON(nil)
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (x *Explanation) UnmarshalJSON(b []byte) error {
	in := explanationJSON{plain: (*plain)(x)}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	var err error
	if x.Position, err = event.ParsePosition(in.Position); err != nil {
		return err
	}
	x.Event = nil
	if len(in.Event) > 0 && string(in.Event) != "null" {
		x.Event, err = event.ParseJSON(in.Event)
	}
	return err
}

// list is a slice that is not nil.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
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
