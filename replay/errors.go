package replay

import "errors"

var (
	// ErrTooLarge is what a Parker says of a delivery that will never fit.
	ErrTooLarge = errors.New("delivery too large to be parked")
	// ErrNotOwned: Skip was asked about a partition that is not owned.
	ErrNotOwned = errors.New("partition not owned")
	// errStopped ends a feed whose link was paused or is gone.
	errStopped = errors.New("stopped")
)
