package app

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/netguard"
	"github.com/signalbox-dev/signalbox/resource"
)

// functionRules are the addresses that functions may have. Who keeps to this
// machine (loopback) may call it.
func (o *Options) functionRules() (netguard.Rules, error) {
	if len(o.FunctionNetworks) > 0 {
		return netguard.Parse(o.FunctionNetworks)
	}
	return netguard.Rules{Public: true, Private: true, Loopback: access.Loopback(o.HTTP)}, nil
}

// maxLocal bounds the addresses of programs that are remembered; ports of those that
// ended are forgotten with all others then, and learned again.
const maxLocal = 1024

// endpoints are the functions' URLs, with a memory of those that are programs
// of this process: they listen on loopback, where others may not be called.
type endpoints struct {
	dispatcher.Endpoints

	local atomic.Pointer[map[string]struct{}]
	mu    sync.Mutex
}

// URL implements dispatcher.Endpoints.
func (e *endpoints) URL(fn *resource.Function) (string, error) {
	url, err := e.Endpoints.URL(fn)
	if err == nil && fn.Spec.URL == "" {
		e.learn(hostOf(url))
	}
	return url, err
}

// hostOf is the address that is dialled for a URL.
func hostOf(url string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	if strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']') {
		return host
	}
	if scheme == "https" {
		return host + ":443"
	}
	return host + ":80"
}

func (e *endpoints) learn(host string) {
	if e.isLocal(host) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	next := map[string]struct{}{host: {}}
	if now := e.local.Load(); now != nil && len(*now) < maxLocal {
		for h := range *now {
			next[h] = struct{}{}
		}
	}
	e.local.Store(&next)
}

func (e *endpoints) isLocal(host string) bool {
	now := e.local.Load()
	if now == nil {
		return false
	}
	_, ok := (*now)[host]
	return ok
}

// dialer dials what functions may have for an address.
func (e *endpoints) dialer(rules netguard.Rules, timeout time.Duration) func(context.Context, string, string) (net.Conn, error) {
	plain := net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second}
	guarded := rules.Dialer(plain)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if e.isLocal(address) {
			return plain.DialContext(ctx, network, address)
		}
		return guarded(ctx, network, address)
	}
}
