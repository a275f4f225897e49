package api

import (
	"errors"
	"fmt"
	"time"
)

// Config bounds queries.
type Config struct {
	// DefaultLimit and MaxLimit bound the items of a page; 1 to 10000.
	DefaultLimit int
	MaxLimit     int
	// Timeout bounds one request's work on ledger and log; 10ms to 10m.
	Timeout time.Duration
}

// DefaultConfig pages by 100, at most 1000, within 10 s.
func DefaultConfig() Config {
	return Config{DefaultLimit: 100, MaxLimit: 1000, Timeout: 10 * time.Second}
}

// Validate reports every field that is out of range.
func (c Config) Validate() error {
	var errs []error
	if c.MaxLimit < 1 || c.MaxLimit > 10_000 {
		errs = append(errs, fmt.Errorf("MaxLimit %d: want 1 to 10000", c.MaxLimit))
	}
	if c.DefaultLimit < 1 || c.DefaultLimit > c.MaxLimit {
		errs = append(errs, fmt.Errorf("DefaultLimit %d: want 1 to MaxLimit (%d)", c.DefaultLimit, c.MaxLimit))
	}
	if c.Timeout < 10*time.Millisecond || c.Timeout > 10*time.Minute {
		errs = append(errs, fmt.Errorf("Timeout %s: want 10ms to 10m", c.Timeout))
	}
	return errors.Join(errs...)
}
