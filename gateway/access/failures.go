package access

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// How many wrong credentials are looked at as if nothing were the matter: failureBurst
// at once, then failureRate a second, of one address and of one key's name.
const (
	failureBurst = 20
	failureRate  = 1
	// maxDoubted are those who may wait at a time to be verified in spite of that.
	maxDoubted = 64
	// maxSources bounds each of two generations of addresses and names.
	maxSources = 10_000
	// maxKeyName is what is looked at of a key's name, in bytes.
	maxKeyName = 64
	// failureNote is how often is said that somebody is over the bound.
	failureNote = time.Minute
)

// Source is what clients are counted by: their address, of IPv6 the network of 64
// bits, which a host has to itself. The zero value is an address that is not known.
func Source(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	ip, _ := netip.AddrFromSlice(tcp.IP)
	if ip = ip.Unmap(); !ip.Is6() {
		return ip
	}
	network, err := ip.Prefix(64)
	if err != nil {
		return ip
	}
	return network.Addr()
}

// failures bounds what wrong credentials may cost. Over the bound the answer is 429
// instead of 401, and nobody is locked out, since behind a proxy all clients have
// one address: a right key is let in from anywhere, and so is a token that was verified
// before. What would have to be verified, which is what costs (a token, the signature of
// a webhook), waits for its turn, one at a time for all who are over the bound.
// The keys of the maps are addresses and names.
type failures struct {
	mu       sync.Mutex
	new, old map[string]*bucket
	noted    time.Time
	turn     turn
}

// turn lets in one at a time. The zero value is ready.
type turn struct {
	mu     sync.Mutex
	queued atomic.Int32
}

// take waits for the turn, which leave ends; false is that too many wait already.
func (t *turn) take() bool {
	if t.queued.Add(1) > maxDoubted {
		t.queued.Add(-1)
		return false
	}
	t.mu.Lock()
	return true
}

func (t *turn) leave() {
	t.mu.Unlock()
	t.queued.Add(-1)
}

// of finds the bucket of a source again. One that falls out of both generations
// begins again with a full one.
func (f *failures) of(key string) *bucket {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.new[key]
	if b == nil {
		b = f.old[key]
	}
	if b == nil {
		b = &bucket{rate: failureRate, burst: failureBurst}
	}
	if f.new == nil || len(f.new) >= maxSources {
		f.old, f.new = f.new, make(map[string]*bucket)
	}
	f.new[key] = b
	return b
}

// note reports whether it is time to say that somebody is over the bound.
func (f *failures) note(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.noted) < failureNote {
		return false
	}
	f.noted = now
	return true
}

// wrongs are what sources are told who are over the bound.
const (
	wrongCredentials = "too many wrong credentials from this address, or for this key"
	wrongSignatures  = "too many deliveries from this address that are not signed rightly"
)

// Verify has the proof verified by which a third party is known, the signature of a
// webhook, and bounds what wrong ones may cost: see failures. wrong says of an error
// of verify that the proof is. Each webhook is counted for itself. Where no
// credentials are asked for, nothing is bounded.
func (g *Guard) Verify(from net.Addr, webhook string, verify func() error, wrong func(error) bool) error {
	if !g.Required() {
		return verify()
	}
	source := Source(from)
	b := g.failures.of("webhook " + webhook + " " + source.String())
	return g.doubted(b, doubt{source: source, webhook: webhook, detail: wrongSignatures}, verify, wrong)
}

// doubted verifies in its turn what comes from a source that is over the bound.
func (g *Guard) doubted(b *bucket, d doubt, verify func() error, wrong func(error) bool) error {
	if b.empty(g.deps.Now()) {
		if !g.failures.turn.take() {
			return g.overBound(d, time.Second)
		}
		defer g.failures.turn.leave()
	}
	err := verify()
	if err == nil || !wrong(err) {
		return err
	}
	if over := g.bounded(b, d); over != nil {
		return over
	}
	return err
}

// failed counts a wrong credential of an address, and of the key that it names,
// whether there is such a key or not. It is the answer: 401, or 429 over the bound.
func (g *Guard) failed(source netip.Addr, key []byte, refusal error) error {
	d := doubt{source: source, key: string(key[:min(len(key), maxKeyName)]), detail: wrongCredentials}
	if err := g.bounded(g.failures.of(source.String()), d); err != nil {
		return err
	}
	if d.key != "" {
		if err := g.bounded(g.failures.of("key "+d.key), d); err != nil {
			return err
		}
	}
	return refusal
}

// doubt is who brought what was wrong, for the log, and what he is told of it.
type doubt struct {
	source       netip.Addr
	key, webhook string
	detail       string
}

// bounded takes one failure; the error is that there was none left.
func (g *Guard) bounded(b *bucket, d doubt) error {
	if wait := b.take(1, g.deps.Now()); wait > 0 {
		return g.overBound(d, wait)
	}
	return nil
}

func (g *Guard) overBound(d doubt, wait time.Duration) error {
	if g.deps.Logger != nil && g.failures.note(g.deps.Now()) {
		g.deps.Logger.Warn("many wrong credentials", "address", d.source, "key", d.key, "webhook", d.webhook)
	}
	p := problem.New(problem.TooManyFailures, "%s", d.detail)
	p.RetryAfter = wait
	return p
}
