package gateway

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

var one, two = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")

func TestWhoBeginsManyHandshakesWaitsForHimself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandshakes()
		h.slots = 1
		h.enter(one, time.Now())
		order := make(chan netip.Addr, 100)
		begin := func(source netip.Addr) {
			go func() {
				if !h.enter(source, time.Now().Add(time.Minute)) {
					t.Error("no turn came")
				}
				order <- source
				h.leave()
			}()
			synctest.Wait()
		}
		for range 50 {
			begin(one)
		}
		begin(two)
		h.leave()
		synctest.Wait()
		if first, second := <-order, <-order; first != one || second != two {
			t.Errorf("the first were of %s and %s", first, second)
		}
		if len(order) != 49 || h.running != 0 || len(h.waiting) != 0 {
			t.Errorf("%d more had their turn, %d run, %d wait", len(order), h.running, len(h.waiting))
		}
	})
}

func TestAHandshakeThatWaitsTooLongIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandshakes()
		h.slots = 1
		h.enter(one, time.Now())
		if h.enter(two, time.Now().Add(time.Second)) {
			t.Error("a turn came")
		}
		h.leave()
		if h.running != 0 || !h.enter(two, time.Now()) {
			t.Errorf("%d run", h.running)
		}
	})
}

// hello is what a client says first, as a stranger would record it.
func hello(t *testing.T) []byte {
	t.Helper()
	client, server := net.Pipe()
	go func() { _ = tls.Client(client, &tls.Config{ServerName: "x"}).Handshake() }()
	b := make([]byte, 16<<10)
	n, err := server.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	return b[:n]
}

func TestHandshakesThatAreNotEndedTakeNoTurn(t *testing.T) {
	a := newAuthority(t)
	a.serve("localhost")
	r := start(t, func(c *Config, _ *Deps) { a.config(c) })
	r.server.listener.handshakes.slots = 1
	said := hello(t)
	for name, first := range map[string][]byte{"half a hello": said[:len(said)/2], "a hello": said, "no TLS": []byte("GET / HTTP/1.1\r\n\r\n"), "nothing": nil} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				c, err := net.Dial("tcp", r.server.Addr())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := c.Write(first); err != nil {
					t.Fatal(err)
				}
			}
			if resp, _ := get(t, a.client(), "https://"+r.server.Addr()+"/healthz"); resp.StatusCode != http.StatusOK {
				t.Error(resp.Status)
			}
		})
	}
}

func TestTurnsEndWithTheirHandshakes(t *testing.T) {
	a := newAuthority(t)
	a.serve("localhost")
	r := start(t, func(c *Config, _ *Deps) { a.config(c) })
	h := r.server.listener.handshakes
	h.slots = 1
	said := hello(t)
	for range 20 {
		c, err := net.Dial("tcp", r.server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(said); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 5)); err != nil { // the server's hello
			t.Fatal(err)
		}
		c.Close()
	}
	resp, _ := get(t, a.client(), "https://"+r.server.Addr()+"/healthz") // while it is open
	resp.Body.Close()
	if !h.enter(one, time.Now().Add(10*time.Second)) {
		t.Error("a turn is not given back")
	}
}
