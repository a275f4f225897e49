package api

import (
	"context"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/resource"
)

// Condition is what must hold for a write; the zero value is "whatever is there".
type Condition struct {
	// Absent: there must be no such resource (else problem.ErrExists).
	Absent bool
	// Revision, unless 0, is the revision the resource must be at (else, or
	// when it is gone, problem.ErrConflict).
	Revision uint64
}

// Resources keeps what is configured. Writes are durable and validated when
// they return: what does not compile (filters, Rego, a broken reference) is
// resource.Faults, and nothing is changed. The ledger being away is an error
// wrapping problem.ErrUnavailable. Safe for concurrent use.
type Resources interface {
	// List returns all resources of a kind (by resource.Kind.Name), sorted by name.
	List(ctx context.Context, kind string) ([]resource.Object, error)
	// Get returns one, or problem.ErrNotFound.
	Get(ctx context.Context, kind, name string) (resource.Object, error)
	// Put writes one, adding or replacing, and returns it as it now stands.
	// The object's own metadata.revision is not looked at.
	Put(ctx context.Context, o resource.Object, c Condition) (stored resource.Object, created bool, err error)
	// Apply writes all objects or none, each under the condition of its own
	// metadata.revision, and returns them as they now stand; dryRun only checks.
	Apply(ctx context.Context, objects []resource.Object, dryRun bool) ([]resource.Object, error)
	// Delete removes one, or returns problem.ErrNotFound; revision as in Condition.
	// A function goes with all its versions; of a version that traffic or a link
	// names it is problem.ErrInUse.
	Delete(ctx context.Context, kind, name string, revision uint64) error
	// Rollback brings a version of a function into force again, "" the one before,
	// with all the traffic, and returns the function as it now stands. There is
	// problem.ErrNotFound for a function that is not there, problem.ErrNoVersion
	// for a version.
	Rollback(ctx context.Context, function, version string) (resource.Object, error)
}

// Reader reads back what the log holds. A cursor that makes no sense is an
// error wrapping problem.ErrQuery, the log being away one wrapping
// problem.ErrUnavailable. It returns when ctx ends. Safe for concurrent use.
type Reader interface {
	// Events returns the records for which Query.MatchEvent holds.
	Events(ctx context.Context, q history.Query) (history.Page[event.Record], error)
	// Runs returns the runs for which Query.MatchRun holds.
	Runs(ctx context.Context, q history.Query) (history.Page[event.Run], error)
	// Decisions returns the records of the decision log for which Query.MatchDecision holds.
	Decisions(ctx context.Context, q history.Query) (history.Page[event.Decision], error)
	// Lines returns the lines of functions for which Query.MatchLine holds.
	Lines(ctx context.Context, q history.Query) (history.Page[history.Line], error)
	// DeadLetters returns those for which Query.MatchDeadLetter holds.
	DeadLetters(ctx context.Context, q history.Query) (history.Page[history.Letter], error)
	// DeadLetter returns one with what was decided about it, or problem.ErrNotFound.
	DeadLetter(ctx context.Context, id string) (history.Letter, error)
}

// Letters decides about dead letters. A decision is durable when it returns;
// the first one about a dead letter holds, and is not carried out twice. Errors
// wrap problem.ErrUnavailable when the log is away or another request decides
// about the same one at this moment. Safe for concurrent use.
type Letters interface {
	// Decide does it for one; there being none is problem.ErrNotFound, another
	// decision before history.ErrDecided, and what cannot be redriven as asked
	// problem.ErrNotRedrivable.
	Decide(ctx context.Context, id string, d history.Decision) (history.Decided, error)
	// DecideAll does it for those for which Query.MatchDeadLetter holds, oldest
	// first, for at most Query.Limit of them and as long as ctx leaves time;
	// Tally.Next is where to go on. Those made after the first call (the one
	// without a cursor) are left alone: what is redriven may die again.
	DecideAll(ctx context.Context, q history.Query, d history.Decision) (history.Tally, error)
}

// Deliveries takes what functions report of deliveries that they have under leases.
type Deliveries interface {
	// Report is durable when it returns nil. A delivery of no function or
	// partition that there is is problem.ErrNotFound; that there is no such
	// delivery, or no lease (any more), shows only later. Other errors wrap
	// problem.ErrUnavailable, ErrBacklog or ErrTooLarge. It returns when ctx ends.
	// Safe for concurrent use.
	Report(ctx context.Context, c *event.Completion) error
}

// Explainer says what became of an event.
type Explainer interface {
	// Explain finds the event by source and id. With source "" the id alone
	// must do: several sources are a *history.AmbiguousError. An event the log
	// does not hold is problem.ErrNotFound.
	Explain(ctx context.Context, source, id string) (history.Explanation, error)
}
