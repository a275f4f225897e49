package history

import (
	"sync"
	"time"
)

// History is what happened to one system. The zero value is not usable, see
// New. It is safe for concurrent use.
type History struct {
	now func() time.Time

	mu      sync.Mutex
	sent    map[string]*sent
	keys    map[string]int // how many events each key has
	links   map[string]map[string]*deliveries
	faults  []*Fault
	strange []string // link and id of calls for what was never sent
}

// sent is one event that somebody sent, or that must follow from one.
type sent struct {
	class, key string
	index      int // among the events of its key, from 0
	at         time.Time
	accepted   bool
}

// deliveries are those of one event by one link.
type deliveries struct {
	calls []*call
	dead  bool
}

// call is one call of a function; ended is zero while it lasts.
type call struct {
	began, ended time.Time
	ok           bool
}

// Fault is something done to the system on purpose.
type Fault struct {
	Name string
	// Began and Ended are alike for what takes no time, a kill for instance.
	Began, Ended time.Time
}

// New makes an empty history; now is the clock.
func New(now func() time.Time) *History {
	return &History{now: now, sent: map[string]*sent{}, keys: map[string]int{}, links: map[string]map[string]*deliveries{}}
}

// Send says that an event is sent for the first time: from now on it may be
// delivered. class says which links want it; the events of one key were
// sent one after the other, each when the one before was accepted. Key "" is none.
func (h *History) Send(id, class, key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &sent{class: class, key: key, at: h.now()}
	if key != "" {
		s.index = h.keys[key]
		h.keys[key]++
	}
	h.sent[id] = s
}

// Accept says that the system has promised to deliver the event.
func (h *History) Accept(id string) {
	h.mu.Lock()
	h.sent[id].accepted = true
	h.mu.Unlock()
}

// Call says that a function is called for a link and an event. The result is
// to be called once, before the function answers; ok is an answer that means done.
func (h *History) Call(link, id string) (end func(ok bool)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sent[id] == nil {
		h.strange = append(h.strange, link+" "+id)
	}
	c := &call{began: h.now()}
	d := h.deliveries(link, id)
	d.calls = append(d.calls, c)
	return func(ok bool) {
		h.mu.Lock()
		c.ended, c.ok = h.now(), ok
		h.mu.Unlock()
	}
}

func (h *History) deliveries(link, id string) *deliveries {
	of := h.links[link]
	if of == nil {
		of = map[string]*deliveries{}
		h.links[link] = of
	}
	if of[id] == nil {
		of[id] = &deliveries{}
	}
	return of[id]
}

// Dead says that a dead letter of the delivery was found: its outcome.
func (h *History) Dead(link, id string) {
	h.mu.Lock()
	h.deliveries(link, id).dead = true
	h.mu.Unlock()
}

// Fault says that something is done to the system from now on, until the result is called.
func (h *History) Fault(name string) (end func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := &Fault{Name: name, Began: h.now()}
	h.faults = append(h.faults, f)
	return func() {
		h.mu.Lock()
		f.Ended = h.now()
		h.mu.Unlock()
	}
}

// Accepted is how many events were accepted.
func (h *History) Accepted() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, s := range h.sent {
		if s.accepted {
			n++
		}
	}
	return n
}

// succeeded is the first call that ended well; nil is none.
func (d *deliveries) succeeded() *call {
	if d != nil {
		for _, c := range d.calls {
			if c.ok {
				return c
			}
		}
	}
	return nil
}

// repeats are the calls after one that ended well.
func (d *deliveries) repeats() []*call {
	for i, c := range d.calls {
		if c.ok {
			return d.calls[i+1:]
		}
	}
	return nil
}

// doneBefore says whether there was an outcome before a time, and when the last
// call until then ended. That of a dead letter is taken to be when the last call ended.
func (d *deliveries) doneBefore(at time.Time) (last time.Time, ok bool) {
	if d == nil {
		return last, false
	}
	outcome := d.succeeded()
	if outcome == nil && d.dead && len(d.calls) > 0 {
		outcome = d.calls[len(d.calls)-1]
	}
	if outcome == nil || !outcome.endedBefore(at) {
		return last, false
	}
	for _, c := range d.calls {
		switch {
		case !c.began.Before(at):
		case !c.endedBefore(at):
			return at, true
		case c.ended.After(last):
			last = c.ended
		}
	}
	return last, true
}

func (c *call) endedBefore(at time.Time) bool { return !c.ended.IsZero() && c.ended.Before(at) }
