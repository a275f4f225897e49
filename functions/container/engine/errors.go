package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

var (
	// ErrUnavailable: no engine answers. It may later.
	ErrUnavailable = errors.New("no container engine answers")
	// ErrNotFound: there is no such container or image.
	ErrNotFound = errors.New("not found")
	// ErrExists: there is a container of that name already.
	ErrExists = errors.New("exists already")
)

// fault gives an error of the library one of this package's sentinels, where one
// fits. After a connection that failed the engine is looked for again.
func (c *Client) fault(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", what, ctx.Err())
	case client.IsErrConnectionFailed(err):
		c.forget()
		return fmt.Errorf("%s: %w: %w", what, ErrUnavailable, err)
	case errdefs.IsNotFound(err):
		return fmt.Errorf("%s: %w: %w", what, ErrNotFound, err)
	case errdefs.IsConflict(err):
		return fmt.Errorf("%s: %w: %w", what, ErrExists, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
