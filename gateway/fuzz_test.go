package gateway

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// FuzzPostEvents: whatever a stranger sends as one well-delimited request is
// answered, and never with a 5xx.
func FuzzPostEvents(f *testing.F) {
	f.Add("application/json", "id", "1", "ce-type", "t", []byte(`{"a":1}`))
	f.Add("application/cloudevents+json", "ce-id", "1", "x", "y", []byte(structured))
	f.Add("application/cloudevents-batch+json; charset=utf-8", "", "", "", "", []byte("["+structured+"]"))
	f.Add("application/cloudevents-batch+json", "", "", "", "", []byte("[[[[[[[["))
	f.Add("application/cloudevents+json", "", "", "", "", []byte(`{"specversion":"1.0","id":1e400,"data":"\ud800"}`))
	f.Add("application/cloudevents+avro", "ce-id", "%C0%A0", "content-encoding", "gzip", []byte{0x1f, 0x8b})
	f.Add("", "ce-subject", `"\"`, "traceparent", "00-", []byte{})
	f.Add("", "ce-datacontenttype", "x", "ce-data", "%", []byte{0})
	s := start(f, nil).server
	f.Fuzz(func(t *testing.T, contentType, name1, value1, name2, value2 string, body []byte) {
		var r fasthttp.Request
		r.Header.SetMethod("POST")
		r.SetRequestURI("/events")
		r.Header.SetHost("localhost")
		r.Header.Set("ce-specversion", "1.0")
		r.Header.Set("ce-source", "/s")
		r.Header.SetContentType(contentType)
		r.Header.Set(name1, value1)
		r.Header.Set(name2, value2)
		r.SetBody(body)
		var ctx fasthttp.RequestCtx
		ctx.Init(&r, &net.TCPAddr{}, nil)
		s.next(&ctx)
		if status := ctx.Response.StatusCode(); status != 202 && (status < 400 || status > 499) {
			t.Fatalf("%d %s", status, ctx.Response.Body())
		}
	})
}

// FuzzConnection: whatever bytes come in on a connection, it is answered or
// closed, never with a 5xx and never left hanging.
func FuzzConnection(f *testing.F) {
	for _, seed := range []string{
		"POST /events HTTP/1.1\r\nHost: localhost\r\nce-id: 1\r\nContent-Length: 2\r\n\r\nhi",
		"POST /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
		"POST /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"PATCH /api/v1/functions/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/merge-patch+json\r\nContent-Length: 2\r\n\r\n{}",
		"POST /api/v1/apply?dryRun=true HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\na: &a *a",
		"GET /api/v1/events?since=%00&limit=99999999999999999999 HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET http://[::1/%zz?%%% HTTP/1.1\r\nHost: \r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n",
		"\r\n\r\n\x00", "GET / HTTP/1.1\nHost: a\n\n",
	} {
		f.Add([]byte(seed))
	}
	s := start(f, nil).server
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &bytesConn{in: bytes.NewReader(b)}
		_ = s.app.Server().ServeConn(s.listener.wrap(c, time.Now()))
		if out := c.written(); bytes.Contains(out, []byte("HTTP/1.1 5")) {
			t.Fatalf("answered %s", out)
		}
	})
}

// bytesConn is a client that sends bytes, hangs up, and keeps the answers.
type bytesConn struct {
	in  *bytes.Reader
	mu  sync.Mutex
	out bytes.Buffer
}

func (c *bytesConn) Read(b []byte) (int, error) { return c.in.Read(b) }

func (c *bytesConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(b)
}

func (c *bytesConn) written() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.out.Bytes())
}

func (c *bytesConn) Close() error                     { return nil }
func (c *bytesConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *bytesConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *bytesConn) SetDeadline(time.Time) error      { return nil }
func (c *bytesConn) SetReadDeadline(time.Time) error  { return nil }
func (c *bytesConn) SetWriteDeadline(time.Time) error { return nil }
