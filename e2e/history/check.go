package history

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Link is what is promised for one link.
type Link struct {
	Name string
	// Class is that of the events it wants.
	Class string
	// Ordered links make one call of a key at a time, in the order of the log.
	Ordered bool
}

// Rules are what a history is checked against.
type Rules struct {
	Links []Link
	// Uncommitted is for how long before a fault an event may have been done
	// without its settlement being committed: the commit interval, and what a
	// commit takes. What was done earlier is not repeated.
	Uncommitted time.Duration
	// Copies is how often one fault may have a delivery repeated: once for each
	// record of the log that stood for it when progress was not committed,
	// the event's own and parked ones.
	Copies int
}

// Kind is what is wrong.
type Kind string

// The kinds of violations.
const (
	// Lost: accepted, and neither delivered nor a dead letter.
	Lost Kind = "lost"
	// Stranger: delivered, and never sent.
	Stranger Kind = "stranger"
	// Repeated: delivered again although no fault explains it.
	Repeated Kind = "repeated"
	// TooMany: more is repeated than the bound allows.
	TooMany Kind = "too many"
	// Reordered: a call of an ordered link before an earlier event of its key was done.
	Reordered Kind = "reordered"
	// Overlapping: two calls of an ordered link and one key at a time.
	Overlapping Kind = "overlapping"
)

// Violation is one thing that is wrong.
type Violation struct {
	Kind           Kind
	Link, ID, Says string
}

// String implements fmt.Stringer.
func (v Violation) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s: link %s, event %s %s", v.Kind, v.Link, v.ID, v.Says))
}

// Repeats are how many deliveries of a link were repeated, and how many might have been.
type Repeats struct{ Count, Bound int }

// Missing is how many deliveries of accepted events have no outcome yet.
func (h *History) Missing(r Rules) int { return h.MissingOf(r, h.now()) }

// MissingOf is Missing of what was sent until a time.
func (h *History) MissingOf(r Rules, until time.Time) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, l := range r.Links {
		h.eachLost(l, func(id string) {
			if !h.sent[id].at.After(until) {
				n++
			}
		})
	}
	return n
}

func (h *History) eachLost(l Link, fn func(id string)) {
	of := h.links[l.Name]
	for id, s := range h.sent {
		if d := of[id]; s.accepted && s.class == l.Class && (d == nil || !d.dead && d.succeeded() == nil) {
			fn(id)
		}
	}
}

// Check returns everything that is wrong, sorted, and for each link how much was repeated.
func (h *History) Check(r Rules) ([]Violation, map[string]Repeats) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []Violation
	repeats := map[string]Repeats{}
	for _, id := range h.strange {
		link, id, _ := strings.Cut(id, " ")
		out = append(out, Violation{Stranger, link, id, "was never sent"})
	}
	for _, l := range r.Links {
		h.eachLost(l, func(id string) { out = append(out, Violation{Lost, l.Name, id, h.tell(l.Name, id)}) })
		var more []Violation
		more, repeats[l.Name] = h.checkRepeats(r, l)
		out = append(out, more...)
		if l.Ordered {
			out = append(out, h.checkOrder(r, l)...)
		}
	}
	slices.SortFunc(out, func(a, b Violation) int { return strings.Compare(a.String(), b.String()) })
	return out, repeats
}

const clock = "15:04:05.000"

// tell is what happened to one delivery, for whoever reads a violation.
func (h *History) tell(link, id string) string {
	var b strings.Builder
	if s := h.sent[id]; s != nil {
		fmt.Fprintf(&b, "sent %s", s.at.Format(clock))
	}
	if d := h.links[link][id]; d != nil {
		for _, c := range d.calls {
			fmt.Fprintf(&b, ", called %s ok=%t", c.began.Format(clock), c.ok)
		}
	}
	for _, f := range h.faults {
		fmt.Fprintf(&b, "; %s %s", f.Name, f.Began.Format(clock))
	}
	return b.String()
}

// checkRepeats wants a fault for each repetition, and not too many of them.
func (h *History) checkRepeats(r Rules, l Link) ([]Violation, Repeats) {
	var out []Violation
	var n Repeats
	for id, s := range h.sent {
		if s.class == l.Class {
			n.Bound += h.causes(r, id, s, h.now())
		}
	}
	for id, d := range h.links[l.Name] {
		s, again := h.sent[id], d.repeats()
		n.Count += len(again)
		if s == nil {
			continue
		}
		for i, c := range again {
			if causes := h.causes(r, id, s, c.began); i >= causes {
				out = append(out, Violation{Repeated, l.Name, id, fmt.Sprintf("for the %d. time at %s, faults until then explain %d: %s", i+1, c.began.Format(clock), causes, h.tell(l.Name, id))})
				break
			}
		}
	}
	if n.Count > n.Bound {
		out = append(out, Violation{TooMany, l.Name, "", fmt.Sprintf("%d repeated, at most %d may be", n.Count, n.Bound)})
	}
	return out, n
}

// causes is how often faults that began until a time may have made the
// deliveries of an event be repeated: those that met it in the system, with a
// delivery of it open or its settlement not committed. Progress is kept by event,
// so one open delivery is enough for all to be repeated.
func (h *History) causes(r Rules, id string, s *sent, until time.Time) int {
	n := 0
	for _, f := range h.faults {
		if !f.Began.After(until) && !s.at.After(f.end(h.now)) && !h.keptBefore(r, id, s, f.Began) {
			n += r.Copies
		}
	}
	return n
}

// keptBefore says whether every delivery of an event had its outcome before a
// time, and that this was committed by then.
func (h *History) keptBefore(r Rules, id string, s *sent, at time.Time) bool {
	for _, l := range r.Links {
		if l.Class != s.class {
			continue
		}
		if last, done := h.links[l.Name][id].doneBefore(at); !done || !h.committed(r, last).Before(at) {
			return false
		}
	}
	return true
}

// committed is when the settlement of a call that ended at a time is committed
// at the latest: while a fault lasts it may not be, so that it is done anew, and
// committed once the fault is over.
func (h *History) committed(r Rules, ended time.Time) time.Time {
	at := ended.Add(r.Uncommitted)
	for _, f := range h.faults { // in the order in which they began
		if over := f.end(h.now); f.Began.Before(at) && over.After(ended) {
			at = over.Add(r.Uncommitted)
		}
	}
	return at
}

func (f *Fault) end(now func() time.Time) time.Time {
	if f.Ended.IsZero() {
		return now()
	}
	return f.Ended
}

// keyed is a call of an ordered link.
type keyed struct {
	*call
	id    string
	index int
}

// checkOrder looks at the calls of each key in the order in which they began.
func (h *History) checkOrder(r Rules, l Link) []Violation {
	events, calls := map[string][]string{}, map[string][]keyed{}
	for id, s := range h.sent {
		if s.class == l.Class && s.key != "" && s.accepted {
			events[s.key] = append(events[s.key], id)
		}
	}
	for id, d := range h.links[l.Name] {
		if s := h.sent[id]; s != nil && s.key != "" {
			for _, c := range d.calls {
				calls[s.key] = append(calls[s.key], keyed{c, id, s.index})
			}
		}
	}
	var out []Violation
	for key, of := range calls {
		slices.SortFunc(of, func(a, b keyed) int { return a.began.Compare(b.began) })
		slices.SortFunc(events[key], func(a, b string) int { return h.sent[a].index - h.sent[b].index })
		out = append(out, h.checkKey(r, l, events[key], of)...)
	}
	return out
}

func (h *History) checkKey(r Rules, l Link, events []string, calls []keyed) []Violation {
	var out []Violation
	back, done := 0, 0 // done: so many of events are known to be over
	for i, c := range calls {
		for done < len(events) && h.sent[events[done]].index < c.index {
			d := h.links[l.Name][events[done]]
			if first := d.succeeded(); (d == nil || !d.dead) && (first == nil || first.ended.After(c.began)) {
				out = append(out, Violation{Reordered, l.Name, c.id, fmt.Sprintf("called %s before %s was done", c.began.Format(clock), events[done])})
			}
			done++
		}
		if i == 0 {
			continue
		}
		before := calls[i-1]
		if c.index < before.index {
			back++
		}
		if may := r.Copies * h.begun(c.began); back > may {
			out = append(out, Violation{Reordered, l.Name, c.id, fmt.Sprintf("called again behind %s: back for the %d. time, faults explain %d", before.id, back, may)})
			back = may
		}
		if (before.ended.IsZero() || before.ended.After(c.began)) && !h.faultIn(before.began, c.began) {
			out = append(out, Violation{Overlapping, l.Name, c.id, "called while " + before.id + " was"})
		}
	}
	return out
}

// begun is how many faults began before a time.
func (h *History) begun(at time.Time) int {
	n := 0
	for _, f := range h.faults {
		if !f.Began.After(at) {
			n++
		}
	}
	return n
}

// faultIn says whether a fault lasted at any time between two.
func (h *History) faultIn(from, to time.Time) bool {
	return slices.ContainsFunc(h.faults, func(f *Fault) bool { return !f.Began.After(to) && !f.end(h.now).Before(from) })
}
