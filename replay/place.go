package replay

import (
	"context"
	"sync"
	"time"
)

// place is one link in one owned partition.
type place struct {
	line    *line
	session *session
	// ready is closed once what is durable is known.
	ready chan struct{}

	// saving serialises commits, so that none overtakes a later one. It is taken before mu.
	saving  turn
	savedAt time.Time // guarded by saving

	mu sync.Mutex
	held
	// seen is the highest offset that was held back, or may have been before this
	// time of owning the partition: the feeder must get beyond it.
	seen int64
	// barrier, unless -1, is an offset at which the live stream waits, until
	// moved is closed, for the feeder to come there.
	barrier int64
	moved   chan struct{}
	// liveSince is when the link went live here; feeding is set while a feeder runs.
	liveSince time.Time
	feeding   bool
}

func newPlace(l *line, s *session) *place {
	return &place{line: l, session: s, ready: make(chan struct{}), saving: newTurn(), held: nothing(), seen: -1, barrier: -1}
}

// skip says whether the link gets the event at offset from somewhere else than
// the live stream. It waits at a barrier, and for what must be durable first.
func (pl *place) skip(ctx context.Context, offset int64) (bool, error) {
	for {
		skip, wait, decided := pl.look(offset)
		if decided {
			return skip, nil
		}
		if wait == nil {
			if err := pl.hold(ctx, offset); err != nil {
				return false, err
			}
			continue
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// look decides what can be decided at once. Else wait is what to wait for, nil
// when the event is the first to be held back.
func (pl *place) look(offset int64) (skip bool, wait <-chan struct{}, decided bool) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	switch {
	case pl.wasSent(offset):
		return true, nil, true
	case pl.live():
		return false, nil, !pl.line.paused.Load()
	case offset < pl.from:
		return false, nil, true // was under way before anything was held back
	case pl.barrier >= 0 && offset >= pl.barrier:
		return false, pl.moved, false
	}
	pl.seen = max(pl.seen, offset)
	return true, nil, true
}

// hold makes offset the first one that is held back, durably.
func (pl *place) hold(ctx context.Context, offset int64) error {
	err := pl.commit(ctx, func(h held) held { return h.holding(offset) }, true)
	if err == nil {
		pl.line.player.log.Info("events of a paused link are held back", "link", pl.line.name, "partition", pl.session.partition, "from", offset)
		pl.line.player.startFeeders()
	}
	return err
}

// commit makes what change says durable, however often that has to be tried,
// and then true. It fails only when ctx ends; what is durable is then unknown.
// With look it first takes over what another owner may have held back.
func (pl *place) commit(ctx context.Context, change func(held) held, look bool) error {
	p := pl.line.player
	pl.saving.take()
	defer pl.saving.give()
	pl.mu.Lock()
	next := change(pl.held)
	pl.mu.Unlock()
	err := p.again(ctx, "committing the cursor of a link", func() error {
		if look {
			earlier, ok, err := pl.heldEarlier(ctx, next.from)
			if err != nil {
				return err
			}
			if ok {
				next = earlier
				return nil
			}
		}
		return p.parts.Cursors.Commit(ctx, pl.line.cursor, map[int32]Cursor{pl.session.partition: next.cursor()})
	})
	if err != nil {
		return err
	}
	pl.savedAt = p.parts.Now()
	pl.mu.Lock()
	pl.held = next
	pl.mu.Unlock()
	return nil
}

// heldEarlier looks whether the log already holds back from an earlier offset
// on: who lost the partition without knowing must not move that.
func (pl *place) heldEarlier(ctx context.Context, from int64) (held, bool, error) {
	at, err := pl.line.player.parts.Cursors.Load(ctx, pl.line.cursor)
	if err != nil {
		return held{}, false, err
	}
	c, ok := at[pl.session.partition]
	if !ok {
		return held{}, false, nil
	}
	h, err := parseHeld(c)
	if err != nil {
		return held{}, false, nil // written over
	}
	return h, !h.live() && h.from <= from, nil
}

// position is where the feeder goes on.
func (pl *place) position() int64 {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	return pl.at
}

// advance commits that everything before offset was parked.
func (pl *place) advance(ctx context.Context, offset int64) error {
	return pl.commit(ctx, func(h held) held { h.at = max(h.at, offset); return h }, false)
}

// near sets a barrier behind what was held back last, when the feeder is less
// than distance behind it, and returns it. Everything before it is then for the
// feeder, and nothing from there on is decided.
func (pl *place) near(distance int64) (barrier int64, ok bool) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	if pl.seen-pl.at >= distance {
		return 0, false
	}
	pl.barrier, pl.moved = max(pl.seen+1, pl.at), make(chan struct{})
	return pl.barrier, true
}

// lift takes the barrier away.
func (pl *place) lift() {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	pl.barrier = -1
	close(pl.moved)
}

// goLive commits that events from the barrier on are live, and lets them pass.
// When that fails the barrier stays: what is durable is not known.
func (pl *place) goLive(ctx context.Context) error {
	pl.mu.Lock()
	at := pl.barrier
	pl.mu.Unlock()
	if err := pl.commit(ctx, func(h held) held { return h.goneLive(at) }, false); err != nil {
		return err
	}
	pl.mu.Lock()
	pl.liveSince = pl.line.player.parts.Now()
	pl.mu.Unlock()
	pl.lift()
	pl.line.player.log.Info("a link is live again", "link", pl.line.name, "partition", pl.session.partition, "from", at)
	return nil
}
