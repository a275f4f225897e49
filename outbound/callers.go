package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// freshFor is how long what was made of secrets is used without a look at them.
const freshFor = time.Second

// maxKept bounds what is kept of specs, identities and token endpoints: beyond it
// all is forgotten, and made again for those that are still there.
const maxKept = 4096

// Callers make what calls of functions present. They are safe for concurrent use.
type Callers struct {
	cfg    Config
	client *http.Client

	life context.Context
	end  context.CancelFunc
	wg   sync.WaitGroup // the requests for tokens

	mu sync.Mutex
	// closed: no request for a token is begun any more.
	closed bool
	// entries are by the spec of a version, which never changes: another one is another pointer.
	entries    map[*resource.Call]*entry
	identities map[identityKey]*tls.Config
	sources    map[sourceKey]*source
}

// entry is what was made of one spec.
type entry struct {
	mu     sync.Mutex
	until  time.Time
	caller *Caller
	err    error
	// said is the last warning.
	said string
}

// New makes Callers; Close ends them.
func New(c Config) (*Callers, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	return &Callers{
		cfg: c, client: tokenClient(&c), life: life, end: end,
		entries: map[*resource.Call]*entry{}, identities: map[identityKey]*tls.Config{}, sources: map[sourceKey]*source{},
	}, nil
}

// Close cuts off the requests for tokens and waits for them. There are no tokens afterwards.
func (c *Callers) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.wg.Wait()
	c.client.CloseIdleConnections()
}

// Of returns what a call presents now. It does not wait: while a token is
// fetched, and in every other case in which there is nothing to present, it
// returns an error that wraps ErrNotReady.
func (c *Callers) Of(call *resource.Call) (*Caller, error) {
	e := c.entry(call)
	e.mu.Lock()
	defer e.mu.Unlock()
	now := c.cfg.Now()
	if !now.Before(e.until) {
		c.renew(e, call)
		e.until = now.Add(freshFor)
	}
	if e.err != nil {
		return nil, e.err
	}
	if e.caller.source == nil {
		return e.caller, nil
	}
	token, err := e.caller.source.current(now, e.caller.secret)
	if err != nil {
		return nil, err
	}
	if token != e.caller.token {
		next := *e.caller
		next.token, next.authorization = token, token.authorization
		e.caller = &next
	}
	return e.caller, nil
}

// Wait is Of that waits, until ctx ends, for a token that is being fetched.
func (c *Callers) Wait(ctx context.Context, call *resource.Call) (*Caller, error) {
	for {
		caller, err := c.Of(call)
		pending, is := errors.AsType[*pendingError](err)
		if !is {
			return caller, err
		}
		select {
		case <-pending.done:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrNotReady, ctx.Err())
		}
	}
}

func (c *Callers) entry(call *resource.Call) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[call]
	if e == nil {
		if len(c.entries) >= maxKept {
			clear(c.entries)
		}
		e = &entry{}
		c.entries[call] = e
	}
	return e
}

// renew makes e anew of the secrets as they are now. What cannot be used (a
// certificate whose key is not replaced yet) leaves in force what was made
// before; a secret that is missing does not.
func (c *Callers) renew(e *entry, call *resource.Call) {
	next, err := c.make(call)
	if err == nil {
		e.said = ""
		if e.caller != nil && next.source == e.caller.source {
			next.token, next.authorization = e.caller.token, orElse(next.authorization, e.caller.authorization)
		}
		e.caller, e.err = next, nil
		return
	}
	if _, is := errors.AsType[unusableError](err); is && e.caller != nil {
		if e.said != err.Error() {
			e.said = err.Error()
			c.cfg.Logger.Warn("a secret of calls cannot be used; the one before stays in force", "error", err)
		}
		return
	}
	e.caller, e.err = nil, fmt.Errorf("%w: %w", ErrNotReady, err)
}

func orElse(a, b []byte) []byte {
	if a != nil {
		return a
	}
	return b
}

// make makes what a call presents, but for its token.
func (c *Callers) make(call *resource.Call) (*Caller, error) {
	out := &Caller{}
	if call.Sign != nil {
		for _, name := range call.Sign.Secrets {
			s, err := c.signer(name)
			if err != nil {
				return nil, err
			}
			out.signers = append(out.signers, s)
		}
	}
	if err := c.bearer(out, call.Bearer); err != nil {
		return nil, err
	}
	if call.TLS == nil {
		return out, nil
	}
	var err error
	out.tls, err = c.identity(call.TLS)
	return out, err
}

func (c *Callers) bearer(out *Caller, b *resource.CallBearer) error {
	if b == nil {
		return nil
	}
	name := b.Secret
	if b.OIDC != nil {
		name = b.OIDC.ClientSecret
	}
	value, err := c.cfg.Secret(name)
	if err != nil {
		return err
	}
	if b.OIDC != nil {
		out.source, out.secret = c.source(b.OIDC), string(value)
		return nil
	}
	if !headerSafe(value) {
		return unusable("secret %s: want a token of printable ASCII", name)
	}
	out.authorization = append([]byte(bearerPrefix), value...)
	return nil
}

// bearerPrefix begins the value of the Authorization header (RFC 6750).
const bearerPrefix = "Bearer "

// headerSafe reports whether a value can stand in a header as one token.
func headerSafe(value []byte) bool {
	for _, b := range value {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return len(value) > 0
}

// unusableError is a secret that is there and cannot be used.
type unusableError struct{ text string }

// Error implements error.
func (e unusableError) Error() string { return e.text }

func unusable(format string, args ...any) error { return unusableError{fmt.Sprintf(format, args...)} }
