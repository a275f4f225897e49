package ledger

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Watch calls fn with the revision at the start and after every change on any
// replica, one call at a time; changes that come close together may share one
// call, and a revision may be skipped but never repeated. It hears of a change
// by a notice, and reads the revision every Config.PollInterval besides, so a
// change is met within that time when the notice is lost. A Redis that is away
// is waited for; one that lost its resources is healed before fn is called. It
// also brings to the History what failed writers left pending. It blocks until
// ctx is done, and returns nil.
func (l *Ledger) Watch(ctx context.Context, fn func(revision uint64)) error {
	sub := l.client.Subscribe(ctx, l.keys.notice)
	defer sub.Close()
	notices := sub.Channel()
	tick := time.NewTicker(l.cfg.PollInterval)
	defer tick.Stop()
	w := watcher{ledger: l, fn: fn, settled: l.now()}
	defer w.settling.Wait()
	for {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case _, open := <-notices:
			if !open {
				notices = nil // closed with the client; the timer goes on
			}
		case <-tick.C:
		}
	}
}

// watcher is the state of one Watch.
type watcher struct {
	ledger *Ledger
	fn     func(uint64)
	// called says whether fn was called, last with which revision.
	called bool
	last   uint64
	// away says whether the last look failed, so that an outage is logged once.
	away bool
	// settled is when pending writes were settled last; settling is that
	// goroutine, at most one, which Watch waits for.
	settled  time.Time
	busy     atomic.Bool
	settling sync.WaitGroup
}

// look reads the revision and calls fn if it is new.
func (w *watcher) look(ctx context.Context) {
	var pending *redis.IntCmd
	revision, err := w.ledger.read(ctx, func(p redis.Pipeliner) { pending = p.HLen(ctx, w.ledger.keys.pending) })
	if err != nil {
		if !w.away && ctx.Err() == nil {
			w.ledger.log.Warn("resources cannot be watched", "error", err)
		}
		w.away = true
		return
	}
	w.away = false
	if pending.Val() > 0 {
		w.settle(ctx)
	}
	if !w.called || revision != w.last {
		w.called, w.last = true, revision
		w.fn(revision)
	}
}

// settle runs beside the watching, since a history that is away takes its time.
func (w *watcher) settle(ctx context.Context) {
	now := w.ledger.now()
	if now.Sub(w.settled) < w.ledger.cfg.HistoryTimeout || !w.busy.CompareAndSwap(false, true) {
		return
	}
	w.settled = now
	w.settling.Go(func() {
		defer w.busy.Store(false)
		if err := w.ledger.settle(ctx); err != nil && ctx.Err() == nil {
			w.ledger.log.Warn("pending writes do not reach the history", "error", err)
		}
	})
}
