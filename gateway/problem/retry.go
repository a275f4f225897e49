package problem

import "time"

// RetryError is an error that passes by itself, with the time after which
// the same request makes sense again. Only answers with 429 and 503 say so.
type RetryError struct {
	Err error
	// After is rounded up to seconds in the answer; 0 is not known.
	After time.Duration
}

// Error implements error.
func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *RetryError) Unwrap() error { return e.Err }
