package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/policies"
)

// judge says for every link why it did or did not get the event.
func (x *explainer) judge(ctx context.Context, c *inquiry, out *gateway.Explanation) error {
	then, err := x.at(ctx, out.Revision)
	if err != nil {
		out.Differences = append(out.Differences, err.Error())
		return x.addRecorded(ctx, c, out)
	}
	for _, g := range then.gaps {
		out.Differences = append(out.Differences, g+" was another then, and that version is not kept any more")
	}
	judged, err := then.explain(ctx, &c.rec, out.PolicyTime)
	if err != nil {
		return err
	}
	out.Error = judged.Error
	if c.refused != nil {
		if out.Error = c.refused.Reason; judged.Error == "" && strings.HasPrefix(out.Error, choosingFailed) {
			out.Differences = append(out.Differences, "choosing failed then, and does not now")
		}
	} else if judged.Error != "" && len(c.runs) > 0 {
		out.Differences, out.Error = append(out.Differences, "choosing fails now, and did not then: "+judged.Error), ""
	}
	for _, without := range judged.LeftOut {
		out.Differences = append(out.Differences, "decided without a policy that failed: "+without)
	}
	for i := range judged.Links {
		out.Links = append(out.Links, x.link(c, out, &judged.Links[i]))
	}
	return x.addRecorded(ctx, c, out)
}

// addDoubt says that the event may have been chosen for by another revision,
// where that one would have chosen otherwise.
func (x *explainer) addDoubt(ctx context.Context, c *inquiry, by *chosenBy, out *gateway.Explanation) error {
	if by.other == 0 {
		return nil
	}
	var chosen [2][]string
	for i, revision := range [2]uint64{by.revision, by.other} {
		p, err := x.at(ctx, revision)
		if err != nil {
			return ctx.Err()
		}
		judged, err := p.explain(ctx, &c.rec, by.at)
		if err != nil {
			return err
		}
		for _, l := range judged.Links {
			if l.Matched {
				chosen[i] = append(chosen[i], l.Name+" "+l.Version)
			}
		}
		slices.Sort(chosen[i])
	}
	if !slices.Equal(chosen[0], chosen[1]) {
		out.Differences = append(out.Differences, fmt.Sprintf(
			"it may have been chosen for by revision %d, which chooses %s: a dispatcher began anew here, and nothing is recorded that would tell",
			by.other, orNothing(chosen[1])))
	}
	return nil
}

func orNothing(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// choosingFailed begins the reason of a dead letter for which nothing could be chosen.
const choosingFailed = "choosing functions: "

// link puts beside what a link said what is recorded of it.
func (x *explainer) link(c *inquiry, out *gateway.Explanation, j *policies.LinkExplanation) history.Link {
	l := linkOf(j)
	l.Deliveries = c.runs[l.Name]
	switch {
	case c.refused != nil && l.Matched:
		l.Matched, l.Chosen, l.Why = false, false, "nothing was chosen: "+c.refused.Reason
	case c.isCopy():
		l.Chosen = false
	default:
		x.compare(c, out, &l)
	}
	return l
}

func linkOf(j *policies.LinkExplanation) history.Link {
	return history.Link{
		Name: j.Name, Function: j.Function, Version: j.Version, Matched: j.Matched, Chosen: j.Chosen, Near: j.Near, Why: j.Why, Rule: j.Rule,
	}
}

// compare lets what is recorded win over what is judged again, and says so.
func (x *explainer) compare(c *inquiry, out *gateway.Explanation, l *history.Link) {
	if len(l.Deliveries) == 0 {
		if l.Chosen && c.taken {
			l.Waiting = &history.Waiting{Where: "dispatcher"}
		}
		return
	}
	first := &l.Deliveries[0]
	denied := first.Outcome == event.Dropped && strings.HasPrefix(first.Reason, "denied: ")
	again := fmt.Sprintf("judged again by revision %d at %s", out.Revision, out.PolicyTime.UTC().Format(time.RFC3339))
	switch {
	case first.Revision != out.Revision: // see addRecorded
	case denied && l.Matched:
		out.Differences = append(out.Differences, fmt.Sprintf("link %s was %s; %s it matches (%s)", l.Name, first.Reason, again, l.Why))
		l.Matched, l.Chosen, l.Why = false, false, first.Reason
	case !denied && !l.Matched:
		out.Differences = append(out.Differences, fmt.Sprintf("link %s was chosen; %s it does not match (%s)", l.Name, again, l.Why))
		l.Matched, l.Chosen, l.Why = true, true, fmt.Sprintf("chosen by revision %d, as recorded", first.Revision)
	}
}

// addRecorded adds what links got later than the event was chosen for, because
// they were paused or replayed, and those that only records know. Then it
// completes and orders all.
func (x *explainer) addRecorded(ctx context.Context, c *inquiry, out *gateway.Explanation) error {
	for _, name := range sortedKeys(c.runs) {
		runs := c.runs[name]
		i := slices.IndexFunc(out.Links, func(l history.Link) bool { return l.Name == name })
		if i >= 0 && runs[0].Revision == out.Revision {
			continue
		}
		later, err := x.later(ctx, c, name, runs)
		if err != nil {
			return err
		}
		if i < 0 {
			out.Links = append(out.Links, later)
			continue
		}
		if out.Links[i].Why != later.Why {
			later.Why += fmt.Sprintf(" (by revision %d it was: %s)", out.Revision, out.Links[i].Why)
		}
		out.Links[i] = later
	}
	for i := range out.Links {
		if err := x.complete(ctx, c, &out.Links[i]); err != nil {
			return err
		}
		out.Links[i].Since = x.became(&out.Links[i], out.Revision)
	}
	slices.SortStableFunc(out.Links, func(a, b history.Link) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(a.Near, b.Near))
	})
	return nil
}

// later judges a link by the revision of its own deliveries.
func (x *explainer) later(ctx context.Context, c *inquiry, name string, runs []event.Run) (history.Link, error) {
	r := &runs[0]
	recorded := history.Link{
		Name: name, Function: r.Function, Matched: true, Chosen: true, Deliveries: runs, Revision: r.Revision,
		Why: fmt.Sprintf("chosen by revision %d, as recorded", r.Revision),
	}
	if r.Outcome == event.Dropped && strings.HasPrefix(r.Reason, "denied: ") {
		recorded.Matched, recorded.Chosen, recorded.Why = false, false, r.Reason
	}
	p, err := x.at(ctx, r.Revision)
	if err != nil {
		return recorded, ctx.Err()
	}
	judged, err := p.explain(ctx, &c.rec, r.Time)
	if err != nil {
		return recorded, err
	}
	for i := range judged.Links {
		if j := &judged.Links[i]; j.Name == name && j.Matched == recorded.Matched {
			recorded.Why, recorded.Rule, recorded.Near = j.Why, j.Rule, j.Near
		}
	}
	return recorded, nil
}

// complete says how the deliveries of a link ended or where they wait.
func (x *explainer) complete(ctx context.Context, c *inquiry, l *history.Link) error {
	if n := len(l.Deliveries); n > 0 {
		last := &l.Deliveries[n-1]
		if last.Version != "" {
			l.Version = last.Version
		}
		l.Outcome, l.Limit = last.Outcome, limitOf(last)
		if !last.Outcome.Final() {
			w, err := x.waits(ctx, c, last)
			if err != nil {
				return err
			}
			l.Waiting = w
		}
	} else if l.Matched && !l.Chosen {
		l.Limit = "paused"
	}
	return nil
}

// limits are how reasons of run records begin, and the limits they name;
// nothing changes it.
var limits = []struct{ reason, limit string }{
	{"the link is paused", "paused"}, {"leased until", "lease"}, {"expired: ", "expired"}, {"dropped as dead letter", "dropped"},
	{"older than maxAge", "maxAge"}, {"chain: ", "chain"}, {"chain budget", "chain"},
}

// limitOf names what held a delivery back, or ended it.
func limitOf(r *event.Run) string {
	for _, l := range limits {
		if strings.HasPrefix(r.Reason, l.reason) {
			return l.limit
		}
	}
	switch {
	case r.Outcome == event.Waiting:
		return strings.TrimPrefix(r.Reason, "parked: ")
	case r.Outcome == event.Retrying:
		return string(event.ParkRetry)
	case r.Outcome == event.Dead && strings.Contains(r.Reason, " attempts spent"):
		return "attempts"
	}
	return ""
}

// maxParkedScan bounds the records of a parked topic that are looked at for one delivery.
const maxParkedScan = 20_000

// waits says where a delivery is that has no outcome: on its parked topic, or
// in a dispatcher that has taken it from there.
func (x *explainer) waits(ctx context.Context, c *inquiry, last *event.Run) (*history.Waiting, error) {
	w := &history.Waiting{Where: "dispatcher", Since: last.Time, Reason: limitOf(last)}
	at, scanned := c.rec.Position.String(), 0
	from := eventlog.Since(last.Time.Add(-clockSlack))
	err := x.log.Read(ctx, eventlog.Parked(last.Function), from, eventlog.ReadOptions{Partition: &c.rec.Partition}, func(r event.Record) error {
		if scanned++; scanned > maxParkedScan {
			return eventlog.ErrStop
		}
		if head, ok := r.Message.Header(event.ParkedHeader); !ok || !strings.Contains(string(head), `"`+at+`"`) {
			return nil
		}
		if p, err := event.ParseParked(r.Message); err == nil && p.Link == last.Link && p.Position == at {
			w.Where, w.Reason, w.Next = "parked", string(p.Reason), p.NotBefore
		}
		return nil
	})
	if err != nil && ctx.Err() != nil {
		return nil, gatewayError(err)
	}
	return w, nil // a function without a parked topic has nothing parked
}

// became says what happened to a link after the revision it was judged by.
func (x *explainer) became(l *history.Link, revision uint64) string {
	s := x.targets.at.Load()
	if s == nil || strings.HasPrefix(l.Name, "policy:") {
		return ""
	}
	switch now := s.links[l.Name]; {
	case now == nil:
		return "gone since"
	case now.Metadata.Revision > max(revision, l.Revision):
		return fmt.Sprintf("changed since, at revision %d", now.Metadata.Revision)
	}
	return ""
}

// The order in which links are told.
const (
	rankChosen = iota
	rankHeld
	rankOther
)

func rank(l *history.Link) int {
	switch {
	case l.Chosen:
		return rankChosen
	case l.Matched || len(l.Deliveries) > 0 || l.Near == 0:
		return rankHeld
	}
	return rankOther
}

// addLetters finds the event's dead letters, and what was decided about them.
func (x *explainer) addLetters(ctx context.Context, c *inquiry, out *gateway.Explanation) error {
	links := []string{""}
	for i := range out.Links {
		if l := &out.Links[i]; l.Matched || len(l.Deliveries) > 0 {
			links = append(links, l.Name)
		}
	}
	for redrive := 0; len(links) > 0; redrive++ {
		ids := make([]string, len(links))
		for i, name := range links {
			ids[i] = event.DeadLetterID(c.rec.Position, name, redrive)
		}
		found, err := x.letters.find(ctx, ids...)
		if err != nil {
			return err
		}
		var next []string
		for i, id := range ids {
			if s := found[id]; s.letter != nil {
				out.Letters = append(out.Letters, letterRef(s))
				next = append(next, links[i])
			}
		}
		links = next
	}
	x.letterStates(out)
	return nil
}

func letterRef(s standing) history.LetterRef {
	d := s.letter
	ref := history.LetterRef{
		ID: d.ID, Link: d.Link, Function: d.Function, Reason: d.Reason, Time: d.Time, Attempts: len(d.Attempts), Held: d.Held, State: history.LetterOpen,
	}
	if s.resolution != nil {
		ref.State, ref.Decided = history.StateAfter(s.resolution.Action), s.resolution.Time
	}
	return ref
}

// letterStates brings dead letters to the links: one that holds its key, and
// one that was redriven and has no other outcome yet.
func (x *explainer) letterStates(out *gateway.Explanation) {
	for i := range out.Links {
		l := &out.Links[i]
		for _, d := range out.Letters {
			if d.Link != l.Name || l.Name == "" {
				continue
			}
			n := len(l.Deliveries)
			over := n > 0 && l.Deliveries[n-1].Outcome.Final() && !l.Deliveries[n-1].Time.Before(d.Decided)
			if n == 0 { // its run record was lost
				l.Outcome = event.Dead
			}
			if l.Outcome == event.Dead && l.Limit == "" {
				l.Limit = "deadletter"
			}
			l.Waiting = waitingAfter(l.Waiting, &d, over)
		}
	}
}

func waitingAfter(now *history.Waiting, d *history.LetterRef, over bool) *history.Waiting {
	if d.State == history.LetterRedriven && !over && now == nil {
		return &history.Waiting{Where: "parked", Reason: string(event.ParkRedrive), Since: d.Decided}
	}
	if d.State != history.LetterRedriven && now != nil && now.Where == "dispatcher" && now.Since.IsZero() {
		return nil // only its run record was lost
	}
	return now
}

func sortedKeys(m map[string][]event.Run) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
