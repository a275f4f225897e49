package invoke

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/ingest"
	"github.com/signalbox-dev/signalbox/otel/tracing"
)

// Target is where a call goes.
type Target struct {
	// Function and Version are those that were found.
	Function, Version string
	// URL is the function's, http or https.
	URL string
	// Concurrency bounds its calls in flight from this gateway.
	Concurrency int
	// Transport makes its calls where they present something; nil is that of
	// Deps. An error that wraps problem.ErrUnavailable says that nothing was sent.
	Transport http.RoundTripper
}

// Functions finds functions. It is safe for concurrent use and does not block.
type Functions interface {
	// Find finds a version ("" is that in force, or the one that traffic picks for
	// key). There being none wraps problem.ErrNotFound; one that is not ready,
	// problem.ErrUnavailable.
	Find(name, version, key string) (Target, error)
}

// Admitter decides who may call what.
type Admitter interface {
	// Admit answers nil, or a problem. The event is what the function gets.
	Admit(a ingest.Arrival, events []*event.Event) error
}

// Acceptor takes calls that are made later.
type Acceptor interface {
	// Accept admits and appends; nil means that all events are durable. The errors are problems.
	Accept(a ingest.Arrival, events []*event.Event) error
}

// Config bounds calls.
type Config struct {
	// Timeout bounds one call; 10ms to 1h.
	Timeout time.Duration
	// MaxAnswer bounds an answer's body, in bytes; 1 KiB to 1 GiB.
	MaxAnswer int64
}

// DefaultConfig waits 60 seconds for at most 32 MiB.
func DefaultConfig() Config { return Config{Timeout: time.Minute, MaxAnswer: 32 << 20} }

// Validate reports every field that is out of range.
func (c Config) Validate() error {
	var errs []error
	if c.Timeout < 10*time.Millisecond || c.Timeout > time.Hour {
		errs = append(errs, fmt.Errorf("Timeout %s: want 10ms to 1h", c.Timeout))
	}
	if c.MaxAnswer < 1<<10 || c.MaxAnswer > 1<<30 {
		errs = append(errs, fmt.Errorf("MaxAnswer %d: want 1024 to 1073741824", c.MaxAnswer))
	}
	return errors.Join(errs...)
}

// Deps are what the handler calls; Functions, Admitter, Acceptor, Callbacks and
// Logger are required.
type Deps struct {
	Functions Functions
	Admitter  Admitter
	Acceptor  Acceptor
	// Callbacks says what is wrong with a URL for answers; nil is nothing.
	Callbacks func(url string) error
	// Transport makes the calls; nil is that of net/http.
	Transport http.RoundTripper
	// Ran is told of every call; nil: nobody is.
	Ran    func(*event.Run)
	Traces *tracing.Provider
	Logger *slog.Logger
	Now    func() time.Time
}
