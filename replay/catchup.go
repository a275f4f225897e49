package replay

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// startFeeders starts what can run and does not: for each link that is not
// paused and has something held back, and for each replay.
func (p *Player) startFeeders() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		if l.stopped() {
			continue
		}
		for _, pl := range *l.places.Load() {
			if pl != nil && pl.loaded() && pl.session.feed.Err() == nil && pl.begin() {
				pl.session.feeders.Go(pl.feed)
			}
		}
	}
	for _, s := range p.sessions {
		if s.loaded() && s.feed.Err() == nil {
			p.startJobs(s)
		}
	}
}

// begin claims the place for a feeder, when there is something to feed.
func (pl *place) begin() bool {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	if pl.feeding || pl.live() {
		return false
	}
	pl.feeding = true
	return true
}

// feed sends what was held back until the link is live, paused or gone, or the
// partition is not ours any more.
func (pl *place) feed() {
	pl.catchUp(pl.session.feed)
	pl.mu.Lock()
	pl.feeding = false
	pl.mu.Unlock()
	if pl.session.feed.Err() == nil {
		pl.line.player.startFeeders() // it may have gone on, or been paused, just now
	}
}

func (pl *place) catchUp(ctx context.Context) {
	p := pl.line.player
	p.log.Info("a link catches up", "link", pl.line.name, "partition", pl.session.partition, "from", pl.position())
	f := &feed{
		p: p, session: pl.session, link: pl.line.name, reason: event.ParkCatchUp, stopped: pl.line.stopped,
		save: func(_ context.Context, offset int64) error { return pl.advance(pl.session.ctx, offset) },
	}
	var rest time.Time // after a barrier in vain the live stream has some time without one
	for ctx.Err() == nil && !pl.line.stopped() {
		if now := p.parts.Now(); !now.Before(rest) {
			if live, err := pl.approach(ctx, f); live || err != nil {
				return
			}
			if took := p.parts.Now().Sub(now); took > 0 {
				rest = now.Add(approachRest * took)
			}
		}
		at := pl.position()
		next, err := f.send(ctx, at, math.MaxInt64)
		if err != nil {
			return
		}
		if next > at {
			if pl.advance(pl.session.ctx, next) != nil {
				return
			}
		} else if !sleep(ctx, p.cfg.RetryWait) { // the end: it will be near
			return
		}
	}
}

// approachRest is how much longer than a barrier that was in vain the live
// stream goes on without one.
const approachRest = 10

// approach makes the link live when it is near: it stops the live stream at a
// barrier, sends what is left before it, and lifts it again. An error means
// that the partition is lost.
func (pl *place) approach(ctx context.Context, f *feed) (live bool, err error) {
	p := pl.line.player
	barrier, ok := pl.near(p.cfg.Approach)
	if !ok {
		return false, nil
	}
	short, cancel := context.WithTimeout(ctx, p.cfg.ApproachTimeout)
	defer cancel()
	lift := sync.OnceFunc(pl.lift)
	f.hurry, f.late = short, lift
	defer func() { f.hurry, f.late = nil, nil }()
	for at := pl.position(); at < barrier; {
		next, err := f.send(short, at, barrier)
		if err != nil || next <= at {
			lift()
			return false, ctx.Err()
		}
		if at = next; pl.advance(pl.session.ctx, at) != nil {
			return false, ctx.Err()
		}
	}
	if f.hurry == nil { // the live stream has gone on
		return false, ctx.Err()
	}
	return true, pl.goLive(pl.session.ctx)
}
