package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/gateway/api"
	"github.com/signalbox-dev/signalbox/gateway/hooks"
	"github.com/signalbox-dev/signalbox/gateway/ingest"
	"github.com/signalbox-dev/signalbox/gateway/invoke"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/gateway/subscribe"
	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/otel/tracing"
)

// The seams, each declared in the room that calls it, under the names by which
// whoever wires a gateway knows them.
type (
	// Appender puts events into the log.
	Appender = ingest.Appender
	// Admitter decides who may emit what.
	Admitter = ingest.Admitter
	// Admission is what an Admitter is asked about, Verdict its answer.
	Admission = ingest.Admission
	Verdict   = ingest.Verdict
	// Validator checks the data of events; Violation is a place that is wrong.
	Validator = ingest.Validator
	Violation = problem.Violation
	// Metrics counts what is accepted and refused.
	Metrics = ingest.Metrics

	// Manager decides who may manage what; Recorder keeps the decision log.
	Manager       = access.Manager
	Recorder      = access.Recorder
	ManageRequest = access.Request
	ManageVerdict = access.Verdict
	ManageChange  = access.Change
	// Identity is who a request is from.
	Identity = access.Identity

	// Resources keeps what is configured.
	Resources = api.Resources
	// Condition is what must hold for a write.
	Condition = api.Condition
	// Explainer says what became of an event.
	Explainer   = api.Explainer
	Explanation = history.Explanation
	// Tracer follows chains; Line is a line of a function with its place.
	Tracer     = api.Tracer
	TraceQuery = history.TraceQuery
	Line       = history.Line
	// Graphs knows what leads where, Catalogue the types of events.
	Graphs    = api.Graphs
	Catalogue = api.Catalogue
	// WhatIfs computes what other links and policies would make of recorded events.
	WhatIfs       = api.WhatIfs
	WhatIf        = history.WhatIf
	WhatIfAnswer  = history.WhatIfAnswer
	WhatIfExample = history.WhatIfExample
	WhatIfFailure = history.WhatIfFailure
	Difference    = history.Difference

	// Functions finds where synchronous calls go.
	Functions = invoke.Functions
	Callee    = invoke.Target

	// Artifacts keeps the files of functions.
	Artifacts = api.Artifacts
	Artifact  = api.Artifact

	// Webhooks verifies what third parties send: a Delivery is a request of theirs,
	// Taken what becomes of it, WebhookRefusal why nothing does.
	Webhooks       = hooks.Webhooks
	Delivery       = hooks.Delivery
	Taken          = hooks.Taken
	WebhookRefusal = hooks.Refusal
	RefusalCause   = hooks.Cause

	// Deliveries takes what functions report.
	Deliveries = api.Deliveries

	// Letters decides about dead letters.
	Letters = api.Letters
	// Letter is a dead letter with its LetterState, Decision what is to be done about
	// some, Decided and Tally what became of one and of many.
	Letter       = history.Letter
	LetterState  = history.LetterState
	Decision     = history.Decision
	Decided      = history.Decided
	Tally        = history.Tally
	DecidedError = history.DecidedError

	// Query and Page are a question to the past and its answer.
	Query          = history.Query
	Page[T any]    = history.Page[T]
	AmbiguousError = history.AmbiguousError
	// CompileFilter compiles a CESQL expression.
	CompileFilter = subscribe.CompileFilter
)

// The states of a dead letter.
const (
	LetterOpen     = history.LetterOpen
	LetterRedriven = history.LetterRedriven
	LetterDropped  = history.LetterDropped
)

// Why a webhook is refused.
const (
	RefusalUnverified = hooks.Unverified
	RefusalMalformed  = hooks.Malformed
	RefusalNoSecret   = hooks.NoSecret
	RefusalForbidden  = hooks.Forbidden
)

// StateAfter is the state that an action on a dead letter leads to.
func StateAfter(a event.Action) LetterState { return history.StateAfter(a) }

// What implementations of the seams wrap their errors in.
var (
	ErrNotFound    = problem.ErrNotFound
	ErrExists      = problem.ErrExists
	ErrConflict    = problem.ErrConflict
	ErrUnavailable = problem.ErrUnavailable
	ErrBacklog     = problem.ErrBacklog
	ErrTooLarge    = problem.ErrTooLarge
	ErrQuery       = problem.ErrQuery

	ErrDecided       = history.ErrDecided
	ErrNotRedrivable = problem.ErrNotRedrivable

	ErrNoVersion = problem.ErrNoVersion
	ErrInUse     = problem.ErrInUse

	ErrArtifact = problem.ErrArtifact
)

// RetryError is what they wrap one in that passes, with the time to come again.
type RetryError = problem.RetryError

// Reader is all that is read back from the log.
type Reader interface {
	api.Reader
	subscribe.Follower
	subscribe.History
}

// Check is one thing that must work for the process to be ready.
type Check struct {
	// Name is log, ledger, dispatcher and so on.
	Name string
	// Probe returns nil when it works, and returns when ctx ends.
	Probe func(ctx context.Context) error
}

// Deps are what a gateway calls.
type Deps struct {
	// Appender, Resources, Reader, Letters, Deliveries and Explainer are required.
	Appender   Appender
	Resources  Resources
	Reader     Reader
	Letters    Letters
	Deliveries Deliveries
	Explainer  Explainer
	// Webhooks nil knows none.
	Webhooks Webhooks
	// Functions finds where synchronous calls go; nil: there is no such route.
	// Transport makes them, nil is that of net/http; Ran is told of each, if set.
	Functions Functions
	Transport http.RoundTripper
	Ran       func(*event.Run)
	// Callbacks says what is wrong with a URL that a caller wants an answer at; nil
	// is what resource.CheckCallback finds.
	Callbacks func(url string) error
	// Artifacts nil answers with 503.
	Artifacts Artifacts
	// WhatIfs nil answers what-if requests with 503, Tracer nil those for traces.
	WhatIfs WhatIfs
	Tracer  Tracer
	// Graphs and Catalogue nil answer with 503, and changes come without warnings.
	Graphs    Graphs
	Catalogue Catalogue
	// Admitter nil admits everything and Manager nil lets everything be managed,
	// as far as roles allow it; Recorder nil keeps no decision log. Filter nil
	// refuses filters on the live stream and on dead letters, Traces and Metrics
	// nil are none.
	Admitter Admitter
	// Validator nil knows no schemas.
	Validator Validator
	Manager   Manager
	Recorder  Recorder
	Filter    CompileFilter
	Traces    *tracing.Provider
	Metrics   Metrics
	// MetricsHandler serves /metrics; nil: there is no such route.
	MetricsHandler http.Handler
	// Checks are what /readyz asks.
	Checks []Check
	// Logger nil is slog.Default, Now nil is time.Now.
	Logger *slog.Logger
	Now    func() time.Time
}
