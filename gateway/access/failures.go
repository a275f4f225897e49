package access

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// How many wrong credentials are looked at: failureBurst at once, then
// failureRate a second, of one address and of one key's name.
const (
	failureBurst = 20
	failureRate  = 1
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
// instead of 401. Nobody else is locked out: a right key is let in from any
// address, and so is a token that was verified before; only a token that would
// have to be verified, which is what costs, waits with its address. The keys of the maps are addresses and names.
type failures struct {
	mu       sync.Mutex
	new, old map[string]*bucket
	noted    time.Time
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

// attempt takes one attempt from the address; an error is that there is none.
func (g *Guard) attempt(source netip.Addr) (*bucket, error) {
	b := g.failures.of(source.String())
	return b, g.bounded(b, source, "")
}

// failed counts a wrong credential of an address, and of the key that it names,
// whether there is such a key or not. It is the answer: 401, or 429 over the bound.
func (g *Guard) failed(source netip.Addr, key []byte, refusal error) error {
	name := string(key[:min(len(key), maxKeyName)])
	if err := g.bounded(g.failures.of(source.String()), source, name); err != nil {
		return err
	}
	if name != "" {
		if err := g.bounded(g.failures.of("key "+name), source, name); err != nil {
			return err
		}
	}
	return refusal
}

func (g *Guard) bounded(b *bucket, source netip.Addr, key string) error {
	now := g.deps.Now()
	wait := b.take(1, now)
	if wait == 0 {
		return nil
	}
	if g.deps.Logger != nil && g.failures.note(now) {
		g.deps.Logger.Warn("many wrong credentials", "address", source, "key", key)
	}
	p := problem.New(problem.TooManyFailures, "too many wrong credentials from this address, or for this key")
	p.RetryAfter = wait
	return p
}
