package ledger

import (
	"context"
	"errors"
	"fmt"
)

// The errors of this package, to be found with errors.Is.
var (
	// ErrNotFound: there is no resource of that kind and name.
	ErrNotFound = errors.New("no such resource")
	// ErrExists: the resource was to be new and is there already.
	ErrExists = errors.New("the resource exists")
	// ErrConflict: the resource has another revision than the change was based on; see ConflictError.
	ErrConflict = errors.New("the resource has another revision")
	// ErrUnavailable: Redis did not answer in time, or answered that it cannot
	// serve. The change may or may not have happened.
	ErrUnavailable = errors.New("ledger unavailable")
	// ErrHistory: the change could not be recorded in the History and was undone.
	ErrHistory = errors.New("the history of resources did not take the change")
)

// errBehind: Redis lost its resources (or the last of them) and must be healed first.
var errBehind = errors.New("redis is behind the last revision seen")

// ConflictError is an ErrConflict with its numbers.
type ConflictError struct {
	Kind, Name string
	// Have is the resource's revision, 0 when there is none; Want is what the change was based on.
	Have, Want uint64
}

// Error implements error.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s/%s has revision %d, the change is based on %d", e.Kind, e.Name, e.Have, e.Want)
}

// Unwrap makes errors.Is(err, ErrConflict) hold.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// unavailable wraps an error of the Redis client; nil stays nil. The caller's
// own cancellation is passed on as what it is.
func unavailable(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() == context.Canceled {
		return context.Canceled
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
