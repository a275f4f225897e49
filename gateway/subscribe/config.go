package subscribe

import (
	"errors"
	"fmt"
	"time"
)

// Config bounds the live stream.
type Config struct {
	// MaxSubscribers bounds the subscribers; one more is answered 429. 1 to 100000.
	MaxSubscribers int
	// QueueLength and QueueBytes bound what waits for one subscriber; a
	// subscriber over either is cut off. 1 to 1000000, 64 KiB to 1 GiB.
	QueueLength int
	QueueBytes  int
	// Heartbeat is the time between signs of life on a quiet stream; 100ms to 10m.
	Heartbeat time.Duration
	// WriteTimeout is how long one write may take before the subscriber is
	// given up; 10ms to 10m.
	WriteTimeout time.Duration
	// StartTimeout is how long the log may take until it is followed; 10ms to 5m.
	StartTimeout time.Duration
}

// DefaultConfig takes 256 subscribers with 1024 messages or 8 MiB waiting each.
func DefaultConfig() Config {
	return Config{
		MaxSubscribers: 256, QueueLength: 1024, QueueBytes: 8 << 20,
		Heartbeat: 15 * time.Second, WriteTimeout: 10 * time.Second, StartTimeout: 10 * time.Second,
	}
}

// Validate reports every field that is out of range.
func (c Config) Validate() error {
	var errs []error
	number := func(name string, v, low, high int) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s %d: want %d to %d", name, v, low, high))
		}
	}
	duration := func(name string, v, low, high time.Duration) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s %s: want %s to %s", name, v, low, high))
		}
	}
	number("MaxSubscribers", c.MaxSubscribers, 1, 100_000)
	number("QueueLength", c.QueueLength, 1, 1_000_000)
	number("QueueBytes", c.QueueBytes, 64<<10, 1<<30)
	duration("Heartbeat", c.Heartbeat, 100*time.Millisecond, 10*time.Minute)
	duration("WriteTimeout", c.WriteTimeout, 10*time.Millisecond, 10*time.Minute)
	duration("StartTimeout", c.StartTimeout, 10*time.Millisecond, 5*time.Minute)
	return errors.Join(errs...)
}
