package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// maxStateValue bounds a value, in bytes.
const maxStateValue = 256 << 10

// stateKey is a hash of a function's values by their keys. It has no TTL.
func (l *Ledger) stateKey(function string) string {
	return l.cfg.KeyPrefix + "state:{" + function + "}"
}

// State returns a value that a function keeps; nil when there is none. Errors
// wrap ErrUnavailable.
func (l *Ledger) State(ctx context.Context, function, key string) (*string, error) {
	bound, cancel := l.bound(ctx)
	defer cancel()
	v, err := l.client.HGet(bound, l.stateKey(function), key).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	return &v, nil
}

// SetState keeps a value of at most 256 KiB.
func (l *Ledger) SetState(ctx context.Context, function, key, value string) error {
	if len(value) > maxStateValue {
		return fmt.Errorf("state %s: %d bytes: want at most %d", key, len(value), maxStateValue)
	}
	bound, cancel := l.bound(ctx)
	defer cancel()
	return unavailable(ctx, l.client.HSet(bound, l.stateKey(function), key, value).Err())
}

// DeleteState forgets a value; there being none is no error.
func (l *Ledger) DeleteState(ctx context.Context, function, key string) error {
	bound, cancel := l.bound(ctx)
	defer cancel()
	return unavailable(ctx, l.client.HDel(bound, l.stateKey(function), key).Err())
}
