package replay

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// Extent is what a partition of the log holds: offsets from Start up to End,
// without it.
type Extent struct{ Start, End int64 }

// Log reads the topic of events back. It is called concurrently.
type Log interface {
	// Extents are those of every partition there is.
	Extents(ctx context.Context) (map[int32]Extent, error)
	// Since is, for every partition, the offset of the first record whose time in
	// the log is not before t, or the end.
	Since(ctx context.Context, t time.Time) (map[int32]int64, error)
	// Read calls fn for the records of a partition from an offset on, in order,
	// until fn returns false or at least all that there were at the call were
	// read; then it returns nil. What retention removed is left out.
	Read(ctx context.Context, partition int32, from int64, fn func(event.Record) bool) error
}

// Stream says where the live stream is.
type Stream interface {
	// Next is where the live stream of an owned partition goes on.
	Next(partition int32) (offset int64, owned bool)
}

// Cursor is a place in a partition of the log, with notes.
type Cursor struct {
	Offset   int64
	Metadata string
}

// Cursors keep places durably, under names. They are called concurrently, for
// one name and partition never.
type Cursors interface {
	// Names lists the names that have a cursor.
	Names(ctx context.Context) ([]string, error)
	// Load returns the places of a name by partition; none is no error.
	Load(ctx context.Context, name string) (map[int32]Cursor, error)
	// Commit returns nil once the places are durable; partitions that are not
	// given stay as they are. After an error they may be.
	Commit(ctx context.Context, name string, at map[int32]Cursor) error
	// Drop forgets a name; one that there is not is no error.
	Drop(ctx context.Context, name string) error
}

// Choice is what was chosen for one link.
type Choice struct {
	Target resource.Target
	// Revision is that of the resources by which was chosen.
	Revision uint64
}

// Chooser decides whether a link gets an event.
type Chooser interface {
	// Choose is false when the link does not match the event, a policy denies it,
	// or there is no such link. rec holds an event and is not kept. It is called concurrently.
	Choose(ctx context.Context, link string, rec *event.Record) (c Choice, chosen bool, err error)
}

// Parker puts deliveries on the parked topics of functions.
type Parker interface {
	// Park appends to the parked topic of p.Function at a partition; calls for one
	// function and partition keep their order. done is called once, maybe before
	// Park returns, and with ErrTooLarge when trying again is of no use.
	Park(p *event.Parked, partition int32, traceparent, tracestate string, done func(error))
	// Behind is true while something that was parked there was not handed over yet.
	Behind(function string, partition int32) bool
	// Lag is how many deliveries wait on the function's parked topic.
	Lag(ctx context.Context, function string) (int64, error)
}

// Dedup knows which copy of an event counts.
type Dedup interface {
	// Duplicates sets dup[i] for each record whose event was claimed by another
	// one. Both slices have one length, and every record holds an event.
	Duplicates(ctx context.Context, recs []event.Record, dup []bool) error
}

// Rates hold a rate over all processes together.
type Rates interface {
	// Take grants 0 to want permits of a rate per second, and says when to ask for more.
	Take(ctx context.Context, name string, rate float64, want int) (granted int, wait time.Duration, err error)
}

// Finisher records how a replay ended.
type Finisher interface {
	// Finish writes the status into the resource, unless it is gone, which is no error.
	Finish(ctx context.Context, r *resource.Replay, s resource.ReplayStatus) error
}

// Filter compiles a CESQL expression.
type Filter func(expression string) (func(*event.Event) bool, error)

// Parts are what a Player works with; all but Rates, Logger and Now are required.
type Parts struct {
	Log      Log
	Stream   Stream
	Cursors  Cursors
	Chooser  Chooser
	Parker   Parker
	Dedup    Dedup
	Finisher Finisher
	Filter   Filter
	// Rates nil, or failing, leaves each partition an even part of a rate.
	Rates Rates
	// Logger nil is slog.Default, Now nil is time.Now.
	Logger *slog.Logger
	Now    func() time.Time
}

func (p *Parts) validate() error {
	var faults []error
	for name, missing := range map[string]bool{
		"Log": p.Log == nil, "Stream": p.Stream == nil, "Cursors": p.Cursors == nil, "Chooser": p.Chooser == nil,
		"Parker": p.Parker == nil, "Dedup": p.Dedup == nil, "Finisher": p.Finisher == nil, "Filter": p.Filter == nil,
	} {
		if missing {
			faults = append(faults, errors.New(name+" is missing"))
		}
	}
	if p.Logger == nil {
		p.Logger = slog.Default()
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	return errors.Join(faults...)
}
