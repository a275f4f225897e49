package webhook

import (
	"errors"
	"fmt"
)

// Reason is a class of refusals; it is also the label of the metric.
type Reason string

// The reasons for which a webhook is refused.
const (
	// Unverified: signature, key or password is missing, malformed or wrong. 401
	Unverified Reason = "unverified"
	// Expired: the signature is right and its time too far from now. 401
	Expired Reason = "expired"
	// Malformed: the request cannot become an event. 400
	Malformed Reason = "malformed"
	// NoSecret: none of the secrets can be found at this moment. 503
	NoSecret Reason = "no-secret"
	// NotLoopback: nothing is verified, and it came over a network. 403
	NotLoopback Reason = "not-loopback"
)

// Refusal is why a webhook is not taken. Its text may be told to the sender: it
// says what is wrong with the request, and nothing of secrets or of what a right
// signature would be.
type Refusal struct {
	Reason Reason
	Detail string
	// Cause is for the log only.
	Cause error
}

// Error implements error.
func (r *Refusal) Error() string { return r.Detail }

// Unwrap gives the cause.
func (r *Refusal) Unwrap() error { return r.Cause }

func refuse(why Reason, format string, args ...any) error {
	return &Refusal{Reason: why, Detail: fmt.Sprintf(format, args...)}
}

// ErrNotHandshake is returned for a GET that is no handshake of this webhook.
var ErrNotHandshake = errors.New("not a handshake")
