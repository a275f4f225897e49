package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// Report is what a run found.
type Report struct {
	Run    string `json:"run"`
	Server string `json:"server"`
	Seed   uint64 `json:"seed"`
	Order  string `json:"order"`
	// Started is the time of the first event; Sending lasted until the last one
	// was accepted or given up, and the last delivery came Drained after that.
	Started time.Time         `json:"started"`
	Sending resource.Duration `json:"sending"`
	Drained resource.Duration `json:"drained"`
	// Interrupted: the run was ended before it was over; what is missing then is
	// outstanding, and maybe not lost.
	Interrupted bool `json:"interrupted"`

	Events EventCounts `json:"events"`
	// Deliveries are those of accepted events, Replies those of what the functions answered.
	Deliveries Tally `json:"deliveries"`
	Replies    Tally `json:"replies"`
	// Latency ends with a function's first success, Admission with the 202.
	Latency   Latency `json:"latency"`
	Admission Latency `json:"admission"`

	// Calls is how often a function was called; Faults are those the calls met.
	Calls  int           `json:"calls"`
	Faults map[Fault]int `json:"faults"`
	// Kills is how often the kill command ran, KillsFailed how often it failed.
	Kills       int `json:"kills"`
	KillsFailed int `json:"killsFailed"`
	// DeadPlanned are the dead letters among Dead that the plan wants (Config.Poison).
	DeadPlanned int `json:"deadPlanned"`
	// Changed are calls with an event that is not as it was sent.
	Changed int `json:"changed"`
	// Unexpected are calls with an event that this function should not get,
	// Foreign those with an event of nobody's or of another run.
	Unexpected int `json:"unexpected"`
	Foreign    int `json:"foreign"`
	// Findings are the first examples of each kind of trouble; Notes say what
	// could not be found out, or not be removed.
	Findings []Finding `json:"findings"`
	Notes    []string  `json:"notes"`
}

// EventCounts counts events at the door.
type EventCounts struct {
	Sent int `json:"sent"`
	// Accepted were answered 202, maybe after they were sent again.
	Accepted int `json:"accepted"`
	// Unknown never were, and may have got in: UnknownDelivered of them did.
	Unknown          int `json:"unknown"`
	UnknownDelivered int `json:"unknownDelivered"`
	// Unsent never were, and cannot have got in.
	Unsent int `json:"unsent"`
	// Resent counts requests with an event that was sent before, Throttled those answers that were 429.
	Resent    int `json:"resent"`
	Throttled int `json:"throttled"`
}

// Tally counts deliveries: Expected is Delivered, Dead and Lost together.
type Tally struct {
	Expected  int `json:"expected"`
	Delivered int `json:"delivered"`
	// Dead are dead letters; Lost are neither that nor delivered.
	Dead int `json:"dead"`
	Lost int `json:"lost"`
	// Redelivered came again after a success was answered to its end, with the
	// same Idempotency-Key; Copied with another one: the event is in the log twice.
	Redelivered int `json:"redelivered"`
	Copied      int `json:"copied"`
	// Reordered overtook an earlier event of their key.
	Reordered int `json:"reordered"`
}

// Duplicated is how often something came again after a success.
func (t Tally) Duplicated() int { return t.Redelivered + t.Copied }

// Latency is how long something took from the time at which an event was to be
// sent by the rate, whether it could be sent then or not; faults and repeated
// calls included.
type Latency struct {
	P50  Millis `json:"p50Ms"`
	P90  Millis `json:"p90Ms"`
	P99  Millis `json:"p99Ms"`
	P999 Millis `json:"p999Ms"`
	Max  Millis `json:"maxMs"`
}

// Millis is a time that JSON has in milliseconds.
type Millis time.Duration

// Float is the time in milliseconds.
func (m Millis) Float() float64 { return float64(time.Duration(m).Microseconds()) / 1000 }

// MarshalJSON writes a number.
func (m Millis) MarshalJSON() ([]byte, error) { return json.Marshal(m.Float()) }

// Finding is one example.
type Finding struct {
	// What is lost (outstanding when the run was interrupted), dead, redelivered, copied, reordered, changed or unexpected.
	What string `json:"what"`
	// Event and Source name the event, Function is the number of the function.
	Event    string `json:"event"`
	Source   string `json:"source"`
	Function int    `json:"function"`
	// Reply: not the event itself, but what the function answered it with.
	Reply bool   `json:"reply,omitempty"`
	Why   string `json:"why,omitempty"`
}

// String is the finding as one line.
func (f Finding) String() string {
	s := fmt.Sprintf("%s: %s at function %d", f.What, f.Event, f.Function)
	if f.Reply {
		s = fmt.Sprintf("%s: the reply of function %d to %s", f.What, f.Function, f.Event)
	}
	if f.Why != "" {
		s += ": " + f.Why
	}
	return s
}

// Err is nil when the guarantees held: nothing lost, nothing changed and, with
// order key, nothing reordered. Dead letters and duplicates break none.
func (r *Report) Err() error {
	var broken []string
	say := func(n int, format string, args ...any) {
		if n > 0 {
			broken = append(broken, fmt.Sprintf(format, args...))
		}
	}
	lost, verb := "lost", "were"
	if r.Interrupted {
		lost, verb = "outstanding when the run was interrupted", "are"
	}
	say(r.Deliveries.Lost, "%d of %d deliveries %s %s", r.Deliveries.Lost, r.Deliveries.Expected, verb, lost)
	say(r.Replies.Lost, "%d of %d replies %s %s", r.Replies.Lost, r.Replies.Expected, verb, lost)
	say(r.Changed, "%d calls had an event that is not as it was sent", r.Changed)
	if r.Order == resource.OrderKey {
		say(r.Deliveries.Reordered, "%d deliveries overtook an earlier one of their key", r.Deliveries.Reordered)
	}
	if r.Events.Accepted == 0 {
		broken = append(broken, "no event was accepted")
	}
	if len(broken) == 0 {
		return nil
	}
	return errors.New(strings.Join(broken, "; "))
}

// Phase is where a run is.
type Phase int32

// The phases of a run.
const (
	// Probing: nothing counts before every function was called.
	Probing Phase = iota
	// Sending: events are sent, or sent again.
	Sending
	// Draining: what is owed, or a duplicate, is waited for.
	Draining
)

// String is the phase in a word.
func (p Phase) String() string {
	switch p {
	case Probing:
		return "probing"
	case Sending:
		return "sending"
	}
	return "draining"
}

// Progress is what a run has done so far.
type Progress struct {
	Elapsed                         time.Duration
	Phase                           Phase
	Sent, Accepted, Resent          int
	Delivered, Owed, Faults, Kills  int
	Redelivered, Copied, Unexpected int
}

// String is the progress as one line.
func (p Progress) String() string {
	if p.Phase == Probing {
		return fmt.Sprintf("%4.0fs probing: waiting until every function was called", p.Elapsed.Seconds())
	}
	s := fmt.Sprintf("%4.0fs %s: %d sent, %d accepted, %d delivered, %d owed, %d faults", p.Elapsed.Seconds(), p.Phase, p.Sent, p.Accepted, p.Delivered, p.Owed, p.Faults)
	for _, x := range []struct {
		n    int
		what string
	}{{p.Resent, "sent again"}, {p.Kills, "kills"}, {p.Redelivered + p.Copied, "duplicates"}, {p.Unexpected, "unexpected"}} {
		if x.n > 0 {
			s += fmt.Sprintf(", %d %s", x.n, x.what)
		}
	}
	return s
}

// progress is what the history knows of it.
func (h *history) progress() Progress {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := Progress{
		Sent: len(h.events), Accepted: h.counts.accepted, Resent: h.counts.resent,
		Delivered: h.counts.delivered, Owed: h.owed, Unexpected: h.counts.unexpected,
		Redelivered: h.doubledEvents.redelivered + h.doubledReplies.redelivered,
		Copied:      h.doubledEvents.copied + h.doubledReplies.copied,
	}
	for _, n := range h.faultsMet {
		p.Faults += n
	}
	return p
}
