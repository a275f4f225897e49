package dispatcher

import (
	"crypto/tls"
	"fmt"
	"math"
	"net"
	"net/url"
	"time"

	"github.com/valyala/fasthttp"
)

// endpoint is one URL of a function with what can be prepared of calling it.
// Each timeout has its own, since fasthttp does not tell a dialler how long it may take.
type endpoint struct {
	url     string
	timeout time.Duration
	// identity is the TLS identity of its connections; nil is that of all functions.
	identity *tls.Config
	uri      fasthttp.URI
	client   *fasthttp.HostClient
}

// maxEndpoints bounds those that a lane keeps; a function restarted at another
// port leaves its old ones behind.
const maxEndpoints = 8

// endpoint returns the lane's endpoint for rawURL, made when there is none.
func (l *lane) endpoint(rawURL string, timeout time.Duration, identity *tls.Config) (*endpoint, error) {
	if e := l.findEndpoint(rawURL, timeout, identity); e != nil {
		return e, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.findEndpoint(rawURL, timeout, identity); e != nil {
		return e, nil
	}
	e, err := l.d.newEndpoint(rawURL, timeout, identity, l.dialer())
	if err != nil {
		return nil, err
	}
	kept := []*endpoint{e}
	if old := l.endpoints.Load(); old != nil {
		kept = append(kept, *old...)
	}
	for len(kept) > maxEndpoints {
		kept[len(kept)-1].client.CloseIdleConnections()
		kept = kept[:len(kept)-1]
	}
	l.endpoints.Store(&kept)
	return e, nil
}

func (l *lane) findEndpoint(rawURL string, timeout time.Duration, identity *tls.Config) *endpoint {
	if known := l.endpoints.Load(); known != nil {
		for _, e := range *known {
			if e.timeout == timeout && e.identity == identity && e.url == rawURL {
				return e
			}
		}
	}
	return nil
}

func (l *lane) closeEndpoints() {
	if known := l.endpoints.Load(); known != nil {
		for _, e := range *known {
			e.client.CloseIdleConnections()
		}
	}
}

func (d *Dispatcher) newEndpoint(rawURL string, timeout time.Duration, identity *tls.Config, dial Dial) (*endpoint, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("the function's URL: %w", err)
	}
	if u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("the function's URL %q: want an absolute http or https URL", u.Redacted())
	}
	e := &endpoint{url: rawURL, timeout: timeout, identity: identity}
	e.uri.DisablePathNormalizing = true
	if err := e.uri.Parse(nil, requested(u)); err != nil {
		return nil, fmt.Errorf("the function's URL %q: %w", u.Redacted(), err)
	}
	e.client = d.newClient(u, timeout, identity, dial)
	return e, nil
}

// requested is what is asked for at u: without user and fragment, and with a path.
func requested(u *url.URL) []byte {
	plain := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	if plain.Path == "" {
		plain.Path = "/"
	}
	return []byte(plain.String())
}

// newClient makes a client that sends each request once (ground rule: fasthttp
// by itself repeats a POST when the server closes before it answers), never
// follows redirects and opens as many connections as the lane makes calls.
func (d *Dispatcher) newClient(u *url.URL, timeout time.Duration, identity *tls.Config, dial Dial) *fasthttp.HostClient {
	isTLS := u.Scheme == "https"
	var tlsConfig *tls.Config
	if isTLS {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if identity != nil {
			tlsConfig = identity.Clone()
		}
		tlsConfig.ServerName = u.Hostname()
	}
	return &fasthttp.HostClient{
		Addr:                      fasthttp.AddMissingPort(u.Host, isTLS),
		Name:                      "signalbox",
		IsTLS:                     isTLS,
		TLSConfig:                 tlsConfig,
		Dial:                      func(addr string) (net.Conn, error) { return d.dial(dial, addr, tlsConfig, timeout) },
		MaxConns:                  math.MaxInt32,
		MaxIdleConnDuration:       d.cfg.IdleConnTimeout,
		MaxIdemponentCallAttempts: 1,
		RetryIf:                   func(*fasthttp.Request) bool { return false },
		ReadBufferSize:            8 << 10,
		MaxResponseBodySize:       d.cfg.MaxReplyBytes,
		DisablePathNormalizing:    true,
		SecureErrorLogMessage:     true,
		ConnPoolStrategy:          fasthttp.LIFO,
	}
}

// call makes one call with what w has prepared.
func (e *endpoint) call(w *worker) error {
	for {
		err := e.client.DoTimeout(&w.req, &w.resp, e.timeout)
		switch {
		case isNoAnswer(err):
			return noAnswer(e.timeout)
		case err != errStale:
			return err
		}
	}
}
