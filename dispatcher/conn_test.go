package dispatcher

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// connPair is a connection and its other side.
func connPair(t *testing.T) (*conn, *net.TCPConn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	c, err := new(connSet).add(nc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, other.(*net.TCPConn)
}

// exchange makes one request and reads its answer.
func exchange(t *testing.T, c *conn, other net.Conn) {
	t.Helper()
	if _, err := c.Write([]byte("ask")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(other, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
}

func TestIdleConnectionIsUsedAgain(t *testing.T) {
	c, other := connPair(t)
	exchange(t, c, other)
	c.lastUse = c.lastUse.Add(-time.Minute)
	exchange(t, c, other)
}

func TestClosedIdleConnectionSendsNothing(t *testing.T) {
	for name, spoil := range map[string]func(*net.TCPConn){
		"closed":        func(o *net.TCPConn) { o.Close() },
		"half closed":   func(o *net.TCPConn) { o.CloseWrite() },
		"reset":         func(o *net.TCPConn) { o.SetLinger(0); o.Close() },
		"unasked bytes": func(o *net.TCPConn) { o.Write([]byte("x")) },
	} {
		t.Run(name, func(t *testing.T) {
			c, other := connPair(t)
			exchange(t, c, other)
			spoil(other)
			for deadline := time.Now().Add(10 * time.Second); !c.readable(); {
				if time.Now().After(deadline) {
					t.Fatal("the end never arrived")
				}
			}
			c.lastUse = c.lastUse.Add(-time.Minute)
			if _, err := c.Write([]byte("ask")); err != errStale {
				t.Errorf("Write: %v, want errStale", err)
			}
		})
	}
}

func TestResetWhileReadingIsNotTheEndOfABody(t *testing.T) {
	c, other := connPair(t)
	if _, err := c.Write([]byte("ask")); err != nil {
		t.Fatal(err)
	}
	other.SetLinger(0)
	other.Close() // with unread bytes: a reset
	_, err := c.Read(make([]byte, 1))
	if !errors.Is(err, errReset) || classOf(err) != ClassReset {
		t.Errorf("Read: %v of class %s, want errReset", err, classOf(err))
	}
}

func TestClosedSetClosesLateConnections(t *testing.T) {
	var s connSet
	s.closeAll()
	a, b := net.Pipe()
	defer b.Close()
	if _, err := s.add(a); !errors.Is(err, net.ErrClosed) {
		t.Errorf("add: %v, want net.ErrClosed", err)
	}
	if _, err := a.Write([]byte("x")); err == nil {
		t.Error("the connection is still open")
	}
}
