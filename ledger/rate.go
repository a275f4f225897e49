package ledger

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"
)

// TakeRate asks for want permits under name, at rate permits a second over all
// replicas that ask. It grants what is there, 0 to want, to be used at once,
// and says in how much time the rest is worth asking for: 0 when all were
// granted, at most a little over a second.
//
// What nobody takes gathers for a tenth of a second (one permit at least), so
// that is the largest burst. Who asks again while half of a tenth is left, or
// as soon as wait is over, loses nothing of the rate. Replicas may ask with
// different rates while a new one goes round: each call counts the time since
// the last one at its own. A name that was not used for a while begins with
// one permit.
//
// The time is that of Redis, so clocks of replicas do not matter. A rate of 0
// or less, or without end, is no limit and asks nobody. Errors: ErrUnavailable,
// within Config.Timeout; permits may be gone then.
func (l *Ledger) TakeRate(ctx context.Context, name string, rate float64, want int) (granted int, wait time.Duration, err error) {
	if want <= 0 || !(rate > 0) || math.IsInf(rate, 1) {
		return max(want, 0), 0, nil
	}
	out, err := l.run(ctx, rateScript, []string{l.cfg.KeyPrefix + "rate:" + name},
		strconv.FormatFloat(rate, 'f', -1, 64), strconv.Itoa(want))
	if err != nil {
		return 0, 0, err
	}
	n, us, ok := pairOf(out)
	if !ok || n < 0 || n > int64(want) {
		return 0, 0, fmt.Errorf("%w: unexpected answer %v", ErrUnavailable, out)
	}
	return int(n), spread(time.Duration(us) * time.Microsecond), nil
}

// spread makes replicas that wait for the same permits come in turns, by some
// milliseconds: less than what a bucket can hold until somebody comes.
func spread(wait time.Duration) time.Duration {
	return wait + rand.N(min(wait/2, maxSpread)+1) // #nosec G404 -- jitter
}

const maxSpread = 20 * time.Millisecond

// pairOf reads an answer of two numbers.
func pairOf(out []any) (a, b int64, ok bool) {
	if len(out) != 2 {
		return 0, 0, false
	}
	a, ok1 := out[0].(int64)
	b, ok2 := out[1].(int64)
	return a, b, ok1 && ok2
}

// rateScript takes permits out of a bucket that fills at the rate. Stored is
// `permits microseconds`: what was left at a time, fractions included. A
// bucket holds a tenth of a second; below 20 a second it is one permit and what
// comes in 50 ms, or a client that comes late by a round trip would lose
// something each time. Where nothing was granted nothing is written, the time
// that passes counts all the same.
//
// Who got nothing is told to come sooner than who got something: otherwise
// clients that wait for the same moment would always lose to the same one.
//
// KEYS bucket; ARGV rate, permits wanted. Answers {granted, microseconds to wait}.
var rateScript = newScript(`
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local rate, want = tonumber(ARGV[1]), tonumber(ARGV[2])
local most = math.max(rate * 0.1, 1 + rate * 0.05)
local permits, at = 1, now
local have = redis.call('GET', KEYS[1])
if have then
  local left, since = string.match(have, '^(%S+) (%d+)$')
  permits, at = tonumber(left), tonumber(since)
  permits = math.min(most, permits + math.max(0, now - at) * rate / 1000000)
end
local granted = math.min(want, math.floor(permits + 0.000001))
if granted > 0 or now < at then
  permits = permits - granted
  local ttl = (most - permits) / rate * 1000 + 1000
  redis.call('SET', KEYS[1], string.format('%.6f %.0f', permits, now), 'PX', string.format('%.0f', ttl))
end
if granted == want then return {granted, 0} end
local worth = math.max(1, math.min(want - granted, granted > 0 and most / 2 or most / 4))
return {granted, math.min(1000000, math.ceil((worth - permits) / rate * 1000000))}
`)
