package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/policies"
)

// deduper claims events and says where the first copy of one is.
type deduper interface {
	dispatcher.Deduper
	Lookup(ctx context.Context, source, id string) (event.Position, bool, error)
}

// explainer joins what the log, deduplication, the records of runs, dead
// letters and decisions say about one event, and judges it again by the
// resources of then. It is safe for concurrent use.
type explainer struct {
	log       *eventlog.Log
	dedup     deduper
	engine    *policies.Engine
	targets   *targets
	reader    *logReader
	revisions *revisions
	letters   *letterIndex
	now       func() time.Time
}

// explainer makes one for this process.
func (a *App) explainer(reader *logReader) *explainer {
	cfg := whatIfConfig(a.opts.PolicyTimeout)
	return &explainer{
		log: a.events, dedup: a.dedup, engine: a.engine, targets: &a.targets, reader: reader,
		revisions: newRevisions(a.events, cfg), letters: a.letters, now: time.Now,
	}
}

// inquiry is what was found out about one event.
type inquiry struct {
	rec event.Record
	// claim is the place of the copy that was taken; ok is false when it is not known.
	claim event.Position
	ok    bool
	recorded
	// refused is the dead letter of the event as a whole; nil is none.
	refused *event.DeadLetter
	// decided is what the decision log says.
	decided decided
	// taken: a dispatcher has come to it; behind counts the records before it.
	taken  bool
	behind int64
}

// Explain implements gateway.Explainer.
func (x *explainer) Explain(ctx context.Context, source, id string) (gateway.Explanation, error) {
	c, err := x.find(ctx, source, id)
	if err != nil {
		return gateway.Explanation{}, err
	}
	if err := x.gather(ctx, c); err != nil {
		return gateway.Explanation{}, err
	}
	by, err := x.chosenBy(ctx, c)
	if err != nil {
		return gateway.Explanation{}, err
	}
	out := gateway.Explanation{
		Event: c.rec.Event, Position: c.rec.Position, Accepted: c.rec.Timestamp, Behind: c.behind,
		Revision: by.revision, Known: by.known, PolicyTime: by.at, Dedup: c.dedup(),
	}
	if by.doubt != "" {
		out.Differences = append(out.Differences, by.doubt)
	}
	if err := x.addDoubt(ctx, c, &by, &out); err != nil {
		return gateway.Explanation{}, err
	}
	if c.cut {
		out.Differences = append(out.Differences, fmt.Sprintf("only the first %d run records since the event came in were looked at", maxRunScan))
	}
	for _, step := range []func(context.Context, *inquiry, *gateway.Explanation) error{x.judge, x.addLetters, x.addAdmission, x.addChain} {
		if err := step(ctx, c, &out); err != nil {
			return gateway.Explanation{}, err
		}
	}
	out.State = c.state(&out)
	return out, nil
}

// gather reads what is recorded of the event.
func (x *explainer) gather(ctx context.Context, c *inquiry) (err error) {
	if c.recorded, err = x.records(ctx, c.rec.Event.Source, c.rec.Event.ID, c.rec.Timestamp); err != nil {
		return err
	}
	if c.decided, err = x.decisions(ctx, c.rec.Event.Source, c.rec.Event.ID, c.rec.Partition, c.rec.Timestamp.Add(-noteAge)); err != nil {
		return err
	}
	if err := x.letters.refresh(ctx); err != nil {
		return err
	}
	id := event.DeadLetterID(c.rec.Position, "", 0)
	found, err := x.letters.find(ctx, id)
	if err != nil {
		return err
	}
	c.refused = found[id].letter
	if c.taken = len(c.runs) > 0 || c.refused != nil || c.isCopy(); !c.taken {
		c.taken, c.behind, err = x.log.Settled(ctx, c.rec.Position)
	}
	return gatewayError(err)
}

// maxRunScan bounds the run records that are looked at for one event.
const maxRunScan = 1_000_000

// clockSlack is how far the clocks of a broker and of this machine may differ.
const clockSlack = time.Minute

// recorded are the run records of an event, oldest first.
type recorded struct {
	// runs are those of links, copies those of copies that were dropped.
	runs   map[string][]event.Run
	copies []event.Run
	// cut: there were too many records to look at all.
	cut bool
}

// records reads an event's run records. They all stand in the partition that
// the event's key leads to.
func (x *explainer) records(ctx context.Context, source, id string, accepted time.Time) (recorded, error) {
	key := (&event.Run{EventSource: source, EventID: id}).Message().Key
	part := x.log.PartitionOf(eventlog.Runs, key)
	out := recorded{runs: map[string][]event.Run{}}
	from, scanned := eventlog.Since(accepted.Add(-clockSlack)), 0
	err := x.log.Read(ctx, eventlog.Runs, from, eventlog.ReadOptions{Partition: &part}, func(r event.Record) error {
		if scanned++; scanned > maxRunScan {
			out.cut = true
			return eventlog.ErrStop
		}
		if string(r.Message.Key) != string(key) {
			return nil
		}
		run, err := event.ParseRun(r.Message)
		switch {
		case err != nil:
		case run.Link == "":
			out.copies = append(out.copies, run)
		default:
			out.runs[run.Link] = append(out.runs[run.Link], run)
		}
		return nil
	})
	return out, gatewayError(err)
}

// isCopy reports whether the record that is explained was dropped as a copy.
func (c *inquiry) isCopy() bool {
	at := c.rec.Position.String()
	return slices.ContainsFunc(c.copies, func(r event.Run) bool { return r.Position == at })
}

// dedup says what deduplication said.
func (c *inquiry) dedup() history.Dedup {
	d := history.Dedup{Verdict: "unknown"}
	for _, r := range c.copies {
		if !slices.ContainsFunc(d.Duplicates, func(have history.Duplicate) bool { return have.Position == r.Position }) {
			d.Duplicates = append(d.Duplicates, history.Duplicate{Position: r.Position, Time: r.Time})
		}
	}
	switch {
	case c.isCopy():
		d.Verdict = event.Duplicate.String()
	case c.ok && c.claim == c.rec.Position, len(c.runs) > 0, c.refused != nil:
		d.Verdict, d.First = event.FirstSight.String(), c.rec.Position.String()
	}
	if c.ok {
		d.First = c.claim.String()
	}
	return d
}

// recordedRevisions are those that run records name, the one of the first first.
func (c *inquiry) recordedRevisions() (found []uint64) {
	var all []event.Run
	for _, runs := range c.runs {
		all = append(all, runs...)
	}
	slices.SortStableFunc(all, func(a, b event.Run) int { return a.Time.Compare(b.Time) })
	for _, r := range all {
		if !slices.Contains(found, r.Revision) {
			found = append(found, r.Revision)
		}
	}
	return found
}

// chosenAt is about when the event was chosen for: when the first thing that
// came of it began, else when it came in.
func (c *inquiry) chosenAt() time.Time {
	var at time.Time
	for _, runs := range c.runs {
		for _, r := range runs {
			if at.IsZero() || r.Time.Before(at) {
				at = r.Time
			}
		}
	}
	if at.IsZero() {
		return c.rec.Timestamp
	}
	return at
}

// state sums up.
func (c *inquiry) state(x *gateway.Explanation) history.State {
	if !c.taken {
		return history.StatePending
	}
	for i := range x.Links {
		if x.Links[i].Waiting != nil {
			return history.StateOpen
		}
	}
	return history.StateDone
}

// find reads the event's first copy: where the claim says, else by looking
// through the log.
func (x *explainer) find(ctx context.Context, source, id string) (*inquiry, error) {
	c := &inquiry{}
	var err error
	if source == "" {
		if c.rec, err = x.search(ctx, source, id); err != nil {
			return nil, err
		}
		source = c.rec.Event.Source
	}
	if pos, claimed, err := x.dedup.Lookup(ctx, source, id); err == nil && claimed {
		c.claim, c.ok = pos, true
		if rec, err := x.log.At(ctx, eventlog.Events, pos); err == nil && rec.Event != nil && rec.Event.ID == id {
			c.rec = rec
			return c, nil
		}
	}
	if c.rec.Event == nil {
		c.rec, err = x.search(ctx, source, id)
	}
	return c, err
}

// searchWindow is how far back an event without a claim is looked for.
const searchWindow = 7 * 24 * time.Hour

// search looks for an event by id; source "" is any, if there is only one.
func (x *explainer) search(ctx context.Context, source, id string) (event.Record, error) {
	q := gateway.Query{Source: source, ID: id, Limit: 10, Since: x.now().Add(-searchWindow)}
	for {
		p, err := x.reader.Events(ctx, q)
		if err != nil {
			return event.Record{}, err
		}
		if len(p.Items) > 0 {
			return p.Items[0], ambiguous(id, p.Items)
		}
		if p.Next == "" {
			return event.Record{}, x.notFound(ctx, source, id)
		}
		q.Cursor = p.Next
	}
}

// notFound says what is known of an event that is not in the log.
func (x *explainer) notFound(ctx context.Context, source, id string) error {
	told, err := x.decisions(ctx, source, id, -1, x.now().Add(-searchWindow))
	if n := len(told.refused); err == nil && n > 0 {
		return refusedEvent(&told.refused[n-1], n)
	}
	looked := "the log of the last 7 days and the refusals in the decision log"
	if source != "" {
		looked = "the claims of deduplication, " + looked
	}
	return fmt.Errorf("event %q: %w (looked at %s)", id, gateway.ErrNotFound, looked)
}

// refusedError is why an event is not in the log: it was not let in.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }
func (e *refusedError) Unwrap() error { return gateway.ErrNotFound }

func refusedEvent(d *event.Decision, times int) error {
	text := fmt.Sprintf("event %q of source %s was refused at %s", d.Event.ID, d.Event.Source, d.Time.UTC().Format(time.RFC3339))
	if d.Policy != "" {
		text += " by " + d.Policy
	}
	if text += ": " + d.Reason; times > 1 {
		text += fmt.Sprintf(" (and %d time(s) before)", times-1)
	}
	return &refusedError{text}
}

func ambiguous(id string, recs []event.Record) error {
	var sources []string
	for _, r := range recs {
		if !slices.Contains(sources, r.Event.Source) {
			sources = append(sources, r.Event.Source)
		}
	}
	if len(sources) > 1 {
		return &gateway.AmbiguousError{ID: id, Sources: sources}
	}
	return nil
}

// addAdmission says how the event came in, and what the policies say of that.
func (x *explainer) addAdmission(ctx context.Context, c *inquiry, out *gateway.Explanation) error {
	via, asked := cameIn(c.rec.Event)
	out.Admission = history.Admission{Via: via, Asked: asked, Allowed: true, Refused: c.decided.refused}
	if !asked {
		return nil
	}
	then, err := x.at(ctx, out.Revision)
	if err != nil {
		out.Differences = append(out.Differences, "the admission policies of then are not known: "+err.Error())
		return nil
	}
	q := admissionOf(c.rec.Event)
	before := admitted(then.admit(ctx, q, c.rec.Timestamp))
	out.Admission.Allowed, out.Admission.Reason, out.Admission.Policy = before.Allowed, before.Reason, before.Policy
	now := admitted(x.engine.Admit(ctx, q))
	if now != before {
		out.Admission.Now = &now
	}
	return ctx.Err()
}

// admissionOf is the question that admission policies were asked, as far as the
// event shows it: the roles and attributes of its sender are not kept with it.
func admissionOf(e *event.Event) policies.Admission {
	identity := map[string]any{"kind": "anonymous", "name": "", "roles": []any{}}
	if name, ok := e.Extension(event.ExtAuthID); ok {
		scheme, _ := e.Extension(event.ExtAuthScheme)
		identity["kind"], identity["name"] = scheme, name
	}
	return policies.Admission{Event: e, Identity: identity, Route: "/events", Method: http.MethodPost}
}

func admitted(v policies.Verdict) history.AdmissionVerdict {
	return history.AdmissionVerdict{Allowed: v.Allowed, Reason: v.Reason, Policy: v.Policy}
}

// cameIn says what an event shows of the way it came in; asked: admission
// policies are asked on that way, or may have been.
func cameIn(e *event.Event) (via string, asked bool) {
	if event.Hops(e) > 0 {
		return "the answer of a function, by link " + lastLink(e), false
	}
	name, ok := e.Extension(event.ExtAuthID)
	if !ok {
		return "posted without a name, or produced to the Kafka topic", true
	}
	scheme, _ := e.Extension(event.ExtAuthScheme)
	return strings.TrimSpace("posted by " + scheme + " " + name), true
}

// lastLink is the link whose function answered with an event.
func lastLink(e *event.Event) string {
	path, _ := e.Extension(event.ExtPath)
	return path[strings.LastIndexByte(path, ' ')+1:]
}

// errPast says that the resources of a revision cannot be put together.
var errPast = errors.New("the resources of then are not known")

// at returns the resources of a revision; those in force are at hand.
func (x *explainer) at(ctx context.Context, revision uint64) (*past, error) {
	if s := x.targets.at.Load(); revision == x.engine.Revision() && s != nil && s.set.Revision == revision {
		return &past{revision: revision, set: s.set, engine: x.engine}, nil
	}
	p, err := x.revisions.At(ctx, revision)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPast, err)
	}
	return p, nil
}
