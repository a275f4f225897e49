package ledger

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/ledger/embedded"
)

// patientConfig is for tests that are not about how long something takes.
func patientConfig() Config {
	cfg := DefaultConfig()
	cfg.Timeout, cfg.HistoryTimeout = 30*time.Second, time.Minute
	return cfg
}

// TestSilentServer connects to one that takes connections and never answers.
func TestSilentServer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cfg := DefaultConfig()
	cfg.URL, cfg.Timeout = "redis://"+silent.Addr().String(), 500*time.Millisecond
	begin := time.Now()
	_, err = Open(t.Context(), cfg, nil)
	if took := time.Since(begin); !errors.Is(err, ErrUnavailable) || took > cfg.Timeout+10*time.Second {
		t.Errorf("%v after %s, want ErrUnavailable after %s", err, took, cfg.Timeout)
	}
}

// proxy passes bytes to a server; armed, it closes a connection instead of
// passing the server's next answer on.
type proxy struct {
	net.Listener
	server string
	armed  atomic.Bool
	served sync.WaitGroup
}

func startProxy(t *testing.T, server string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, server: server}
	p.served.Go(p.serve)
	t.Cleanup(func() { l.Close(); p.served.Wait() })
	return p
}

func (p *proxy) serve() {
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.served.Go(func() { io.Copy(server, client); server.Close() })
		p.served.Go(func() { io.Copy(client, swallower{server, &p.armed}); client.Close() })
	}
}

type swallower struct {
	io.Reader
	armed *atomic.Bool
}

func (s swallower) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if s.armed.CompareAndSwap(true, false) {
		return 0, io.EOF
	}
	return n, err
}

// TestLostAnswerIsNotAConflictWithOurselves loses the answer to a write that
// happened: repeating it would meet itself.
func TestLostAnswerIsNotAConflictWithOurselves(t *testing.T) {
	server, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	p, cfg := startProxy(t, server.Addr()), patientConfig()
	cfg.URL = "redis://" + p.Addr().String()
	l, err := Open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Put(t.Context(), link("a", "1"), MustNotExist()); err != nil {
		t.Fatal(err)
	}
	p.armed.Store(true)
	if _, err := l.Put(t.Context(), link("b", "1"), MustNotExist()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("put: %v, want ErrUnavailable", err)
	}
	if o, err := l.Get(t.Context(), "Link", "b"); err != nil || o.Metadata.Revision != 2 {
		t.Errorf("%+v, %v; want revision 2", o.Metadata, err)
	}
}

// hooked is a history that does something first.
type hooked struct {
	list
	first func()
}

func (h *hooked) Append(ctx context.Context, key string, value []byte, revision uint64) error {
	h.first()
	if err := ctx.Err(); err != nil {
		return err
	}
	return h.list.Append(ctx, key, value, revision)
}

func TestCallerThatGivesUpLeavesNoHalfChange(t *testing.T) {
	server, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cfg, h := patientConfig(), &hooked{first: cancel}
	cfg.URL = server.URL()
	l, err := Open(ctx, cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Put(ctx, link("a", "1"), Any()); err != nil {
		t.Errorf("put: %v", err)
	}
	if len(h.keys) != 1 || l.client.HLen(t.Context(), l.keys.pending).Val() != 0 {
		t.Errorf("the history has %v", h.keys)
	}
}
