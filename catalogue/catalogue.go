package catalogue

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// shards is over how many locks the types are spread.
const shards = 64

// maxEffects bounds the effects of policies that are remembered between drains.
const maxEffects = 1000

// Catalogue gathers what one process sees. It is safe for concurrent use.
type Catalogue struct {
	cfg    Config
	seed   maphash.Seed
	shards [shards]shard

	mu      sync.Mutex
	effects map[Effect]bool
}

type shard struct {
	mu    sync.Mutex
	types map[string]*entry
}

// Effect is a policy that added a function (Link is "") or denied a link.
type Effect struct{ Policy, Link, Function string }

// window is how many minutes an entry holds between two drains.
const window = 64

// entry is one type: what came since the last drain, and what was told already.
type entry struct {
	count                           uint64
	first, last                     int64 // Unix milliseconds
	minutes                         [window]slot
	sources, contentTypes, emitters labels
	// sample is the first event since the last drain; sampled says there is one.
	sample  []byte
	sampled bool
	// size is the bytes of the sample's data where they were too many.
	size int
}

// slot counts the events of one minute since 1970.
type slot struct{ minute, count uint32 }

// New makes an empty catalogue.
func New(cfg Config) (*Catalogue, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Catalogue{cfg: cfg, seed: maphash.MakeSeed(), effects: map[Effect]bool{}}
	for i := range c.shards {
		c.shards[i].types = map[string]*entry{}
	}
	return c, nil
}

// Observe notes one event, whose record in the log has the time at. It keeps
// nothing of e, and does not allocate for a type, a source and a content type
// that are known. Types of more than 512 bytes are not noted.
func (c *Catalogue) Observe(e *event.Event, at time.Time) {
	if len(e.Type) > maxLabel {
		return
	}
	ms := at.UnixMilli()
	s := c.shard(e.Type)
	s.mu.Lock()
	t := s.types[e.Type]
	if t == nil {
		t = c.add(s, e.Type)
	}
	t.count++
	t.seen(ms)
	t.sources.note(e.Source, c.cfg.MaxSources)
	t.contentTypes.note(e.DataContentType, c.cfg.MaxContentTypes)
	if !t.sampled {
		t.take(e, c.cfg.SampleBytes)
	}
	s.mu.Unlock()
}

// Emitted notes that a function answered with an event of a type.
func (c *Catalogue) Emitted(function, typ string) {
	if len(typ) > maxLabel {
		return
	}
	s := c.shard(typ)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.types[typ]
	if t == nil {
		t = c.add(s, typ)
	}
	t.emitters.note(function, c.cfg.MaxEmitters)
}

// Decided notes what a policy did.
func (c *Catalogue) Decided(e Effect) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.effects[e]; !known && len(c.effects) < maxEffects {
		c.effects[e] = true
	}
}

func (c *Catalogue) shard(typ string) *shard { return &c.shards[maphash.String(c.seed, typ)%shards] }

// add makes the entry of a type; when there are too many, the one seen least
// lately goes.
func (c *Catalogue) add(s *shard, typ string) *entry {
	if len(s.types) >= c.cfg.MaxTypes/shards {
		oldest, at := "", int64(0)
		for name, t := range s.types {
			if oldest == "" || t.last < at {
				oldest, at = name, t.last
			}
		}
		delete(s.types, oldest)
	}
	t := &entry{}
	s.types[strings.Clone(typ)] = t
	return t
}

func (t *entry) seen(ms int64) {
	if t.first == 0 || ms < t.first {
		t.first = ms
	}
	t.last = max(t.last, ms)
	minute := uint32(ms / 60_000)
	m := &t.minutes[minute%window]
	switch {
	case m.minute == minute:
		m.count++
	case m.minute < minute:
		*m = slot{minute, 1}
	}
}

// take keeps e as the sample, without its data where they are too many.
func (t *entry) take(e *event.Event, most int) {
	t.size = 0
	if len(e.Data) > most {
		small := *e
		small.Data, t.size = nil, len(e.Data)
		e = &small
	}
	t.sample, t.sampled = e.AppendJSON(t.sample[:0]), true
}
