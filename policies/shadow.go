package policies

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/signalbox-dev/signalbox/event"
)

// ShadowDifference is what policies in shadow mode would have decided otherwise.
type ShadowDifference struct {
	// Stage is StageTrigger, StageAdmission or StageManagement.
	Stage string
	// Policies are those in shadow mode that make the difference, by name.
	Policies []string
	// Newly and Stops are the links that would have got the event, and would not;
	// of the trigger stage.
	Newly, Stops []string
	// Verdict is what the answer would have been; of the other stages.
	Verdict *Verdict
	// Admission and Management are what was asked, at their stages.
	Admission  *Admission
	Management *Management
	// Revision is that of the resources.
	Revision uint64
	// Err is why the policies would have made the decision fail; nil otherwise. It
	// wraps ErrPolicy.
	Err error
}

// Kinds of differences, as metrics count them.
const (
	DifferenceNewly  = "newly"
	DifferenceStops  = "stops"
	DifferenceRefuse = "refuse"
	DifferenceAdmit  = "admit"
	DifferenceError  = "error"
)

// Differences are the kinds of the difference.
func (d *ShadowDifference) Differences() (kinds []string) {
	if d.Err != nil {
		return []string{DifferenceError}
	}
	if len(d.Newly) > 0 {
		kinds = append(kinds, DifferenceNewly)
	}
	if len(d.Stops) > 0 {
		kinds = append(kinds, DifferenceStops)
	}
	switch {
	case d.Verdict == nil:
	case d.Verdict.Allowed:
		kinds = append(kinds, DifferenceAdmit)
	default:
		kinds = append(kinds, DifferenceRefuse)
	}
	return kinds
}

// shadowChoice compares live, the decision about an event, with what it would
// be with the policies in shadow mode. It has their own memo and breakers, and
// changes nothing of what was decided.
func (s *Snapshot) shadowChoice(ctx context.Context, ev *event.Event, sc *scratch, now time.Time, live *decision) {
	p := s.rules.trigger.shadow
	if len(sc.candidates) == 0 && !p.asksFor("target") {
		return
	}
	would, err := s.judge(ctx, p, s.shadowMemo, ev, sc, now)
	if err != nil {
		s.shadowFailed(ev, ShadowDifference{Stage: StageTrigger}, err)
		return
	}
	d := difference{live: live, would: would}
	for _, c := range sc.candidates {
		d.candidate(s.links[c.link].link.Metadata.Name)
	}
	d.additions()
	if len(d.newly)+len(d.stops) > 0 {
		s.tell(ev, ShadowDifference{Stage: StageTrigger, Policies: d.policies(p), Newly: d.newly, Stops: d.stops})
	}
}

// difference is between two decisions about one event.
type difference struct {
	live, would  *decision
	newly, stops []string
	// by are the policies that say so; "" is one that is not known.
	by []string
}

func (d *difference) candidate(name string) {
	before, after := d.live.gets(name), d.would.gets(name)
	switch {
	case before == after:
	case after:
		in, _ := d.would.places(name)
		d.newly, d.by = append(d.newly, name), append(d.by, in.policy)
	default:
		d.stops, d.by = append(d.stops, name), append(d.by, d.whoStops(name))
	}
}

// whoStops is the policy that denies the link; "" where it is just in no match.
func (d *difference) whoStops(name string) string {
	in, ok := d.would.places(name)
	if v, denied := d.would.verdict(name, in.priority); ok && denied {
		return v.policy
	}
	return ""
}

func (d *difference) additions() {
	for i := range d.would.added {
		if a := &d.would.added[i]; a.gets(d.would) && !d.live.adds(a) {
			d.newly, d.by = append(d.newly, a.name()), append(d.by, a.policy)
		}
	}
	for i := range d.live.added {
		a := &d.live.added[i]
		if !a.gets(d.live) || d.would.adds(a) {
			continue
		}
		v, _ := d.would.objection(a.name())
		d.stops, d.by = append(d.stops, a.name()), append(d.by, v.policy)
	}
}

// adds reports whether the decision has the same addition, and delivers it.
func (d *decision) adds(a *addition) bool {
	i := slices.IndexFunc(d.added, func(x addition) bool { return x.policy == a.policy && x.function == a.function })
	return i >= 0 && d.added[i].gets(d)
}

// policies are those in shadow mode that make the difference: the ones that
// say so, or all of them where it comes about by what others read of them.
func (d *difference) policies(p *panel) (list []string) {
	all := p.inShadow()
	for _, name := range d.by {
		if !slices.Contains(all, name) {
			return all
		}
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// inShadow are the names of the panel's policies in shadow mode; where only
// libraries and documents are, theirs.
func (p *panel) inShadow() (list []string) {
	for _, group := range [][]*source{p.sources, p.others} {
		for _, s := range group {
			if s.shadow {
				list = append(list, s.name)
			}
		}
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// shadowGate compares live with what the policies in shadow mode would say.
func (s *Snapshot) shadowGate(ctx context.Context, c *court, input func(*program) (ast.Value, error), now time.Time, ev *event.Event, live Verdict, d ShadowDifference) {
	if c.shadow == nil || s.cfg.Shadow == nil || live.Err != nil {
		return
	}
	q := question[Verdict]{input: input, read: readVerdict, now: now, budget: s.cfg.Budget, watch: s.watch(c.shadow)}
	v, _, err := begin(ctx, c.shadow, q, &s.cfg)
	if err != nil {
		s.shadowFailed(ev, d, err)
		return
	}
	if v.Allowed == live.Allowed {
		return
	}
	v.Revision = s.revision
	if d.Verdict, d.Policies = &v, c.shadow.inShadow(); slices.Contains(d.Policies, v.Policy) {
		d.Policies = []string{v.Policy}
	}
	s.tell(ev, d)
}

// shadowFailed tells that the decision would have failed, where a policy in
// shadow mode is why, and was asked.
func (s *Snapshot) shadowFailed(ev *event.Event, d ShadowDifference, err error) {
	var failed *PolicyError
	if !errors.As(err, &failed) || failed.Class == ClassBreaker || failed.source == nil || !failed.source.shadow {
		return
	}
	d.Policies, d.Err = []string{failed.Policy}, err
	s.tell(ev, d)
}

func (s *Snapshot) tell(ev *event.Event, d ShadowDifference) {
	d.Revision = s.revision
	s.cfg.Shadow(ev, d)
}
