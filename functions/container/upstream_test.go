package container

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/valyala/fasthttp"
)

func TestAConnectionThatWasClosedMeanwhileIsNotUsed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() { // answers one request of each connection, as if there were more to come
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
			c.Close()
		}
	}()
	u := newUpstream(ln.Addr().String())
	defer u.close()
	for range 5 {
		var req fasthttp.Request
		var resp fasthttp.Response
		req.Header.SetHost("a")
		if err := u.call(&req, &resp, &call{}); err != nil || resp.StatusCode() != 200 {
			t.Fatalf("got %d, %v", resp.StatusCode(), err)
		}
		c := u.idle[0]
		c.used = c.used.Add(-lookAfter)
		await(t, "its end", func() bool { return gone(c.raw, true) })
	}
}

func TestATruncatedAnswerIsNone(t *testing.T) {
	for name, answer := range map[string]string{
		"by length": "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
		"chunked":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"no head":   "HTTP/1.1 20",
		"interim":   "HTTP/1.1 103 Early Hints\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go func() {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				_, _ = http.ReadRequest(bufio.NewReader(c)) // whatever it is
				_, _ = io.WriteString(c, answer)
				_ = c.(*net.TCPConn).SetLinger(0) // a reset, which some take for an end
				if name == "interim" {
					_ = c.(*net.TCPConn).SetLinger(-1)
				}
				c.Close()
			}()
			u := newUpstream(ln.Addr().String())
			defer u.close()
			var req fasthttp.Request
			var resp fasthttp.Response
			req.Header.SetHost("a")
			if err := u.call(&req, &resp, &call{}); err == nil {
				t.Errorf("got %d %q", resp.StatusCode(), resp.Body())
			}
		})
	}
}
