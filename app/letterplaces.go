package app

import (
	"hash/maphash"

	"github.com/signalbox-dev/signalbox/event"
)

// letterPlaces remembers where on the topic of dead letters something stands,
// by a dead letter's id, in about 30 bytes each. Of more than twice half it
// forgets the oldest, and says so. It keeps a 64-bit fingerprint of the id, so
// whoever reads what stands there compares the id.
type letterPlaces struct {
	seed        maphash.Seed
	half        int
	now, before map[uint64]letterPlace
	// forgot is set once something was forgotten.
	forgot bool
}

// letterPlace is a position and one bit, packed so that the collector need not
// look into the maps: 1 bit, 15 bits of partition, 48 of offset.
type letterPlace uint64

const (
	offsetBits    = 48
	partitionBits = 15
)

func packPlace(pos event.Position, bit bool) letterPlace {
	p := letterPlace(pos.Partition)&(1<<partitionBits-1)<<offsetBits | letterPlace(pos.Offset)&(1<<offsetBits-1)
	if bit {
		p |= 1 << (offsetBits + partitionBits)
	}
	return p
}

func (p letterPlace) position() event.Position {
	return event.Position{Partition: int32(p >> offsetBits & (1<<partitionBits - 1)), Offset: int64(p & (1<<offsetBits - 1))}
}

func (p letterPlace) bit() bool { return p>>(offsetBits+partitionBits) != 0 }

func newLetterPlaces(bound int) letterPlaces {
	return letterPlaces{seed: maphash.MakeSeed(), half: max(bound/2, 1), now: map[uint64]letterPlace{}}
}

func (l *letterPlaces) key(id string) uint64 { return maphash.String(l.seed, id) }

// add remembers the first place of an id; it is false when there was one.
func (l *letterPlaces) add(id string, p letterPlace) bool {
	if _, ok := l.get(id); ok {
		return false
	}
	if len(l.now) >= l.half {
		l.forgot = l.forgot || l.before != nil
		l.before, l.now = l.now, map[uint64]letterPlace{}
	}
	l.now[l.key(id)] = p
	return true
}

func (l *letterPlaces) get(id string) (letterPlace, bool) {
	k := l.key(id)
	if p, ok := l.now[k]; ok {
		return p, true
	}
	p, ok := l.before[k]
	return p, ok
}
