package policies

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

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

// judge is what a panel decides: remembered, or evaluated. Policies that are
// not asked because they kept failing count as if they failed.
func (s *Snapshot) judge(ctx context.Context, p *panel, m *memo, ev *event.Event, sc *scratch, now time.Time) (*decision, error) {
	left, _ := p.skipped(&s.cfg, false)
	prog, _ := p.without(left)
	remembers := m != nil && prog != nil && prog.forgetful == ""
	if remembers {
		sc.key = prog.memoKey(sc.key[:0], ev, sc.candidates)
		if d := m.get(sc.key); d != nil {
			s.shared.looked(p, &s.shared.hits)
			return d, nil
		}
		s.shared.looked(p, &s.shared.misses)
	} else {
		s.shared.looked(p, &s.shared.off)
	}
	q := s.question(ev, sc.candidates, now)
	q.watch = s.watch(p, "source", ev.Source, "id", ev.ID, "revision", s.revision)
	d, used, err := begin(ctx, p, q, &s.cfg)
	if err == nil && remembers && used == prog {
		m.put(sc.key, d)
	}
	return d, err
}

// memoKey appends everything a decision of the program depends on.
func (p *program) memoKey(key []byte, ev *event.Event, candidates []candidate) []byte {
	return p.reads.memoKey(binary.AppendUvarint(key, p.number), ev, candidates)
}

// looked counts a look-up, but for shadow panels.
func (sh *shared) looked(p *panel, n *atomic.Uint64) {
	if !p.shadow {
		n.Add(1)
	}
}
