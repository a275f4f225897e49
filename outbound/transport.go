package outbound

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/signalbox-dev/signalbox/resource"
)

// Transport makes calls of functions by net/http, for those that pass requests
// on. Each TLS identity has its own connections. It is safe for concurrent use.
type Transport struct {
	callers *Callers
	plain   *http.Transport

	mu sync.Mutex
	// byIdentity are those with a TLS identity. There is one for each that is in
	// use; with more than maxTransports all are begun anew.
	byIdentity map[*tls.Config]*http.Transport
}

// maxTransports bounds the identities with connections of their own.
const maxTransports = 256

// NewTransport makes calls without an identity by plain, and the others by copies of it.
func (c *Callers) NewTransport(plain *http.Transport) *Transport {
	return &Transport{callers: c, plain: plain, byIdentity: map[*tls.Config]*http.Transport{}}
}

// For is the transport of a function's calls; call may be nil. What it presents takes the place
// of what the request has of the same kind. Errors wrap ErrNotReady when nothing was sent for
// want of it. An answer 401 to a token that is not fresh is followed by one more
// call with another token.
func (t *Transport) For(call *resource.Call) http.RoundTripper {
	if call == nil {
		return t.plain
	}
	return presenting{t, call}
}

// CloseIdleConnections closes those of all identities.
func (t *Transport) CloseIdleConnections() {
	t.plain.CloseIdleConnections()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget()
}

func (t *Transport) forget() {
	for _, one := range t.byIdentity {
		one.CloseIdleConnections()
	}
	clear(t.byIdentity)
}

func (t *Transport) by(identity *tls.Config) *http.Transport {
	if identity == nil {
		return t.plain
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.byIdentity[identity]
	if one == nil {
		if len(t.byIdentity) >= maxTransports {
			t.forget()
		}
		one = t.plain.Clone()
		one.DialTLSContext = DialTLS(one.DialContext, identity, t.callers.cfg.Roots)
		t.byIdentity[identity] = one
	}
	return one
}

type presenting struct {
	t    *Transport
	call *resource.Call
}

// ErrPlain is a call by http of a function whose spec has call.tls.
var ErrPlain = errors.New("the function is called by http, and its call.tls wants https")

// RoundTrip implements http.RoundTripper.
func (p presenting) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	id := []byte("call-" + rand.Text())
	for again := false; ; again = true {
		caller, err := p.t.callers.Wait(r.Context(), p.call)
		if err != nil {
			return nil, err
		}
		if caller.tls != nil && r.URL.Scheme != "https" {
			return nil, ErrPlain
		}
		resp, err := p.t.by(caller.tls).RoundTrip(p.with(caller, r, id, body))
		if err != nil || resp.StatusCode != http.StatusUnauthorized || again || !caller.Refused() {
			return resp, err
		}
		resp.Body.Close()
	}
}

// with is the request with what the call presents.
func (p presenting) with(caller *Caller, r *http.Request, id, body []byte) *http.Request {
	out := r.Clone(r.Context())
	caller.strip(out.Header)
	caller.Present(id, body, p.t.callers.cfg.Now(), func(name string, value []byte) { out.Header.Set(name, string(value)) })
	out.Body, out.ContentLength, out.TransferEncoding = http.NoBody, int64(len(body)), nil
	out.GetBody = nil // a call is sent once
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
	}
	return out
}
