package ingest

import (
	"errors"
	"fmt"
	"time"
)

// Route is where events are posted; it is also http.route of the span.
const Route = "/events"

// Config bounds what is accepted.
type Config struct {
	// MaxBatch is the largest number of events in a batch; 1 to 100000.
	MaxBatch int
	// AcceptTimeout is how long the log may take before the sender is told to
	// come again; 10ms to 5m. It is kept to a 20th of itself.
	AcceptTimeout time.Duration
	// WebhookAllowedOrigins are the DNS names that the webhook handshake
	// consents to; "*" is everybody, none is nobody.
	WebhookAllowedOrigins []string
	// WebhookAllowedRate is the rate granted, in requests a minute; 0 is any ("*").
	WebhookAllowedRate int
}

// DefaultConfig takes batches of 1000, waits 5 s, and consents to everybody.
func DefaultConfig() Config {
	return Config{MaxBatch: 1000, AcceptTimeout: 5 * time.Second, WebhookAllowedOrigins: []string{"*"}}
}

// Validate reports every field that is out of range.
func (c Config) Validate() error {
	var errs []error
	if c.MaxBatch < 1 || c.MaxBatch > 100_000 {
		errs = append(errs, fmt.Errorf("MaxBatch %d: want 1 to 100000", c.MaxBatch))
	}
	if c.AcceptTimeout < 10*time.Millisecond || c.AcceptTimeout > 5*time.Minute {
		errs = append(errs, fmt.Errorf("AcceptTimeout %s: want 10ms to 5m", c.AcceptTimeout))
	}
	for i, o := range c.WebhookAllowedOrigins {
		if !validOrigin(o) {
			errs = append(errs, fmt.Errorf("WebhookAllowedOrigins[%d] %q: want a DNS name or *", i, o))
		}
	}
	if c.WebhookAllowedRate < 0 {
		errs = append(errs, fmt.Errorf("WebhookAllowedRate %d: want 0 (any) or more", c.WebhookAllowedRate))
	}
	return errors.Join(errs...)
}
