package ledger

import (
	"context"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// MemoryDedup is deduplication inside one process: Claim and Lookup as the
// Ledger's, without Redis. It forgets when the process ends; feed it from the
// log's tail by Fill at the start. It is safe for concurrent use.
type MemoryDedup struct {
	window time.Duration
	half   int

	mu sync.Mutex
	// now takes claims, before is looked into as well; turned is when now began.
	now, before map[memoryKey]memoryPosition
	turned      time.Time
}

// memoryKey and memoryPosition hold no pointers, so the collector does not
// look into the maps; together they are 24 bytes.
type (
	memoryKey      [12]byte
	memoryPosition struct {
		partition           int32
		offsetLow, offsetHi uint32
	}
)

// NewMemoryDedup remembers an id for at least window and at most twice as
// long, while no more than maxIDs come in that time; beyond that the oldest
// go, but never the last maxIDs/2. About 40 bytes an id. A window under 1s
// counts as 1s, a maxIDs under 1024 as 1024.
func NewMemoryDedup(window time.Duration, maxIDs int) *MemoryDedup {
	return &MemoryDedup{
		window: max(window, time.Second),
		half:   max(maxIDs, 1024) / 2,
		now:    make(map[memoryKey]memoryPosition),
		turned: time.Now(),
	}
}

// Claim is as Ledger.Claim and never fails, except for lack of room in out.
func (m *MemoryDedup) Claim(_ context.Context, recs []event.Record, out []event.Verdict) error {
	_ = out[:len(recs)]
	at := time.Now()
	for i := range recs {
		out[i] = event.FirstSight
		if recs[i].Event != nil {
			out[i] = m.claim(&recs[i], at)
		}
	}
	return nil
}

// Fill claims a record that was in the log before this process began.
func (m *MemoryDedup) Fill(rec event.Record) {
	if rec.Event != nil {
		m.claim(&rec, time.Now())
	}
}

// Lookup says where the first copy of an event is, if its id is still remembered.
func (m *MemoryDedup) Lookup(_ context.Context, source, id string) (event.Position, bool, error) {
	k := memoryKeyOf(source, id)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(time.Now())
	p, ok := m.find(k)
	return p.position(), ok, nil
}

func (m *MemoryDedup) claim(rec *event.Record, at time.Time) event.Verdict {
	k := memoryKeyOf(rec.Event.Source, rec.Event.ID)
	p := pack(rec.Position)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(at)
	switch have, ok := m.find(k); {
	case !ok:
		m.now[k] = p
		return event.FirstSight
	case have == p:
		return event.Redelivery
	}
	return event.Duplicate
}

func (m *MemoryDedup) find(k memoryKey) (memoryPosition, bool) {
	if p, ok := m.before[k]; ok {
		return p, true
	}
	p, ok := m.now[k]
	return p, ok
}

// turn begins a new window when the present one is old or full.
func (m *MemoryDedup) turn(at time.Time) {
	age := at.Sub(m.turned)
	if age < m.window && len(m.now) < m.half {
		return
	}
	m.before, m.now, m.turned = m.now, make(map[memoryKey]memoryPosition), at
	if age >= 2*m.window {
		m.before = nil
	}
}

func memoryKeyOf(source, id string) memoryKey {
	f := fingerprintOf(source, id)
	return memoryKey(f[:len(memoryKey{})])
}

func pack(p event.Position) memoryPosition {
	return memoryPosition{partition: p.Partition, offsetLow: uint32(p.Offset), offsetHi: uint32(p.Offset >> 32)}
}

func (p memoryPosition) position() event.Position {
	return event.Position{Partition: p.partition, Offset: int64(p.offsetHi)<<32 | int64(p.offsetLow)}
}
