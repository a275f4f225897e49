package ledger

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// chainWindow is how long the events of a chain are counted at least; at most twice as long.
const chainWindow = 24 * time.Hour

// CountChain counts n more events of the chain named by a correlation id, over
// all replicas, and returns how many there are now. n 0 asks only. A chain is
// forgotten 24 to 48 hours after its first event.
//
// Calls made at the same time share one round trip. A call that fails
// (ErrUnavailable, within twice Config.Timeout) may have counted, and so may one
// whose context ends: the total errs on the high side.
func (l *Ledger) CountChain(ctx context.Context, correlation string, n int) (total int64, err error) {
	if n < 0 {
		return 0, fmt.Errorf("count chain: %d events: want 0 or more", n)
	}
	c := &counting{correlation: correlation, n: n, done: make(chan struct{})}
	l.counts.add(c)
	select {
	case <-c.done:
	case l.counts.turn <- struct{}{}:
		// Whoever had the turn before has answered all it took, so c is either
		// answered or among those waiting.
		l.countAll(ctx, l.counts.take())
		<-l.counts.turn
	case <-ctx.Done():
		return 0, unavailable(ctx, ctx.Err())
	}
	return c.total, unavailable(ctx, c.err)
}

// counting is one call of CountChain; total and err are set before done is closed.
type counting struct {
	correlation string
	n           int
	total       int64
	err         error
	done        chan struct{}
}

// counts gathers the calls that come while others are on their way to Redis:
// the next one to get the turn takes them all. There are as many as callers.
type counts struct {
	turn    chan struct{}
	mu      sync.Mutex
	waiting []*counting
}

func (c *counts) add(one *counting) {
	c.mu.Lock()
	c.waiting = append(c.waiting, one)
	c.mu.Unlock()
}

func (c *counts) take() []*counting {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.waiting
	c.waiting = nil
	return all
}

// countAll answers all calls, on behalf of callers whose contexts are not ctx.
func (l *Ledger) countAll(ctx context.Context, all []*counting) {
	bound, cancel := l.bound(context.WithoutCancel(ctx))
	defer cancel()
	cmds := make([]*redis.Cmd, len(all))
	for i, c := range all {
		cmds[i] = redis.NewCmd(bound, l.countArgs("evalsha", countScript.hash, c)...)
	}
	sendAll(bound, l.client, cmds)
	l.countAgain(bound, all, cmds)
	for i, c := range all {
		c.total, c.err = cmds[i].Int64()
		close(c.done)
	}
}

// countAgain sends those with their source that met a server without the script.
func (l *Ledger) countAgain(ctx context.Context, all []*counting, cmds []*redis.Cmd) {
	var again []*redis.Cmd
	for i, c := range all {
		if redis.HasErrorPrefix(cmds[i].Err(), "NOSCRIPT") {
			cmds[i] = redis.NewCmd(ctx, l.countArgs("eval", countScript.source, c)...)
			again = append(again, cmds[i])
		}
	}
	sendAll(ctx, l.client, again)
}

// sendAll sends commands in one round trip; what became of each is in it.
func sendAll(ctx context.Context, client redis.UniversalClient, cmds []*redis.Cmd) {
	if len(cmds) == 1 {
		_ = client.Process(ctx, cmds[0]) // the error is in the command
		return
	}
	p := client.Pipeline()
	for _, cmd := range cmds {
		_ = p.Process(ctx, cmd) // queues only
	}
	_, _ = p.Exec(ctx) // the errors are in the commands
}

func (l *Ledger) countArgs(command, body string, c *counting) []any {
	f, now := fingerprintOf("", c.correlation), l.cfg.Clock()
	numbers, n := l.chains.at(now)
	var keys [len(numbers)]string
	for i := range n {
		keys[i] = string(l.chains.appendKey(nil, l.chains.bucket(&f), numbers[i]))
	}
	ttl := strconv.FormatInt(l.chains.ttl(now).Milliseconds(), 10)
	return evalArgs(command, body, keys[:n], []any{ttl, string(f[4:]), strconv.Itoa(c.n)})
}

// countScript adds to a chain's count in the bucket of the present window, and
// sums it up over the windows around.
//
// KEYS buckets, that which is written first; ARGV milliseconds a new bucket
// lives, field, number to add. Answers the sum.
var countScript = newScript(`
local total = 0
if ARGV[3] ~= '0' then
  total = redis.call('HINCRBY', KEYS[1], ARGV[2], ARGV[3])
  if redis.call('HLEN', KEYS[1]) == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
else
  total = tonumber(redis.call('HGET', KEYS[1], ARGV[2]) or 0)
end
for i = 2, #KEYS do
  total = total + tonumber(redis.call('HGET', KEYS[i], ARGV[2]) or 0)
end
return total
`)
