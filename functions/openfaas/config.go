package openfaas

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/signalbox-dev/signalbox/functions/settings"
)

// Config says which OpenFaaS.
type Config struct {
	// Gateway is the URL of OpenFaaS's gateway; "" is none: functions say so.
	Gateway string
	// User and PasswordSecret, the name of a secret, are for the gateway's basic
	// authentication; without a secret none is used. User's default is admin.
	User           string
	PasswordSecret string
	// Owner tells this Signalbox from others that use the same gateway: all its
	// processes have the same one, and no other has it. A label's value; default signalbox.
	Owner string
	// ReadOnly processes see where functions are, and change nothing.
	ReadOnly bool
	// Secrets finds secrets by name.
	Secrets settings.Lookup
	// Linger is how long a version goes on that gets no events any more, and what
	// belongs to no function; default 5m, 1ms to 24h.
	Linger time.Duration
	// Poll is how often the gateway is asked what there is; default 2s, 1ms to 1m.
	Poll time.Duration
	// Resync is how often what should be there is deployed again, whatever seems
	// to be there; default 1h, 1s to 24h.
	Resync time.Duration
	// Timeout bounds a request to the gateway; default 30s, 1s to 5m.
	Timeout time.Duration
	Log     *slog.Logger
	// Now is the clock.
	Now func() time.Time
}

// DefaultConfig lacks Gateway, PasswordSecret and Secrets.
func DefaultConfig() Config {
	return Config{
		User: "admin", Owner: "signalbox", Linger: 5 * time.Minute, Poll: 2 * time.Second, Resync: time.Hour, Timeout: 30 * time.Second,
		Log: slog.Default(), Now: time.Now,
	}
}

// ValidGateway reports whether s is a gateway's URL, or "".
func ValidGateway(s string) bool {
	u, err := url.Parse(s)
	return s == "" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == ""
}

func (c *Config) validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(ValidGateway(c.Gateway), "Gateway: want an http or https URL without user and query")
	check(c.Owner != "", "Owner: missing")
	for _, d := range []struct {
		field           string
		value, low, top time.Duration
	}{
		{"Linger", c.Linger, time.Millisecond, 24 * time.Hour}, {"Poll", c.Poll, time.Millisecond, time.Minute},
		{"Resync", c.Resync, time.Second, 24 * time.Hour}, {"Timeout", c.Timeout, time.Second, 5 * time.Minute},
	} {
		check(d.value >= d.low && d.value <= d.top, "%s %s: want %s to %s", d.field, d.value, d.low, d.top)
	}
	check(c.Log != nil, "Log: nil: want a logger")
	check(c.Now != nil, "Now: nil: want a clock")
	return errors.Join(faults...)
}
