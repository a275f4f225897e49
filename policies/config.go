package policies

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// Config configures an Engine.
type Config struct {
	// Budget bounds one evaluation of the policies of a kind; 1ms to 10s, default 50ms.
	Budget time.Duration
	// MemoSize bounds the remembered decisions of trigger policies; 0 switches
	// remembering off, at most 1,000,000, default 4096.
	MemoSize int
	// BreakAfter is how many failures in a row that cost time (the Budget, or a
	// tenth of it) keep a policy from being asked; 1 to 1000, default 5; -1 is never.
	BreakAfter int
	// BreakFor is how long it is not asked then; 10ms to 10m, default 5s.
	BreakFor time.Duration
	// Observer is told of evaluations.
	Observer Observer
	// Shadow is told where policies in shadow mode would have decided otherwise;
	// nil is nobody. ev is nil for requests to the API. It is called on the path
	// of the decision: it must not block, and not change what it gets.
	Shadow func(ev *event.Event, d ShadowDifference)
	// Logger gets loads and failures; nil is none.
	Logger *slog.Logger
	// Clock is input.time and the clock of Rego; nil is time.Now.
	Clock func() time.Time
}

// Observer is told what happens; every hook may be nil, is called concurrently
// and must not block.
type Observer struct {
	// Evaluated is called after each evaluation of the policies of a stage.
	Evaluated func(stage string, took time.Duration)
	// Failed is called for each policy that failed, or was not asked for that reason.
	Failed func(e *PolicyError)
}

// DefaultConfig is what a production process starts from.
func DefaultConfig() Config {
	return Config{Budget: 50 * time.Millisecond, MemoSize: 4096, BreakAfter: 5, BreakFor: 5 * time.Second, Logger: slog.New(slog.DiscardHandler), Clock: time.Now}
}

// validate names every field that is out of its range.
func (c *Config) validate() error {
	var errs []error
	if c.Budget < time.Millisecond || c.Budget > 10*time.Second {
		errs = append(errs, fmt.Errorf("policies: Budget %s: want 1ms to 10s", c.Budget))
	}
	if c.MemoSize < 0 || c.MemoSize > 1_000_000 {
		errs = append(errs, fmt.Errorf("policies: MemoSize %d: want 0 to 1000000", c.MemoSize))
	}
	if c.BreakAfter != -1 && c.BreakAfter < 1 || c.BreakAfter > 1000 {
		errs = append(errs, fmt.Errorf("policies: BreakAfter %d: want 1 to 1000, or -1", c.BreakAfter))
	}
	if c.BreakFor < 10*time.Millisecond || c.BreakFor > 10*time.Minute {
		errs = append(errs, fmt.Errorf("policies: BreakFor %s: want 10ms to 10m", c.BreakFor))
	}
	return errors.Join(errs...)
}

// withDefaults fills in what may be nil, and zeroes, but that of MemoSize.
func (c Config) withDefaults() Config {
	d := DefaultConfig()
	if c.Budget == 0 {
		c.Budget = d.Budget
	}
	if c.BreakAfter == 0 {
		c.BreakAfter = d.BreakAfter
	}
	if c.BreakFor == 0 {
		c.BreakFor = d.BreakFor
	}
	if c.Logger == nil {
		c.Logger = d.Logger
	}
	if c.Clock == nil {
		c.Clock = d.Clock
	}
	return c
}
