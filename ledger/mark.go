package ledger

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// marksKey is a hash of names to the latest time marked, in Unix milliseconds.
func (l *Ledger) marksKey() string { return l.cfg.KeyPrefix + "marks" }

// Marked is the latest time that was marked under a name; zero when there is
// none. Errors wrap ErrUnavailable.
func (l *Ledger) Marked(ctx context.Context, name string) (time.Time, error) {
	bound, cancel := l.bound(ctx)
	defer cancel()
	ms, err := l.client.HGet(bound, l.marksKey(), name).Int64()
	if errors.Is(err, redis.Nil) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, unavailable(ctx, err)
	}
	return time.UnixMilli(ms), nil
}

// Mark keeps t under a name, unless a later time is kept already.
func (l *Ledger) Mark(ctx context.Context, name string, t time.Time) error {
	_, err := l.run(ctx, markScript, []string{l.marksKey()}, name, strconv.FormatInt(t.UnixMilli(), 10))
	return err
}

// markScript keeps the larger number.
//
// KEYS marks; ARGV name, number. Answers an empty list.
var markScript = newScript(`
local have = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '')
if not have or have < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
return {}
`)
