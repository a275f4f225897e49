package dispatcher

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// Deduper claims events by source and id.
type Deduper interface {
	// Claim claims every record and writes what it found to the verdict of the
	// same index. Both slices have one length and every record holds an event.
	// Two records of one call may be the same event. An error means that no
	// verdict is valid. Claim may block; it is called concurrently.
	Claim(ctx context.Context, recs []event.Record, verdicts []event.Verdict) error
}

// Denial is a link that matched and that a policy denied.
type Denial struct {
	Link     string
	Function string
	Reason   string
}

// Choice is what was chosen for one event.
type Choice struct {
	// Targets get one delivery each. A link and a function stand in it at most once together.
	Targets []resource.Target
	// Denied get a run record that says why.
	Denied []Denial
	// Revision is that of the resources by which was chosen.
	Revision uint64
}

// Chooser finds the functions for an event.
type Chooser interface {
	// Choose may append the targets to buf and return that, or return a slice of
	// its own, which is only read. Links and functions never change once they
	// were returned: a new version is a new one. rec holds an event and is not
	// kept. An error is tried again a few times, unless it is Final, and then makes
	// the event a dead letter. It is called concurrently.
	Choose(ctx context.Context, rec *event.Record, buf []resource.Target) (Choice, error)
}

// Endpoints says where a function answers.
type Endpoints interface {
	// URL is the absolute http or https URL of fn at this moment. It is asked
	// before every call and must not block. An error means "not ready yet".
	URL(fn *resource.Function) (string, error)
}

// Outgoing is an event to append, with the trace context of its hop.
type Outgoing struct {
	Event       *event.Event
	TraceParent string
	TraceState  string
}

// Log keeps what the dispatcher produces. It is called concurrently.
type Log interface {
	// AppendEvents returns nil once every event is durable. After an error some may be.
	AppendEvents(ctx context.Context, events []Outgoing) error
	// DeadLetter returns nil once the dead letter is durable. Writing one twice
	// is harmless: its ID stays the same.
	DeadLetter(ctx context.Context, dl *event.DeadLetter) error
	// Run takes a run record without blocking and drops it when there is no
	// room. It must not keep run or its slices after it returned.
	Run(run *event.Run)
}

// Parking keeps deliveries that wait, in the log. It is called concurrently.
type Parking interface {
	// Park appends p to the function's parked topic, at the partition of its
	// event, and calls done once: with nil when it is durable. Calls for one
	// function and partition keep their order in the log. It does not block.
	Park(function string, partition int32, p *event.Parked, traceparent, tracestate string, done func(error))
	// Report appends to the function's lease stream what will be read there as
	// if the function had reported it. It does not block; whether it succeeds is
	// not told.
	Report(partition int32, c *event.Completion)
	// Behind reports whether something is parked there that HandleParked has
	// not returned from yet, or whether that is not known. It is true from the
	// call of Park on, and cheap.
	Behind(function string, partition int32) bool
}

// Targets finds the resources of deliveries as they are now. All answers of one
// process are by sets that only grow newer.
type Targets interface {
	// Target returns the link of a parked delivery, and the version of its
	// function that it goes to: the one that the record names, else the one that
	// the link names, else what the traffic gives its key. A link that leads to
	// another function by now takes its deliveries there, but for those whose
	// record names a version. What there is no more of is returned with its name
	// and the defaults.
	Target(p *event.Parked) resource.Target
	// Again returns t with the version of its function that the record goes to
	// now, when something newer than revision is in force, and else t.
	Again(t resource.Target, rec *event.Record, revision uint64) resource.Target
}

// Cursors knows the links that take their events from a place of their own
// in the log, not from the live stream: paused ones, and those that catch up.
type Cursors interface {
	// Skip reports whether the link will get the event at pos later; when it is
	// true, that is durable. It may block until then, and fails only when ctx ends.
	Skip(ctx context.Context, link *resource.Link, pos event.Position) (bool, error)
}

// LetterState is what is known of a dead letter.
type LetterState uint8

// The states of a dead letter.
const (
	// LetterNone: there is no such dead letter.
	LetterNone LetterState = iota
	// LetterOpen: nothing was decided about it yet.
	LetterOpen
	// LetterResolved: it is to be sent again, or dropped.
	LetterResolved
)

// Letters knows the dead letters that hold a key.
type Letters interface {
	// State returns the state of a dead letter, and the decision if it is
	// resolved. It may block until the dead letters are read; it fails only when ctx ends.
	State(ctx context.Context, id string) (event.Resolution, LetterState, error)
}

// Rates grants calls to links with a rate.
type Rates interface {
	// Take grants up to want calls of the link, which may make rate of them per
	// second over all dispatchers, or none and says how long to wait. With an error nobody counts.
	Take(ctx context.Context, link string, rate float64, want int) (granted int, wait time.Duration, err error)
}

// Chains counts the events of chains.
type Chains interface {
	// Count adds n events to the chain of that correlationid and returns how
	// many it has. With an error nobody counts.
	Count(ctx context.Context, correlation string, n int) (total int64, err error)
}

// Tracer makes spans. A nil Tracer, and a nil Span, cost nothing: functions
// then get the trace context of the record as it stands in the log.
type Tracer interface {
	// Delivery starts the span of one delivery below the record's trace
	// context, nil when the record is not sampled. revision is that of the
	// resources by which was chosen.
	Delivery(rec *event.Record, target resource.Target, revision uint64) Span
}

// Span is a delivery's span. It is used by one goroutine at a time.
type Span interface {
	// Attempt starts the CLIENT span of call number n to url.
	Attempt(n int, url string) AttemptSpan
	// End ends the delivery's span after so many attempts.
	End(outcome event.Outcome, reason string, attempts int)
}

// AttemptSpan is the span of one call.
type AttemptSpan interface {
	// Context is what the function gets as traceparent and tracestate.
	Context() (traceparent, tracestate string)
	// End ends the span; status is 0 when there was no answer and err nil on success.
	End(status int, err *DeliveryError)
}

// Observer is told what happens; every hook may be nil, is called
// concurrently and must neither block nor keep its arguments.
type Observer struct {
	// Delivered is called with every run record. class is that of the error, ""
	// without one; of a dropped delivery it is ClassPolicy or ClassPaused.
	Delivered func(rec *event.Record, run *event.Run, class string)
	// Choosing is called with the first event of a partition that is chosen for by
	// another revision than the one before, at the start of owning the partition
	// too (began says since when; it is zero else), and after 12 hours of the same.
	// It holds until the next call for the partition.
	Choosing func(rec *event.Record, revision uint64, began time.Time)
	// Chosen is called for each event that was chosen for.
	Chosen func(rec *event.Record, targets, denied int, took time.Duration)
	// Duplicate is called for each event that was dropped as a duplicate.
	Duplicate func(rec *event.Record)
	// Claimed is called after each claim; with an error the records went on
	// unclaimed (mode deliver) or are tried again (mode hold).
	Claimed func(records int, took time.Duration, err error)
	// DeadLettered is called for each dead letter that was written. One without
	// a link is a record that was refused as a whole, for which there is no run.
	DeadLettered func(dl *event.DeadLetter)
	// Redriven is called with the last run record of a delivery that had been a
	// dead letter before.
	Redriven func(run *event.Run)
	// Parked is called for each delivery that was parked.
	Parked func(rec *event.Record, p *event.Parked)
	// WriteFailed is called for each dead letter, reply or parked delivery that could not be appended.
	WriteFailed func(what string, err error)
}

// Parts are what a Dispatcher works with. Deduper, Chooser, Endpoints and Log
// are required.
type Parts struct {
	Deduper   Deduper
	Chooser   Chooser
	Endpoints Endpoints
	Log       Log
	// Parking and Targets come together. Without them what cannot be delivered
	// holds up its partition.
	Parking Parking
	Targets Targets
	// Cursors: nil means that the events of paused links are dropped.
	Cursors Cursors
	// Letters: nil means that a dead letter does not hold its key.
	Letters Letters
	// Rates: nil means that this dispatcher alone holds the rates of links.
	Rates Rates
	// Chains: nil means that chains are bounded by their hops alone.
	Chains   Chains
	Tracer   Tracer
	Observer Observer
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Now defaults to time.Now.
	Now func() time.Time
	// Rand gives numbers in [0,1) for the jitter; it defaults to math/rand/v2.
	// It is called concurrently.
	Rand func() float64
	// Callers: nil means that functions whose spec has call are not called.
	Callers Callers
	// Roots are who may sign the certificates of functions by https, where their TLS identity
	// does not say; it is asked for every connection. nil, and a nil pool, are the system's.
	Roots func() *x509.CertPool
	// Dial opens a TCP connection to a function; it defaults to a net.Dialer.
	// DialCallback opens one to a caller that wants an answer; it defaults to Dial.
	Dial, DialCallback Dial
	// CallbackCall is what callbacks present; nil is nothing.
	CallbackCall *resource.Call
}

// Dial opens a connection, as net.Dialer's DialContext does.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)
