package policies

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Config configures an Engine.
type Config struct {
	// Budget bounds one evaluation of the policies of a kind; 1ms to 10s, default 50ms.
	Budget time.Duration
	// MemoSize bounds the remembered decisions of trigger policies; 0 switches
	// remembering off, at most 1,000,000, default 4096.
	MemoSize int
	// Logger gets loads and failures; nil is none.
	Logger *slog.Logger
	// Clock is input.time and the clock of Rego; nil is time.Now.
	Clock func() time.Time
}

// DefaultConfig is what a production process starts from.
func DefaultConfig() Config {
	return Config{Budget: 50 * time.Millisecond, MemoSize: 4096, Logger: slog.New(slog.DiscardHandler), Clock: time.Now}
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
	return errors.Join(errs...)
}

// withDefaults fills in what may be nil, and a Budget of 0.
func (c Config) withDefaults() Config {
	d := DefaultConfig()
	if c.Budget == 0 {
		c.Budget = d.Budget
	}
	if c.Logger == nil {
		c.Logger = d.Logger
	}
	if c.Clock == nil {
		c.Clock = d.Clock
	}
	return c
}
