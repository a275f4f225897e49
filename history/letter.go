package history

import (
	"errors"
	"fmt"

	"github.com/signalbox-dev/signalbox/event"
)

// LetterState is where a dead letter stands.
type LetterState string

// The states of a dead letter.
const (
	// LetterOpen: nothing was decided about it.
	LetterOpen LetterState = "open"
	// LetterRedriven and LetterDropped: that was decided.
	LetterRedriven LetterState = "redriven"
	LetterDropped  LetterState = "dropped"
)

// StateAfter is the state that an action leads to.
func StateAfter(a event.Action) LetterState {
	if a == event.Drop {
		return LetterDropped
	}
	return LetterRedriven
}

// Letter is a dead letter and what was decided about it.
type Letter struct {
	event.DeadLetter
	State LetterState
	// Resolution is the decision; nil while there is none, and in lists.
	Resolution *event.Resolution
}

// Decision is what is to be done about dead letters.
type Decision struct {
	Action event.Action
	// Version is that of the function to redrive to; "" is the one in force.
	Version string
	// Event is redriven instead of the dead letter's; nil is as it was.
	Event *event.Event
	// DryRun only says what would be done.
	DryRun bool
}

// Decided is what became of one dead letter.
type Decided struct {
	ID    string      `json:"id"`
	State LetterState `json:"state"`
	// Already: it had been decided so before, and nothing was done now.
	Already bool `json:"already"`
	// DryRun: it would become so, and nothing was done.
	DryRun bool `json:"dryRun,omitempty"`
}

// Tally counts what became of many dead letters.
type Tally struct {
	// Scanned is how many were looked at: the sum of the others.
	Scanned  int `json:"scanned"`
	Redriven int `json:"redriven"`
	Dropped  int `json:"dropped"`
	// Already are those about which something had been decided before.
	Already int `json:"already"`
	Failed  int `json:"failed"`
	// Failures are the first ones of Failed.
	Failures []Failure `json:"failures,omitempty"`
	DryRun   bool      `json:"dryRun,omitempty"`
	// Next is the cursor of the next call; "" when all were looked at.
	Next string `json:"next,omitempty"`
}

// Failure is a dead letter for which it was not done, and why.
type Failure struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// maxFailures is how many failures a Tally names.
const maxFailures = 10

// Count adds the outcome for one dead letter: the state it came to, whether it
// had been decided about before, or why it failed.
func (t *Tally) Count(id string, state LetterState, already bool, err error) {
	t.Scanned++
	switch {
	case err != nil:
		t.Failed++
		if len(t.Failures) < maxFailures {
			t.Failures = append(t.Failures, Failure{ID: id, Reason: err.Error()})
		}
	case already:
		t.Already++
	case state == LetterDropped:
		t.Dropped++
	default:
		t.Redriven++
	}
}

// Add adds what became of the dead letters of another part; DryRun and Next stay.
func (t *Tally) Add(part *Tally) {
	t.Scanned += part.Scanned
	t.Redriven += part.Redriven
	t.Dropped += part.Dropped
	t.Already += part.Already
	t.Failed += part.Failed
	t.Failures = append(t.Failures, part.Failures[:min(len(part.Failures), maxFailures-len(t.Failures))]...)
}

// ErrDecided: something else was decided about the dead letter before.
var ErrDecided = errors.New("already decided")

// DecidedError refuses a decision about a dead letter that was decided about
// otherwise before.
type DecidedError struct {
	ID    string
	State LetterState
}

// Error implements error.
func (e *DecidedError) Error() string {
	return fmt.Sprintf("dead letter %s is %s already", e.ID, e.State)
}

// Unwrap says what kind of error it is.
func (e *DecidedError) Unwrap() error { return ErrDecided }
