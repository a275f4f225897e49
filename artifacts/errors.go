package artifacts

import "errors"

var (
	// ErrNotFound: the store has no such artifact (or part of an upload).
	ErrNotFound = errors.New("not in the store")
	// ErrMalformed: what was sent is no archive of files as Pack writes them.
	ErrMalformed = errors.New("not an archive of a function's files")
	// ErrDigest: what was sent is another artifact than the one that was named.
	ErrDigest = errors.New("the content has another hash")
	// ErrTooLarge: the files are more than Limits allow.
	ErrTooLarge = errors.New("too large")
	// ErrUnavailable: the store does not answer as it should; it may soon.
	ErrUnavailable = errors.New("the store of artifacts is not available")
)
