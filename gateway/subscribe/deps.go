package subscribe

import (
	"context"
	"log/slog"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/history"
)

// Follower reads the live log, outside any consumer group.
type Follower interface {
	// Follow calls started once when everything appended from then on will be
	// seen, and then handle with the records in the order of each partition.
	// handle does not block and keeps the records. It returns ctx's error when
	// ctx ends, and any other error when following broke off.
	Follow(ctx context.Context, started func(), handle func([]event.Record)) error
	// FollowRuns is Follow for run records.
	FollowRuns(ctx context.Context, started func(), handle func([]event.Run)) error
	// FollowLines is Follow for lines of functions.
	FollowLines(ctx context.Context, started func(), handle func([]history.Line)) error
}

// History answers what a subscriber that resumes has missed.
type History interface {
	// Events, Runs and Lines are those of the API: oldest first, a page at a time.
	Events(ctx context.Context, q history.Query) (history.Page[event.Record], error)
	Runs(ctx context.Context, q history.Query) (history.Page[event.Run], error)
	Lines(ctx context.Context, q history.Query) (history.Page[history.Line], error)
	// Record returns the record at a position, or problem.ErrNotFound.
	Record(ctx context.Context, p event.Position) (event.Record, error)
}

// CompileFilter compiles a CESQL expression; the error says what is wrong with
// it. The function is called from one goroutine at a time per subscriber.
type CompileFilter func(expression string) (func(*event.Event) bool, error)

// Deps are what the stream needs. All are required, except that Filter nil
// refuses filters, Valid nil lets every stream go on, and Now nil is time.Now.
type Deps struct {
	// Valid reports whether an identity would still be let in; a stream whose
	// would not ends with the next heartbeat.
	Valid    func(*access.Identity) bool
	Follower Follower
	History  History
	Filter   CompileFilter
	Logger   *slog.Logger
	Now      func() time.Time
}
