package replay

import (
	"context"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// load finds out what is held back, until nothing is unknown: one question for
// all partitions that were assigned, and one for each link that has a cursor.
func (p *Player) load(ctx context.Context) {
	for ctx.Err() == nil {
		sessions, places := p.unknown()
		switch {
		case len(sessions) > 0:
			p.loadNames(ctx, sessions)
		case len(places) > 0:
			p.loadPlaces(ctx, places)
		default:
			return
		}
		p.startFeeders()
	}
}

// unknown are the partitions and the places that are not loaded, the latter by line.
func (p *Player) unknown() ([]*session, map[*line][]*place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.known {
		return nil, nil
	}
	var sessions []*session
	for _, s := range p.sessions {
		if !s.loaded() {
			sessions = append(sessions, s)
		}
	}
	places := map[*line][]*place{}
	for _, l := range p.lines {
		for _, pl := range *l.places.Load() {
			if pl != nil && !pl.loaded() {
				places[l] = append(places[l], pl)
			}
		}
	}
	return sessions, places
}

func (pl *place) loaded() bool {
	select {
	case <-pl.ready:
		return true
	default:
		return false
	}
}

// loadNames learns which cursors there are, after whoever had the partitions
// before in this process has written his last.
func (p *Player) loadNames(ctx context.Context, sessions []*session) {
	for _, s := range sessions {
		if s.before != nil {
			s.before.feeders.Wait()
			s.before = nil
		}
	}
	var names []string
	err := p.again(ctx, "listing the cursors of links", func() (err error) {
		names, err = p.parts.Cursors.Names(ctx)
		return err
	})
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names = make(map[string]bool, len(names))
	for _, n := range names {
		p.names[n] = true
	}
	for _, s := range sessions {
		close(s.ready)
	}
	p.updateLines()
	p.refresh()
}

// loadPlaces reads the cursors of lines.
func (p *Player) loadPlaces(ctx context.Context, places map[*line][]*place) {
	var extents map[int32]Extent
	err := p.again(ctx, "asking what the log holds", func() (err error) {
		extents, err = p.parts.Log.Extents(ctx)
		return err
	})
	if err != nil {
		return
	}
	for l, list := range places {
		var cursors map[int32]Cursor
		err := p.again(ctx, "reading the cursor of a link", func() (err error) {
			cursors, err = p.parts.Cursors.Load(ctx, l.cursor)
			return err
		})
		if err != nil {
			return
		}
		for _, pl := range list {
			c, has := cursors[pl.session.partition]
			if pl.fill(c, has, extents[pl.session.partition]) == nil {
				close(pl.ready)
			}
		}
	}
	p.mu.Lock()
	p.refresh() // forgets the places of sessions that ended meanwhile
	p.mu.Unlock()
}

// fill sets what is held back as the cursor says, or as the link is to start.
// It fails only when the session ends.
func (pl *place) fill(c Cursor, has bool, in Extent) error {
	p := pl.line.player
	pl.mu.Lock()
	pl.seen = in.End - 1 // whatever was held back before lies before the end
	pl.mu.Unlock()
	if has {
		h, err := parseHeld(c)
		if err != nil {
			p.log.Error("a cursor cannot be read, all from there on is sent again", "link", pl.line.name, "error", err)
			h = held{from: 0, at: c.Offset}
		}
		pl.mu.Lock()
		pl.held = h
		pl.mu.Unlock()
		return nil
	}
	link := pl.line.link.Load()
	start, isTime := link.Spec.StartTime()
	switch created, dated := link.Metadata.Created(); {
	case !isTime && link.Spec.StartFrom != resource.StartEarliest:
		return nil
	case dated && p.parts.Now().Sub(created) > p.cfg.Forget:
		p.log.Warn("the cursor of a link was forgotten, it goes on with what comes", "link", link.Metadata.Name, "partition", pl.session.partition)
		return nil
	}
	return pl.startAt(start, isTime, in)
}

// startAt holds everything back from the link's start on.
func (pl *place) startAt(t time.Time, isTime bool, in Extent) error {
	p := pl.line.player
	at := in.Start
	err := p.again(pl.session.ctx, "finding the start of a link", func() error {
		if !isTime {
			return nil
		}
		since, err := p.parts.Log.Since(pl.session.ctx, t)
		at = since[pl.session.partition]
		return err
	})
	if err != nil {
		return err
	}
	return pl.commit(pl.session.ctx, func(held) held { return held{from: 0, at: at} }, false)
}

// keepInterval is how often old cursors are committed again, and those of
// deleted resources dropped.
const keepInterval = 10 * time.Minute

// keep keeps Kafka from forgetting cursors, and forgets what is not needed.
func (p *Player) keep(ctx context.Context) {
	p.mu.Lock()
	p.retire()
	var dropped []string
	for name, since := range p.dropped {
		if p.parts.Now().Sub(since) >= keepInterval {
			dropped = append(dropped, name)
			delete(p.dropped, name)
		}
	}
	old := p.placesToKeep()
	parts := p.partsToKeep()
	p.mu.Unlock()
	for _, name := range dropped {
		if err := p.parts.Cursors.Drop(ctx, name); err != nil {
			p.log.Warn("a cursor of something deleted stays", "cursor", name, "error", err)
		}
	}
	for _, pl := range old {
		_ = pl.commit(pl.session.ctx, func(h held) held { return h }, false) // fails only when the partition is lost
	}
	for _, pt := range parts {
		_ = pt.save(pt.session.ctx)
	}
}

// placesToKeep are those whose cursor is old and of use. mu is held.
func (p *Player) placesToKeep() (list []*place) {
	for _, l := range p.lines {
		for _, pl := range *l.places.Load() {
			if pl == nil || !pl.loaded() || !pl.saving.tryTake() { // being saved just now
				continue
			}
			old := p.parts.Now().Sub(pl.savedAt) > p.cfg.Refresh
			pl.saving.give()
			pl.mu.Lock()
			use := !pl.live() || len(pl.sent) > 0 && !plain(l.link.Load())
			pl.mu.Unlock()
			if old && use {
				list = append(list, pl)
			}
		}
	}
	return list
}

// retire forgets the lines of links that are like any other again. mu is held.
func (p *Player) retire() {
	for name, l := range p.lines {
		if plain(l.link.Load()) && l.isLive() {
			delete(p.lines, name)
			delete(p.names, l.cursor)
		}
	}
	p.refresh()
}

// isLive reports whether the live stream is, in every partition, beyond what was sent.
func (l *line) isLive() bool {
	for _, pl := range *l.places.Load() {
		if pl == nil {
			continue
		}
		if !pl.loaded() || !pl.saving.tryTake() { // it is being held back just now
			return false
		}
		pl.saving.give()
		next, owned := l.player.parts.Stream.Next(pl.session.partition)
		pl.mu.Lock()
		live := pl.live() && owned && next >= pl.at && l.player.parts.Now().Sub(pl.liveSince) >= keepInterval
		pl.mu.Unlock()
		if !live {
			return false
		}
	}
	return true
}
