package sink

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"time"
)

// Topics are those that can be kept, as far as they hold documents.
func Topics() []string { return []string{"runs", "logs", "events", "dead", "decisions"} }

// Config says where documents go.
type Config struct {
	// URL is the index's base URL, without credentials.
	URL string
	// User and Password, or APIKey (Authorization: ApiKey), are presented if set.
	User, Password, APIKey string
	// TLS nil trusts the system's CAs.
	TLS *tls.Config
	// Prefix stands before the topic's name and the day in the name of an index:
	// signalbox-logs-2026.11.21. 1 to 100 lower-case letters, digits, '-', '_' and '.'.
	Prefix string
	// BatchRecords and BatchBytes bound one request; 1 to 10000 and 64 KiB to 64 MiB.
	// A document that is larger alone goes alone.
	BatchRecords int
	BatchBytes   int
	// Timeout bounds one request; 1s to 10m.
	Timeout time.Duration
	// RetryInitial and RetryMax bound the pause before a request is made again:
	// twice as long each time. 1ms to 10m.
	RetryInitial, RetryMax time.Duration
	Log                    *slog.Logger
	// Pause waits for d or the end of ctx, and returns ctx's error then; nil is a timer.
	Pause func(done <-chan struct{}, d time.Duration)
}

// DefaultConfig lacks the URL.
func DefaultConfig() Config {
	return Config{
		Prefix: "signalbox-", BatchRecords: 1000, BatchBytes: 4 << 20, Timeout: 30 * time.Second,
		RetryInitial: 200 * time.Millisecond, RetryMax: 30 * time.Second, Log: slog.Default(),
	}
}

var prefixPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)

// Validate returns every fault, joined.
func (c *Config) Validate() error {
	var faults []error
	add := func(ok bool, field string, value any, want string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s %v: want %s", field, value, want))
		}
	}
	u, err := url.Parse(c.URL)
	ok := err == nil && u.Host != "" && slices.Contains([]string{"http", "https"}, u.Scheme)
	add(ok, "URL", "", "an http or https URL such as http://127.0.0.1:9200")
	add(!ok || u.User == nil, "URL", "", "one without user and password: they have options of their own")
	add(prefixPattern.MatchString(c.Prefix), "Prefix", fmt.Sprintf("%q", c.Prefix), "1 to 100 lower-case letters, digits, '-', '_' and '.'")
	add(c.BatchRecords >= 1 && c.BatchRecords <= 10000, "BatchRecords", c.BatchRecords, "1 to 10000")
	add(c.BatchBytes >= 64<<10 && c.BatchBytes <= 64<<20, "BatchBytes", c.BatchBytes, "65536 to 67108864")
	add(c.Timeout >= time.Second && c.Timeout <= 10*time.Minute, "Timeout", c.Timeout, "1s to 10m")
	add(c.RetryInitial >= time.Millisecond && c.RetryInitial <= c.RetryMax && c.RetryMax <= 10*time.Minute, "RetryInitial and RetryMax", c.RetryInitial, "1ms to 10m, the first not above the second")
	add(c.APIKey == "" || c.User == "", "APIKey", "", "none beside User")
	if c.Log == nil {
		faults = append(faults, errors.New("Log: nil: want a logger"))
	}
	return errors.Join(faults...)
}
