package policies

import (
	"context"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// Choice is what was chosen for one event.
type Choice struct {
	// Targets is what Choose was given, with the targets of the event
	// appended: links in the order of their names, then what policies add.
	Targets []resource.Target
	// Denied lists links that matched and that a policy denied; mostly nil.
	Denied []Denial
	// Revision is that of the set by which was chosen, also with an error.
	Revision uint64
}

// Denial is a link that matched and that a policy denied.
type Denial struct {
	Link     string
	Function string
	Policy   string
	Reason   string
}

// scratch is working memory of one Choose.
type scratch struct {
	candidates []int32
	key        []byte
}

// Choose appends to dst one target for each link that matches ev and that no
// policy takes out, and what policies add; paused links too, since what is
// kept for them is chosen as for any other. It works wholly on one set; what
// targets point at never changes. Without trigger policies, and with a
// remembered decision that denies nothing, it allocates nothing but room in
// dst. An error wraps ErrPolicy or is that of ctx; dst is returned as it was.
func (e *Engine) Choose(ctx context.Context, ev *event.Event, dst []resource.Target) (Choice, error) {
	s := e.current.Load()
	sc := e.scratch.Get().(*scratch)
	defer e.scratch.Put(sc)
	sc.candidates = s.candidates(ev, sc.candidates[:0])
	choice := Choice{Targets: dst, Revision: s.revision}
	if !s.asks(sc.candidates) {
		for _, c := range sc.candidates {
			choice.Targets = append(choice.Targets, s.links[c].target())
		}
		return choice, nil
	}
	d, err := e.remember(ctx, s, ev, sc)
	if err == nil {
		s.apply(&choice, d, sc.candidates)
	}
	return choice, err
}

// candidates appends the links whose types and filters hold, sorted.
func (s *snapshot) candidates(ev *event.Event, found []int32) []int32 {
	found = s.index.collect(ev, found)
	kept := found[:0]
	for _, c := range found {
		if s.links[c].filter.Match(ev) {
			kept = append(kept, c)
		}
	}
	return kept
}

// asks reports whether there is anything for trigger policies to decide.
func (s *snapshot) asks(candidates []int32) bool {
	t := s.rules.trigger
	return t != nil && (len(candidates) > 0 || t.asksFor("target"))
}

func (c *compiledLink) target() resource.Target {
	return resource.Target{Link: c.link, Function: c.function}
}

// remember looks the decision up, or evaluates it.
func (e *Engine) remember(ctx context.Context, s *snapshot, ev *event.Event, sc *scratch) (*decision, error) {
	if s.memo == nil {
		return e.evaluate(ctx, s, ev, sc.candidates)
	}
	sc.key = s.rules.trigger.reads.memoKey(sc.key[:0], ev, sc.candidates)
	if d := s.memo.get(sc.key); d != nil {
		e.hits.Add(1)
		return d, nil
	}
	e.misses.Add(1)
	d, err := e.evaluate(ctx, s, ev, sc.candidates)
	if err == nil {
		s.memo.put(sc.key, d)
	}
	return d, err
}

func (e *Engine) evaluate(ctx context.Context, s *snapshot, ev *event.Event, candidates []int32) (*decision, error) {
	d, err := s.decide(ctx, ev, candidates, e.cfg.Clock(), e.cfg.Budget)
	if err != nil && ctx.Err() == nil {
		e.failures.Add(1)
		e.cfg.Logger.Warn("trigger policy failed", "source", ev.Source, "id", ev.ID, "revision", s.revision, "error", err)
	}
	return d, err
}

// apply turns candidates and decision into the choice.
func (s *snapshot) apply(choice *Choice, d *decision, candidates []int32) {
	for _, c := range candidates {
		l := &s.links[c]
		if d.matched == nil || d.matched[l.link.Metadata.Name] {
			choice.add(d, l.target())
		}
	}
	for i := range d.added {
		if d.added[i].why == "" {
			choice.add(d, d.added[i].target)
		}
	}
}

func (c *Choice) add(d *decision, t resource.Target) {
	if v, denied := d.verdict(t.Link.Metadata.Name); denied {
		c.Denied = append(c.Denied, Denial{t.Link.Metadata.Name, t.Function.Metadata.Name, v.policy, v.reason})
		return
	}
	c.Targets = append(c.Targets, t)
}
