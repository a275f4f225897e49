package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/outbound"
)

// callees finds the functions of synchronous calls.
type callees struct {
	targets   *targets
	urls      *endpoints
	transport *outbound.Transport
}

// defaultConcurrency is that of a function which says none.
const defaultConcurrency = 64

// Find implements gateway.Functions.
func (c *callees) Find(name, version, key string) (gateway.Callee, error) {
	s := c.targets.at.Load()
	if s == nil {
		return gateway.Callee{}, fmt.Errorf("%w: %w", gateway.ErrUnavailable, errNotLoaded)
	}
	fn := s.set.Function(name, version)
	if route := s.set.Route(name); version == "" && route != nil {
		fn = route.Pick(key, "", "")
	}
	if fn == nil {
		if version != "" {
			name += "@" + version
		}
		return gateway.Callee{}, fmt.Errorf("function %s: %w", name, gateway.ErrNotFound)
	}
	url, err := c.urls.URL(fn)
	if errors.Is(err, functions.ErrNotReady) {
		err = fmt.Errorf("%w: %w", gateway.ErrUnavailable, err)
	}
	out := gateway.Callee{Function: name, Version: fn.Spec.Version, URL: url, Concurrency: fn.Spec.Concurrency}
	if fn.Spec.Call != nil {
		out.Transport = unready{c.transport.For(fn.Spec.Call)}
	}
	if out.Concurrency == 0 {
		out.Concurrency = defaultConcurrency
	}
	return out, err
}

// unready tells the gateway which calls could not be made for want of what they
// should present.
type unready struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (u unready) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := u.RoundTripper.RoundTrip(r)
	if errors.Is(err, outbound.ErrNotReady) {
		err = fmt.Errorf("%w: %w", gateway.ErrUnavailable, err)
	}
	return resp, err
}

// callFunctions are what the gateway calls functions with, by the rules that
// hold for deliveries.
func (a *App) callFunctions(d *gateway.Deps) error {
	rules, err := a.opts.functionRules()
	if err != nil {
		return err
	}
	callbacks, err := a.opts.callbackRules()
	if err != nil {
		return err
	}
	d.Callbacks = checkCallback(callbacks)
	urls := &endpoints{Endpoints: a.registry}
	transport := &http.Transport{
		DialContext: urls.dialer(rules, 5*time.Second), DisableCompression: true, // what the function answers is passed on as it is
		MaxIdleConnsPerHost: defaultConcurrency, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
	}
	transport.DialTLSContext = outbound.DialTLS(transport.DialContext, &tls.Config{MinVersion: tls.VersionTLS12}, a.functionCA.Pool)
	d.Transport = transport
	d.Functions = &callees{targets: &a.targets, urls: urls, transport: a.callers.NewTransport(transport)}
	d.Ran = a.replies().Run
	return nil
}
