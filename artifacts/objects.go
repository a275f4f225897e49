package artifacts

import (
	"context"
	"io"
	"time"
)

// Object is one thing in an object store.
type Object struct {
	Name string
	Size int64
	// Changed is when it was written.
	Changed time.Time
}

// Objects is an object store: a directory, or a bucket. Names are paths with
// slashes. What is there appears as a whole, or not at all. There being no such
// object is ErrNotFound, other errors wrap ErrUnavailable. All methods are safe
// for concurrent use and return when ctx ends.
type Objects interface {
	// Put writes or replaces one of so many bytes.
	Put(ctx context.Context, name string, r io.Reader, size int64) error
	Get(ctx context.Context, name string) (io.ReadCloser, Object, error)
	Stat(ctx context.Context, name string) (Object, error)
	// Delete removes one; there being none is no fault.
	Delete(ctx context.Context, name string) error
	// List calls fn with those whose names begin with prefix, which ends in a slash.
	List(ctx context.Context, prefix string, fn func(Object) error) error
}
