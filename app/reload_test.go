package app

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/ledger"
	redisserver "github.com/signalbox-dev/signalbox/ledger/embedded"
)

func TestAPartitionTakenOverWaitsForTheNewestResources(t *testing.T) {
	s := openShop(t)
	var said bytes.Buffer
	a := &App{ledger: s.ledger, log: slog.New(slog.NewTextHandler(&said, nil))}
	r := newReloader(a)
	newest := s.apply(fnObject("v1", ""))[0].Metadata.Revision
	over := make(chan struct{})
	go func() {
		defer close(over)
		r.catchUp(t.Context(), 3)
	}()
	load := func(revision uint64) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.revision, r.once = revision, true
		close(r.changed)
		r.changed = make(chan struct{})
	}
	load(newest - 1)
	select {
	case <-over:
		t.Error("it did not wait for the newest revision")
	case <-time.After(20 * time.Millisecond):
	}
	load(newest)
	<-over
	r.catchUp(t.Context(), 3) // nothing to wait for
	if said.Len() > 0 {
		t.Errorf("it said %s", said.String())
	}
}

func TestATakeOverGoesOnWithoutTheLedger(t *testing.T) {
	redis, err := redisserver.Start(redisserver.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := ledger.DefaultConfig()
	cfg.URL, cfg.Volatile, cfg.Timeout = redis.URL(), true, 30*time.Second // also to open it, on a busy machine
	l, err := ledger.Open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := redis.Close(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	r := newReloader(&App{ledger: l, log: slog.New(slog.NewTextHandler(&said, nil))})
	began := time.Now()
	for range 3 {
		r.catchUp(t.Context(), 3)
	}
	if took := time.Since(began); took > 3*handOverWait+10*time.Second { // which a busy machine may add
		t.Errorf("three take-overs took %s", took)
	}
	if n := strings.Count(said.String(), "without knowing the newest resources"); n != 1 {
		t.Errorf("it complained %d times: %s", n, said.String())
	}
}

func TestWaitingForARevisionIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloader(&App{})
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), handOverWait)
		defer cancel()
		if err := r.reach(ctx, 7); err == nil || time.Since(began) != handOverWait {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
