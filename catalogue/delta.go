package catalogue

import (
	"cmp"
	"slices"
	"strings"
)

// Delta is what came of one type since the last drain.
type Delta struct {
	Type  string
	Count uint64
	// First and Last are the times of the earliest and the latest event, in Unix
	// milliseconds; 0 when none came.
	First, Last int64
	// Minutes are the events of each minute since 1970.
	Minutes map[int64]uint64
	// Sources, ContentTypes and Emitters are those not told before; the marks say
	// that there are more than were kept.
	Sources, ContentTypes, Emitters []string
	MoreSources, MoreContentTypes   bool
	// Sample is an event in the CloudEvents JSON format, "" none; SampleSize is how
	// many bytes of data it had where they were too many to keep.
	Sample     string
	SampleSize int
}

// Drain returns what came since the last call, sorted by type, and what
// policies were seen to do. The caller keeps it, or gives it back by Restore.
func (c *Catalogue) Drain() ([]Delta, []Effect) {
	var all []Delta
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for name, t := range s.types {
			if d, any := t.drain(name); any {
				all = append(all, d)
			}
		}
		s.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b Delta) int { return strings.Compare(a.Type, b.Type) })
	return all, c.drainEffects()
}

func (c *Catalogue) drainEffects() []Effect {
	c.mu.Lock()
	defer c.mu.Unlock()
	var effects []Effect
	for e := range c.effects {
		effects = append(effects, e)
	}
	clear(c.effects) // so that those still seen are told again, and others expire
	slices.SortFunc(effects, func(a, b Effect) int {
		return cmp.Or(strings.Compare(a.Policy, b.Policy), strings.Compare(a.Link, b.Link), strings.Compare(a.Function, b.Function))
	})
	return effects
}

// drain is false when nothing came.
func (t *entry) drain(name string) (Delta, bool) {
	d := Delta{Type: name, Count: t.count}
	d.Sources, d.MoreSources = t.sources.drain()
	d.ContentTypes, d.MoreContentTypes = t.contentTypes.drain()
	d.Emitters, _ = t.emitters.drain()
	if t.count == 0 {
		return d, len(d.Emitters) > 0
	}
	d.First, d.Last = t.first, t.last
	d.Minutes = make(map[int64]uint64, 2)
	for i := range t.minutes {
		if m := &t.minutes[i]; m.count > 0 {
			d.Minutes[int64(m.minute)] = uint64(m.count)
			m.count = 0
		}
	}
	d.Sample, d.SampleSize = string(t.sample), t.size
	t.count, t.first, t.sampled = 0, 0, false
	return d, true
}

// Restore takes back what could not be kept, to be drained once more. Samples
// are not taken back.
func (c *Catalogue) Restore(deltas []Delta, effects []Effect) {
	for i := range deltas {
		d := &deltas[i]
		s := c.shard(d.Type)
		s.mu.Lock()
		t := s.types[d.Type]
		if t == nil {
			t = c.add(s, d.Type)
		}
		t.restore(d)
		s.mu.Unlock()
	}
	for _, e := range effects {
		c.Decided(e)
	}
}

func (t *entry) restore(d *Delta) {
	t.count += d.Count
	if d.First > 0 && (t.first == 0 || d.First < t.first) {
		t.first = d.First
	}
	t.last = max(t.last, d.Last)
	for minute, n := range d.Minutes {
		m := &t.minutes[uint32(minute)%window]
		switch {
		case m.minute == uint32(minute):
			m.count += uint32(n)
		case m.minute < uint32(minute):
			*m = slot{uint32(minute), uint32(n)}
		}
	}
	t.sources.restore(d.Sources, d.MoreSources)
	t.contentTypes.restore(d.ContentTypes, d.MoreContentTypes)
	t.emitters.restore(d.Emitters, false)
}

// restore makes texts fresh again.
func (l *labels) restore(texts []string, more bool) {
	for _, x := range texts {
		if l.known[x] == nil {
			k := &label{x}
			if l.known == nil {
				l.known = map[string]*label{}
			}
			l.known[x] = k
		}
		if !slices.Contains(l.fresh, x) {
			l.fresh = append(l.fresh, x)
		}
	}
	if more {
		l.more, l.told = true, false
	}
}
