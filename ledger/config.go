package ledger

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Config says where Redis is and how it is used. Start from DefaultConfig.
type Config struct {
	// URL is one of
	//   redis://[user:password@]host:port[/db]
	//   redis+sentinel://[user:password@]host:port[,host:port…]/master[/db]
	//   redis+cluster://[user:password@]host:port[,host:port…]
	// or the same beginning with rediss, which is TLS. Parameters: ca, cert and
	// key (files, as the fields below), servername (for TLS, when it is not the
	// host), sentinel_username and sentinel_password (of the sentinels
	// themselves). Passwords are percent-encoded. It is never logged: see Redact.
	URL string
	// CAFile verifies the server instead of the system's roots; CertFile and
	// KeyFile identify the client. All are PEM, for rediss only; they win over the URL's parameters.
	CAFile, CertFile, KeyFile string
	// KeyPrefix begins every key and channel; 1 to 64 characters without braces. Default "signalbox:".
	KeyPrefix string
	// DedupWindow is how long an id is remembered at least (at most twice as
	// long); 1s to 30 days. Default 24h.
	DedupWindow time.Duration
	// DedupBuckets is the number of hashes the ids of one window are spread
	// over; 256 to 2^24, the same on every replica. Best is a hundredth of the
	// ids in a window; see DESIGN.md. Default 2^18.
	DedupBuckets int
	// Timeout bounds every exchange with Redis; 10ms to 1m. Default 1s.
	Timeout time.Duration
	// HistoryTimeout bounds one append to the History; 10ms to 5m. Default 5s.
	HistoryTimeout time.Duration
	// PollInterval is how often Watch reads the revision when no notice
	// arrives; 10ms to 1m. Default 500ms.
	PollInterval time.Duration
	// Volatile says that this Redis keeps nothing, so that finding it empty at
	// the start is no news.
	Volatile bool
	// Logger gets what heals and what fails in the background; nil discards it.
	Logger *slog.Logger
	// Clock tells the time; nil is time.Now.
	Clock func() time.Time
}

// DefaultConfig returns the defaults; URL is empty.
func DefaultConfig() Config {
	return Config{
		KeyPrefix:      "signalbox:",
		DedupWindow:    24 * time.Hour,
		DedupBuckets:   1 << 18,
		Timeout:        time.Second,
		HistoryTimeout: 5 * time.Second,
		PollInterval:   500 * time.Millisecond,
	}
}

func (c *Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	within := func(field string, v, low, high time.Duration) {
		if v < low || v > high {
			fault("%s %s: want %s to %s", field, v, low, high)
		}
	}
	if _, err := parseURL(c.URL); err != nil {
		faults = append(faults, err)
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		fault("CertFile and KeyFile: want both or neither")
	}
	if c.KeyPrefix == "" || len(c.KeyPrefix) > 64 || strings.ContainsAny(c.KeyPrefix, "{}") {
		fault("KeyPrefix %q: want 1 to 64 characters without braces", c.KeyPrefix)
	}
	within("DedupWindow", c.DedupWindow, time.Second, 30*24*time.Hour)
	if c.DedupBuckets < shards || c.DedupBuckets > 1<<24 {
		fault("DedupBuckets %d: want %d to %d", c.DedupBuckets, shards, 1<<24)
	}
	within("Timeout", c.Timeout, 10*time.Millisecond, time.Minute)
	within("HistoryTimeout", c.HistoryTimeout, 10*time.Millisecond, 5*time.Minute)
	within("PollInterval", c.PollInterval, 10*time.Millisecond, time.Minute)
	return errors.Join(faults...)
}

// withDefaults fills in what may be nil.
func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}
