package replay

import (
	"sync/atomic"

	"github.com/signalbox-dev/signalbox/resource"
)

// line is a link about which there is more to know than that it gets the live
// stream: it is paused, catches up, began somewhere else than at the latest, or
// has done so before.
type line struct {
	player            *Player
	name, uid, cursor string
	paused            atomic.Bool
	// gone is set when the link was deleted.
	gone atomic.Bool
	link atomic.Pointer[resource.Link]
	// places are those of the partitions owned, by partition. The slice is
	// replaced, never changed; player.mu is held by who does.
	places atomic.Pointer[[]*place]
}

// plain reports whether a link needs no line of itself.
func plain(l *resource.Link) bool {
	return !l.Spec.Paused && (l.Spec.StartFrom == "" || l.Spec.StartFrom == resource.StartLatest)
}

func (p *Player) newLine(link *resource.Link) *line {
	l := &line{player: p, name: link.Metadata.Name, uid: link.Metadata.UID}
	l.cursor = linkCursor(l.name, l.uid)
	l.places.Store(&[]*place{})
	l.learn(link)
	return l
}

// learn takes over a new version of the link.
func (l *line) learn(link *resource.Link) {
	l.link.Store(link)
	l.paused.Store(link.Spec.Paused)
}

// place is nil when the partition is not owned.
func (l *line) place(partition int32) *place {
	places := *l.places.Load()
	if partition < 0 || int(partition) >= len(places) {
		return nil
	}
	return places[partition]
}

// placeIn makes the place in a session when there is none. player.mu is held.
func (l *line) placeIn(s *session) {
	if pl := l.place(s.partition); pl != nil && pl.session == s {
		return
	}
	l.setPlace(s.partition, newPlace(l, s))
}

// setPlace replaces one place; nil takes it away. player.mu is held.
func (l *line) setPlace(partition int32, pl *place) {
	old := *l.places.Load()
	places := make([]*place, max(len(old), int(partition)+1))
	copy(places, old)
	places[partition] = pl
	l.places.Store(&places)
}

// stopped is asked by feeders between deliveries.
func (l *line) stopped() bool { return l.paused.Load() || l.gone.Load() }
