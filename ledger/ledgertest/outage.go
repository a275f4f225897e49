package ledgertest

import (
	"errors"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/ledger"
)

// Server is a Redis that the suite may stop and start.
type Server interface {
	// Config names the server, while it runs and while it does not.
	Config() ledger.Config
	// Stop kills the server; Start starts it again at the same address, empty or not.
	Stop(t testing.TB)
	Start(t testing.TB)
}

// Freezer is a Server that can stop answering without closing its connections.
type Freezer interface {
	Server
	Freeze(t testing.TB)
	Thaw(t testing.TB)
}

// RunOutage tests what happens when Redis goes and comes back. s runs.
func RunOutage(t *testing.T, s Server) {
	fixed := suite{config: func(testing.TB) ledger.Config { return s.Config() }}
	cfg, h := fixed.fresh(t), new(History)
	l := open(t, cfg, h)
	before := put(t, l, function("a", "1")).Metadata.Revision
	revisions := watch(t, l)
	await(t, revisions, before)
	claim(t, l, record("/s", "1", 0, 1))

	s.Stop(t)
	t.Run("away", func(t *testing.T) { testAway(t, l, cfg) })
	s.Start(t)
	t.Run("back", func(t *testing.T) {
		after := awaitPut(t, l)
		if after <= before {
			t.Errorf("revision %d after %d", after, before)
		}
		await(t, revisions, after)
		if _, all := snapshot(t, l); len(all) != 2 {
			t.Errorf("%d resources, want the one before and the one after", len(all))
		}
		claim(t, l, record("/s", "2", 0, 2))
	})
	t.Run("watched again from another replica", func(t *testing.T) {
		revision := put(t, open(t, cfg, h), function("c", "1")).Metadata.Revision
		if took := await(t, revisions, revision); took > soon {
			t.Errorf("seen after %s", took)
		}
	})
	f, ok := s.(Freezer)
	if !ok {
		return
	}
	f.Freeze(t)
	t.Run("frozen", func(t *testing.T) { testAway(t, l, cfg) })
	f.Thaw(t)
	t.Run("thawed", func(t *testing.T) { awaitPut(t, l) })
}

// testAway checks that everything fails as unavailable, in time.
func testAway(t *testing.T, l *ledger.Ledger, cfg ledger.Config) {
	ctx := t.Context()
	for name, do := range map[string]func() error{
		"claim": func() error {
			return l.Claim(ctx, []event.Record{record("/s", "1", 0, 1)}, make([]event.Verdict, 1))
		},
		"rate":     func() error { _, _, err := l.TakeRate(ctx, "f", 1000, 1); return err },
		"chain":    func() error { _, err := l.CountChain(ctx, "c", 1); return err },
		"lookup":   func() error { _, _, err := l.Lookup(ctx, "/s", "1"); return err },
		"get":      func() error { _, err := l.Get(ctx, "Function", "a"); return err },
		"snapshot": func() error { _, _, err := l.Snapshot(ctx); return err },
		"put":      func() error { _, err := l.Put(ctx, function("b", "1"), ledger.Any()); return err },
		"ping":     func() error { return l.Ping(ctx) },
		"open":     func() error { _, err := ledger.Open(ctx, cfg, nil); return err },
	} {
		begin := time.Now()
		if err := do(); !errors.Is(err, ledger.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
		if took := time.Since(begin); took > cfg.Timeout+soon {
			t.Errorf("%s took %s, the bound is %s", name, took, cfg.Timeout)
		}
	}
}

// awaitPut repeats a write until Redis takes it.
func awaitPut(t testing.TB, l *ledger.Ledger) uint64 {
	t.Helper()
	late, again := time.After(patience), time.NewTicker(20*time.Millisecond)
	defer again.Stop()
	for {
		o, err := l.Put(t.Context(), function("b", "1"), ledger.Any())
		if err == nil {
			return o.Metadata.Revision
		}
		if !errors.Is(err, ledger.ErrUnavailable) {
			t.Fatalf("put: %v", err)
		}
		select {
		case <-late:
			t.Fatalf("redis was not used again within %s: %v", patience, err)
		case <-again.C:
		}
	}
}
