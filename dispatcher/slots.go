package dispatcher

import (
	"sync"
	"sync/atomic"
)

// slots bounds the calls in flight over all functions. When there are fewer
// than are wanted, the lane with the fewest calls for its weight gets the next.
//
// A slot cannot be taken back: functions that hang keep theirs until their calls
// time out. So the last quarter is for lanes with few calls alone, and for those
// with fewer the less is left of it: whatever hangs, another finds some.
type slots struct {
	mu   sync.Mutex
	free int
	// reserve is that last quarter.
	reserve int
	// waiting are lanes that wanted a slot and got none; each stands here once.
	waiting []*lane
	wanted  atomic.Int32 // len(waiting)
}

// take gives l a slot; false when there is none for it: then it is woken when
// there is. l.mu is held.
func (s *slots) take(l *lane) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 && s.allows(l) && !s.behind(l) {
		s.free--
		return true
	}
	if !l.waitsForSlot {
		l.waitsForSlot = true
		s.waiting = append(s.waiting, l)
		s.wanted.Store(int32(len(s.waiting)))
	}
	return false
}

// reserved is how many calls a lane (of weight 1) may have to get the first slot
// of the reserve. With n slots of it left it is that share of it.
const reserved = 16

// allows reports whether l may have one of the slots that are left.
func (s *slots) allows(l *lane) bool {
	if s.free > s.reserve {
		return true
	}
	return l.load(0) < max(1, reserved*float64(s.free)/float64(s.reserve))
}

// behind reports whether a lane that waits has fewer calls for its weight than l.
func (s *slots) behind(l *lane) bool {
	for _, w := range s.waiting {
		if w != l && w.load(0) < l.load(0) {
			return true
		}
	}
	return false
}

// give returns a slot and wakes a lane that waits for one, if any has a use
// for it. No lane's mutex is held.
func (s *slots) give() {
	s.mu.Lock()
	s.free++
	s.mu.Unlock()
	for s.wanted.Load() > 0 {
		l := s.next()
		if l == nil || l.wake() > 0 {
			return
		}
	}
}

// next takes the lane with the fewest calls for its weight off the list.
func (s *slots) next() *lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 || s.free == 0 {
		return nil
	}
	least := 0
	for i, w := range s.waiting {
		if w.load(0) < s.waiting[least].load(0) {
			least = i
		}
	}
	l := s.waiting[least]
	if !s.allows(l) { // and no other
		return nil
	}
	s.waiting = append(s.waiting[:least], s.waiting[least+1:]...)
	s.wanted.Store(int32(len(s.waiting)))
	l.waitsForSlot = false
	return l
}

// yields reports whether l, which has a slot and more to do, should give it
// up: a lane waits that would have fewer calls for its weight even with it.
func (s *slots) yields(l *lane) bool {
	if s.wanted.Load() == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.waiting {
		if w != l && w.load(1) < l.load(0) {
			return true
		}
	}
	return false
}
