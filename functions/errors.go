package functions

import "errors"

var (
	// ErrNotReady: the function's program does not accept connections now; it
	// may soon, so the call is tried again later. The error around it says why.
	ErrNotReady = errors.New("not ready")
	// ErrStopped: Run has ended.
	ErrStopped = errors.New("functions: stopped")

	errSlowStart = errors.New("accepted no connection in time")
)
