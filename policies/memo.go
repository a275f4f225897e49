package policies

import (
	"encoding/binary"
	"sync"

	"github.com/signalbox-dev/signalbox/event"
)

// memo remembers decisions by everything the policies read. It belongs to one
// snapshot. It keeps two generations: when the young one is full it becomes
// the old one, and what was not asked for since is forgotten.
type memo struct {
	mu         sync.RWMutex
	half       int
	young, old map[string]*decision
}

func newMemo(size int) *memo {
	return &memo{half: max(1, size/2), young: map[string]*decision{}}
}

// get does not allocate.
func (m *memo) get(key []byte) *decision {
	m.mu.RLock()
	d, young := m.young[string(key)]
	if !young {
		d = m.old[string(key)]
	}
	m.mu.RUnlock()
	if d != nil && !young {
		m.put(key, d)
	}
	return d
}

func (m *memo) put(key []byte, d *decision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.young) >= m.half {
		m.old, m.young = m.young, make(map[string]*decision, m.half)
	}
	m.young[string(key)] = d
}

func (m *memo) len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.young) + len(m.old)
}

// memoKey appends everything a decision depends on.
func (r *reads) memoKey(key []byte, ev *event.Event, candidates []candidate) []byte {
	for _, k := range r.attributes {
		v, ok := ev.Attribute(k.name)
		if !ok {
			key = append(key, 0)
			continue
		}
		key = append(key, 1)
		key = binary.AppendUvarint(key, uint64(len(v)))
		key = append(key, v...)
	}
	if r.links {
		for _, c := range candidates {
			key = binary.AppendUvarint(key, uint64(c.link))
			key = binary.AppendUvarint(key, uint64(c.version))
		}
	}
	return key
}
