package policies

import (
	"context"
	"time"

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

// candidate is a link whose types and filters hold.
type candidate struct {
	link int32
	// version is the place of function in its route where traffic is split, else 0.
	version int32
	// function is the version that would get the event.
	function *resource.Function
}

// scratch is working memory of one Choose.
type scratch struct {
	found      []int32
	candidates []candidate
	key        []byte
}

// Choose decides by the set in force, as Snapshot.Choose does, at the time of the clock.
func (e *Engine) Choose(ctx context.Context, ev *event.Event, key string, dst []resource.Target) (Choice, error) {
	return e.current.Load().Choose(ctx, ev, key, time.Time{}, dst)
}

// Choose appends to dst one target for each link that matches ev and that no
// policy takes out, and what policies add; paused links too, since what is
// kept for them is chosen as for any other. key is the Kafka key of ev, which
// decides between versions of a function ("" is none); now is the time that
// policies see, zero that of the clock. What targets point at never changes.
// Without trigger policies, and with a remembered decision that denies
// nothing, it allocates nothing but room in dst. An error wraps ErrPolicy or is
// that of ctx; dst is returned as it was. It is safe for concurrent use.
func (s *Snapshot) Choose(ctx context.Context, ev *event.Event, key string, now time.Time, dst []resource.Target) (Choice, error) {
	sc := s.shared.scratch.Get().(*scratch)
	defer s.shared.scratch.Put(sc)
	direct, function := event.Direct(ev)
	if event.CallTarget(ev) == "" {
		s.findCandidates(sc, ev, key)
	} else { // it is a call of one function, and nobody else's
		sc.candidates = sc.candidates[:0]
	}
	choice := Choice{Targets: dst, Revision: s.revision}
	d := &everything
	if s.asks(sc.candidates) || direct != "" && s.rules.trigger.enforced != nil {
		var err error
		if d, err = s.judge(ctx, s.rules.trigger.enforced, s.memo, ev, sc, now); err != nil {
			return choice, err
		}
	}
	s.apply(&choice, d, ev, key, sc.candidates)
	if direct != "" {
		if to, why := s.destination(function); why == "" {
			choice.add(d, lowest, resource.Target{Link: s.madeLink(direct, function), Function: to.pick(ev, key)})
		}
	}
	if to := event.Callback(ev); to != "" {
		if t, err := resource.CallbackTarget(to); err == nil {
			choice.Targets = append(choice.Targets, t)
		}
	}
	if s.rules.trigger.shadow != nil && s.cfg.Shadow != nil {
		s.shadowChoice(ctx, ev, sc, now, d)
	}
	return choice, nil
}

// everything is the decision of no policies.
var everything decision

// findCandidates leaves the links whose types and filters hold in sc, sorted.
func (s *Snapshot) findCandidates(sc *scratch, ev *event.Event, key string) {
	sc.found = s.index.collect(ev, sc.found[:0])
	sc.candidates = sc.candidates[:0]
	for _, i := range sc.found {
		if l := &s.links[i]; s.index.fits(i, l.link.Spec.Types, ev.Type) && l.filter.Match(ev) {
			sc.candidates = append(sc.candidates, l.candidate(i, ev, key))
		}
	}
}

// asks reports whether there is anything for trigger policies to decide.
func (s *Snapshot) asks(candidates []candidate) bool {
	t := s.rules.trigger.enforced
	return t != nil && (len(candidates) > 0 || t.asksFor("target"))
}

func (s *Snapshot) target(c candidate) resource.Target {
	return resource.Target{Link: s.links[c.link].link, Function: c.function}
}

// timeOr is now, or that of the clock.
func (s *Snapshot) timeOr(now time.Time) time.Time {
	if now.IsZero() {
		return s.cfg.Clock()
	}
	return now
}

// apply turns candidates and decision into the choice.
func (s *Snapshot) apply(choice *Choice, d *decision, ev *event.Event, key string, candidates []candidate) {
	if d == &everything {
		for _, c := range candidates {
			choice.Targets = append(choice.Targets, s.target(c))
		}
		return
	}
	for _, c := range candidates {
		t := s.target(c)
		if in, ok := d.places(t.Link.Metadata.Name); ok {
			choice.add(d, in.priority, t)
		}
	}
	for i := range d.added {
		if a := &d.added[i]; a.why == "" {
			choice.add(d, a.priority, resource.Target{Link: a.link, Function: a.to.pick(ev, key)})
		}
	}
}

// add adds a target that was put in with priority, or its denial.
func (c *Choice) add(d *decision, priority int, t resource.Target) {
	if v, denied := d.verdict(t.Link.Metadata.Name, priority); denied {
		c.Denied = append(c.Denied, Denial{t.Link.Metadata.Name, t.Function.Metadata.Name, v.policy, v.reason})
		return
	}
	c.Targets = append(c.Targets, t)
}
