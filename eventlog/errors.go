package eventlog

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	// ErrUnavailable: the log did not acknowledge in time, or cannot be
	// reached. A record that was already on its way may still land.
	ErrUnavailable = errors.New("event log unavailable")
	// ErrBacklog: the buffers are full, or the embedded log holds as many
	// unsettled events as it may. Nothing was appended; try again later.
	ErrBacklog = errors.New("event log backlog full")
	// ErrTooLarge: a record, or a batch as a whole, is larger than the log
	// takes. Nothing of a batch that is too large was appended.
	ErrTooLarge = errors.New("record too large for the event log")
	// ErrNotFound: there is no record at this position (any more).
	ErrNotFound = errors.New("no record at this position")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("event log closed")
	// ErrStop is returned by the function given to Read to end it without an error.
	ErrStop = errors.New("stop reading")
)

// appendError says what a failed produce means to the caller.
func appendError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, kgo.ErrMaxBuffered):
		return fmt.Errorf("%w: %w", ErrBacklog, err)
	case errors.Is(err, kgo.ErrClientClosed):
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
