package policies

import (
	"errors"
	"time"
)

// ErrPolicy is wrapped by errors of Choose: a trigger policy that ended with
// an error, spent its budget, gave a result of a wrong shape, or is not asked
// for a while because it kept doing so, and without which nothing may be
// chosen. Trying again at once does not help; keep the event.
var ErrPolicy = errors.New("policy failed")

// FailureClass says how a policy failed.
type FailureClass string

// How policies fail; also labels of metrics.
const (
	// ClassError: the evaluation ended with an error, or with a result of a wrong shape.
	ClassError FailureClass = "error"
	// ClassBudget: the evaluation took longer than Config.Budget.
	ClassBudget FailureClass = "budget"
	// ClassBreaker: the policy was not asked, because it kept failing.
	ClassBreaker FailureClass = "breaker"
)

// PolicyError is the failure of one policy. errors.Is(err, ErrPolicy) holds.
type PolicyError struct {
	// Stage is StageTrigger, StageAdmission or StageManagement.
	Stage string
	// Policy is the name of the policy; "" when it is not known which of several it was.
	Policy string
	Class  FailureClass
	// Err is the cause.
	Err error
	// RetryAfter is in how long a policy is asked again that was not, of ClassBreaker.
	RetryAfter time.Duration

	source *source
}

// Error says stage, policy and cause in one line.
func (e *PolicyError) Error() string {
	text := e.Stage + " policy "
	if e.Policy != "" {
		text += e.Policy + " "
	}
	return text + "failed: " + e.Err.Error()
}

// Unwrap makes the error one of ErrPolicy and of its cause.
func (e *PolicyError) Unwrap() []error { return []error{ErrPolicy, e.Err} }
