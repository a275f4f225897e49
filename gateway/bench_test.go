package gateway

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/otel/tracing"
)

type nowhere struct{}

func (nowhere) AppendEvents(context.Context, []*event.Event, tracing.Context) error { return nil }

var benchRequest = "POST /events HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: bench/1.0\r\nContent-Length: 1024\r\n" +
	"Content-Type: application/json\r\nce-specversion: 1.0\r\nce-id: 01234567-89ab-cdef-0123-456789abcdef\r\n" +
	"ce-source: /shop/orders\r\nce-type: com.example.ordered\r\nce-subject: order%2017\r\nce-time: 2026-11-21T00:00:00Z\r\n\r\n" +
	strings.Repeat("x", 1024)

// BenchmarkPostEvents is parsing the request and everything the gateway does
// with it, without the network and the log.
func BenchmarkPostEvents(b *testing.B) {
	s := start(b, func(_ *Config, d *Deps) { d.Appender = nowhere{} }).server
	benchmark(b, s.serve, fasthttp.StatusAccepted)
}

// BenchmarkPostEventsWithKey is BenchmarkPostEvents where credentials are
// needed, and a key's token comes with each request.
func BenchmarkPostEventsWithKey(b *testing.B) {
	g := startGuarded(b, func(_ *Config, d *Deps) { d.Appender = nowhere{} })
	benchmarkRequest(b, g.server.serve, fasthttp.StatusAccepted, strings.Replace(benchRequest, "\r\n", "\r\nAuthorization: Bearer "+g.tokens["emitter"]+"\r\n", 1))
}

// BenchmarkBare is parsing the same request alone: what BenchmarkPostEvents is
// to be compared with.
func BenchmarkBare(b *testing.B) {
	benchmark(b, func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(fasthttp.StatusAccepted) }, fasthttp.StatusAccepted)
}

// benchConn is a connection as the listener makes them.
type benchConn struct {
	net.Conn
	access.Peer
}

func (c *benchConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (c *benchConn) LocalAddr() net.Addr  { return &net.TCPAddr{} }

func benchmark(b *testing.B, handler fasthttp.RequestHandler, want int) {
	benchmarkRequest(b, handler, want, benchRequest)
}

func benchmarkRequest(b *testing.B, handler fasthttp.RequestHandler, want int, request string) {
	var ctx fasthttp.RequestCtx
	ctx.Init2(&benchConn{}, nil, false)
	raw := []byte(request)
	src := bytes.NewReader(raw)
	r := bufio.NewReaderSize(src, 16<<10)
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(raw)
		r.Reset(src)
		ctx.Request.Reset()
		ctx.Response.Reset()
		ctx.ResetUserValues()
		if err := ctx.Request.ReadLimitBody(r, 1<<20); err != nil {
			b.Fatal(err)
		}
		handler(&ctx)
		if got := ctx.Response.StatusCode(); got != want {
			b.Fatalf("%d %s", got, ctx.Response.Body())
		}
	}
}
