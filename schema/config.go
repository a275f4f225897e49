package schema

import (
	"errors"
	"fmt"
)

// Config bounds what one check may cost and say.
type Config struct {
	// MaxDepth bounds the nesting of an event's data; 1 to 1000. Deeper data
	// satisfies no schema.
	MaxDepth int
	// MaxViolations bounds what is told about one event and schema; 1 to 100.
	MaxViolations int
	// Steps bound the subschemas that one check evaluates: so many, and one for each
	// byte of data, but at most MaxSteps; 1000 to MaxSteps, and up to 10^7.
	Steps, MaxSteps int
}

// DefaultConfig takes 128 levels, tells of 10 violations, and evaluates 50,000
// subschemas and one a byte, at most 600,000: some 30 ms for a small event, and a
// second or two for a large one, with a schema made to be slow.
func DefaultConfig() Config {
	return Config{MaxDepth: 128, MaxViolations: 10, Steps: 50_000, MaxSteps: 600_000}
}

func (c Config) validate() error {
	var errs []error
	within := func(field string, v, low, high int) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s %d: want %d to %d", field, v, low, high))
		}
	}
	within("MaxDepth", c.MaxDepth, 1, 1000)
	within("MaxViolations", c.MaxViolations, 1, 100)
	within("MaxSteps", c.MaxSteps, 1000, 1e7)
	within("Steps", c.Steps, 1000, c.MaxSteps)
	return errors.Join(errs...)
}
