package app

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/resource"
)

// parker puts deliveries into the parked topics.
type parker interface {
	// Park calls done once, with the place of the record or why there is none;
	// perhaps before it returns.
	Park(function string, partition int32, msg event.Message, done func(event.Position, error))
}

// claimer tells the first of several claims of one id (ledger.Claim).
type claimer interface {
	Claim(ctx context.Context, recs []event.Record, out []event.Verdict) error
}

// lister lists the resources of a kind.
type lister interface {
	List(ctx context.Context, kind string) ([]resource.Object, error)
}

// letterDesk answers questions about dead letters and carries out what is
// decided about them. It is safe for concurrent use.
type letterDesk struct {
	log       *eventlog.Log
	index     *letterIndex
	parked    parker
	functions lister
	// claims keeps processes from deciding about one dead letter at the same
	// time; nil: there is no other process.
	claims claimer
	now    func() time.Time
	logger *slog.Logger
	// nonce tells the claims of this process from others'.
	nonce event.Position

	mu sync.Mutex
	// busy are the dead letters that requests to this process decide about now.
	busy map[string]bool
}

// DeadLetters implements gateway.Reader.
func (d *letterDesk) DeadLetters(ctx context.Context, q gateway.Query) (gateway.Page[gateway.Letter], error) {
	if err := d.index.refresh(ctx); err != nil {
		return gateway.Page[gateway.Letter]{}, err
	}
	return page(ctx, d.log, eventlog.Dead, q, d.matches(&q))
}

// matches tells the dead letters that a query asks for.
func (d *letterDesk) matches(q *gateway.Query) match[gateway.Letter] {
	return func(rec event.Record) (l gateway.Letter, ok bool) {
		if _, is := rec.Message.Header(event.DeadLetterHeader); !is {
			return l, false
		}
		dead, err := event.ParseDeadLetter(rec.Message)
		if err != nil {
			return l, false
		}
		l = gateway.Letter{DeadLetter: dead, State: d.index.known(dead.ID)}
		return l, q.MatchDeadLetter(&l)
	}
}

// DeadLetter implements gateway.Reader.
func (d *letterDesk) DeadLetter(ctx context.Context, id string) (gateway.Letter, error) {
	if err := d.index.refresh(ctx); err != nil {
		return gateway.Letter{}, err
	}
	found, err := d.index.find(ctx, id)
	if err != nil {
		return gateway.Letter{}, err
	}
	s := found[id]
	if s.letter == nil {
		return gateway.Letter{}, fmt.Errorf("dead letter %s: %w", id, gateway.ErrNotFound)
	}
	l := gateway.Letter{DeadLetter: *s.letter, State: gateway.LetterOpen, Resolution: s.resolution}
	if s.resolution != nil {
		l.State = gateway.StateAfter(s.resolution.Action)
	}
	return l, nil
}

// Decide implements gateway.Letters.
func (d *letterDesk) Decide(ctx context.Context, id string, what gateway.Decision) (gateway.Decided, error) {
	l, err := d.DeadLetter(ctx, id)
	if err != nil {
		return gateway.Decided{}, err
	}
	results, err := d.decide(ctx, []gateway.Letter{l}, what)
	if err != nil {
		return gateway.Decided{}, err
	}
	r := results[0]
	if r.err == nil && r.already && r.state != gateway.StateAfter(what.Action) {
		r.err = &gateway.DecidedError{ID: id, State: r.state}
	}
	return gateway.Decided{ID: id, State: r.state, Already: r.already, DryRun: what.DryRun}, r.err
}

// decidePart is how many dead letters are decided about together.
const decidePart = 500

// DecideAll implements gateway.Letters. Half of the time that ctx leaves is
// for the last part.
func (d *letterDesk) DecideAll(ctx context.Context, q gateway.Query, what gateway.Decision) (gateway.Tally, error) {
	tally := gateway.Tally{DryRun: what.DryRun}
	cursor, err := d.resumeAt(&q)
	if err != nil {
		return tally, err
	}
	enough := d.now().Add(time.Hour)
	if deadline, ok := ctx.Deadline(); ok {
		enough = d.now().Add(time.Until(deadline) / 2)
	}
	for first := true; first || cursor.at != "" && tally.Scanned < q.Limit && d.now().Before(enough); first = false {
		part := q
		part.Cursor, part.Limit = cursor.at, min(decidePart, q.Limit-tally.Scanned)
		next, err := d.decidePart(ctx, part, what, &tally)
		if err != nil && first {
			return tally, err
		}
		if err != nil {
			break // what was done is told; the next call meets the same error
		}
		cursor.at = next
	}
	tally.Next = cursor.String()
	return tally, nil
}

// decidePart decides about the next page and returns where the one after it begins.
func (d *letterDesk) decidePart(ctx context.Context, q gateway.Query, what gateway.Decision, tally *gateway.Tally) (next string, err error) {
	if err := d.index.refresh(ctx); err != nil {
		return "", err
	}
	p, err := oldest(ctx, d.log, eventlog.Dead, q, d.matches(&q))
	if err != nil {
		return "", gatewayError(err)
	}
	results, err := d.decide(ctx, p.Items, what)
	if err != nil {
		return "", err
	}
	for i, r := range results {
		tally.Count(p.Items[i].ID, r.state, r.already, r.err)
	}
	return p.Next, nil
}

// bulkCursor is where a decision about many goes on, and up to when: what it
// redrives may die again, and is not redriven once more.
type bulkCursor struct {
	until time.Time
	at    string
}

// String is "" at the end.
func (c bulkCursor) String() string {
	if c.at == "" {
		return ""
	}
	return c.until.Format(time.RFC3339Nano) + "/" + c.at
}

// resumeAt reads the cursor of a query and bounds the query by it.
func (d *letterDesk) resumeAt(q *gateway.Query) (bulkCursor, error) {
	c := bulkCursor{until: d.now().UTC()}
	if q.Cursor != "" {
		until, at, ok := cutCursor(q.Cursor)
		if !ok {
			return c, fmt.Errorf("%w: cursor: want next of the answer before", gateway.ErrQuery)
		}
		c = bulkCursor{until: until, at: at}
	}
	if q.Until.IsZero() || q.Until.After(c.until) {
		q.Until = c.until
	}
	return c, nil
}

func cutCursor(s string) (until time.Time, at string, ok bool) {
	stamp, at, ok := strings.Cut(s, "/")
	until, err := time.Parse(time.RFC3339Nano, stamp)
	return until, at, ok && err == nil && at != ""
}

// openLetters makes what knows the dead letters; it reads nothing yet.
func (a *App) openLetters(context.Context) error {
	a.resolutions = newResolutions()
	resolved := a.resolutions.add
	if !a.opts.has(RoleDispatcher) {
		resolved = nil
	}
	a.letters = newLetterIndex(a.events, a.log, resolved)
	return nil
}

// letterDesk joins the dead letters for the gateway.
func (a *App) letterDesk() *letterDesk {
	d := &letterDesk{
		log: a.events, index: a.letters, parked: a.events, functions: a.resources, now: time.Now, logger: a.log,
		nonce: event.Position{Partition: rand.Int32(), Offset: rand.Int64()}, busy: map[string]bool{}, // #nosec G404 -- tells processes apart; it is not secret
	}
	if a.opts.Redis != Embedded {
		d.claims = a.ledger
	}
	return d
}

// pastReader is all that the gateway reads back.
type pastReader struct {
	*logReader
	*letterDesk
}
