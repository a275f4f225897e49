package replay

import (
	"context"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// Skip says whether link does not get the event at pos from the live stream,
// because it is paused or catches up: then it gets it later, through its
// function's parked topic, and that is durable. It is asked for each delivery
// of the live stream in the order of offsets, by one goroutine a partition. It
// waits where an answer needs the log, and fails only when ctx ends or with
// ErrNotOwned. When no link has anything held back it costs one atomic read.
func (p *Player) Skip(ctx context.Context, link *resource.Link, pos event.Position) (skip bool, err error) {
	if p.view.Load() == nil && plain(link) {
		return false, nil
	}
	return p.skip(ctx, link, pos)
}

func (p *Player) skip(ctx context.Context, link *resource.Link, pos event.Position) (bool, error) {
	for {
		v := p.view.Load()
		if v == nil {
			v = &view{}
		}
		if s := v.loading[pos.Partition]; s != nil {
			if err := wait(ctx, s.ready); err != nil {
				return false, err
			}
			continue
		}
		l := v.lines[link.Metadata.Name]
		if l == nil || l.uid != link.Metadata.UID {
			if plain(link) {
				return false, nil
			}
			if p.behind(ctx, link) {
				continue
			}
			if now := p.standing(link); now == nil || plain(now) {
				return now == nil && link.Spec.Paused, ctx.Err() // deleted, or not paused any more
			}
			continue // it was changed just now
		}
		pl := l.place(pos.Partition)
		if pl == nil {
			return false, ErrNotOwned
		}
		if err := wait(ctx, pl.ready); err != nil {
			return false, err
		}
		return pl.skip(ctx, pos.Offset)
	}
}

// behind waits while the link is of a set that Update has not told of, and
// reports whether it was.
func (p *Player) behind(ctx context.Context, link *resource.Link) bool {
	p.mu.Lock()
	behind, changed := !p.known || p.revision < link.Metadata.Revision, p.changed
	p.mu.Unlock()
	return behind && wait(ctx, changed) == nil
}

// standing is the link as it is now; nil when it is gone.
func (p *Player) standing(link *resource.Link) *resource.Link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.links[link.Metadata.Name]; now != nil && now.Metadata.UID == link.Metadata.UID {
		return now
	}
	return nil
}

func wait(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	default:
	}
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
