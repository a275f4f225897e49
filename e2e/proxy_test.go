//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// proxy stands between a client and a server, and does to their connections
// what networks do.
type proxy struct {
	t testing.TB
	p *toxiproxy.Proxy
}

// startProxy passes listen on to upstream until the test ends.
func startProxy(t testing.TB, listen, upstream string) *proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &proxy{t, toxiproxy.NewProxy(server, "proxy", listen, upstream)}
	p.start()
	t.Cleanup(p.p.Stop)
	return p
}

func (p *proxy) start() {
	p.t.Helper()
	if err := p.p.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// cut breaks every connection and refuses new ones, until the result is called.
func (p *proxy) cut() (mend func()) {
	p.p.Stop()
	return p.start
}

// spoil treats what flows in a direction (upstream: to the server; downstream: from it)
// with one of the library's toxics, until the result is called.
func (p *proxy) spoil(kind, direction string, attributes map[string]int) (mend func()) {
	p.t.Helper()
	b, err := json.Marshal(map[string]any{"type": kind, "stream": direction, "attributes": attributes})
	if err == nil {
		_, err = p.p.Toxics.AddToxicJson(strings.NewReader(string(b)))
	}
	if err != nil {
		p.t.Fatalf("%s %s: %v", kind, direction, err)
	}
	return func() { p.p.Toxics.ResetToxics(context.Background()) }
}
