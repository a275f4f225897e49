package ledger_test

import (
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/ledger/embedded"
	"github.com/signalbox-dev/signalbox/ledger/ledgertest"
)

// configOf is patient: how fast the machine is is another matter.
func configOf(url string) ledger.Config {
	cfg := ledger.DefaultConfig()
	cfg.URL, cfg.Timeout, cfg.HistoryTimeout = url, 30*time.Second, time.Minute
	return cfg
}

func TestConformanceEmbedded(t *testing.T) {
	s := startEmbedded(t, "127.0.0.1:0")
	defer s.Close()
	ledgertest.Run(t, func(testing.TB) ledger.Config { return configOf(s.URL()) })
}

func TestOutageEmbedded(t *testing.T) {
	s := &restartable{server: startEmbedded(t, "127.0.0.1:0")}
	defer func() { s.server.Close() }()
	s.addr = s.server.Addr()
	ledgertest.RunOutage(t, s)
}

func TestMemoryDedup(t *testing.T) {
	ledgertest.RunDedup(t, func(testing.TB) ledgertest.Deduper { return ledger.NewMemoryDedup(time.Hour, 10000) })
}

func startEmbedded(t testing.TB, listen string) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(embedded.Config{Listen: listen})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// restartable is an embedded Redis that comes back empty at its address.
type restartable struct {
	server *embedded.Server
	addr   string
}

func (r *restartable) Config() ledger.Config {
	cfg := configOf("redis://" + r.addr)
	cfg.Timeout = 2 * time.Second
	return cfg
}
func (r *restartable) Stop(testing.TB) { r.server.Close() }

// Start waits for the port: it was free for a while, and another program may have it for a moment.
func (r *restartable) Start(t testing.TB) {
	for late := time.After(30 * time.Second); ; {
		s, err := embedded.Start(embedded.Config{Listen: r.addr})
		if err == nil {
			r.server = s
			return
		}
		select {
		case <-late:
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
