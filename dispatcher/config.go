package dispatcher

import (
	"errors"
	"fmt"
	"time"
)

// DedupMode says what happens to events while they cannot be claimed.
type DedupMode string

// The modes of deduplication.
const (
	// DedupDeliver goes on without a claim: an event may be delivered twice.
	DedupDeliver DedupMode = "deliver"
	// DedupHold waits until claims work again.
	DedupHold DedupMode = "hold"
)

// Config is the dispatcher's configuration; DefaultConfig has the defaults.
type Config struct {
	// Dedup is deliver (default) or hold.
	Dedup DedupMode
	// MaxHops is the longest chain of functions, 1 to 1000000, default 64: an
	// event that has passed more of them is a dead letter.
	MaxHops int
	// QueueSize bounds the deliveries of the live stream that wait in one
	// function's lane, for their turn or for a retry, and again those from its
	// parked topic; 1 to 1000000, default 1024. What finds no room is parked.
	QueueSize int
	// MaxReplyBytes bounds the body of an answer; 1024 to 1 GiB, default 1 MiB.
	MaxReplyBytes int
	// MaxReplies bounds the events of one batched answer; 1 to 10000, default 100.
	MaxReplies int
	// MaxRetryAfter bounds what Retry-After may ask for; 1s to 24h, default 1h.
	MaxRetryAfter time.Duration
	// Slots bounds the calls in flight over all functions; 1 to 100000,
	// default 4096. Functions share them by their weights.
	Slots int
	// EnoughCalls are calls in flight that keep the process busy. While more of
	// functions that answer at once are, the bounds of lanes are lowered as long
	// as that costs no throughput. 0 to 100000, 0 (default) is 64 for each core.
	EnoughCalls int
	// ParkAfter is how long a delivery of the live stream may have to wait in
	// its lane; what would take longer is parked. 10ms to 1h, default 1s.
	ParkAfter time.Duration
	// ParkWindow bounds, per partition, the deliveries on their way to a parked
	// topic before the partition waits; 1 to 1000000, default 1000.
	ParkWindow int
	// BreakerAfter is how many failures of a function in a row close its lane;
	// 1 to 1000000, default 20. BreakerInitial and BreakerMax are for how long:
	// exponential from the first on, until one call succeeds; 1ms to 1h,
	// defaults 200ms and 30s.
	BreakerAfter   int
	BreakerInitial time.Duration
	BreakerMax     time.Duration
	// MaxLeases bounds the deliveries that one function works on under leases,
	// of all partitions of this process; with more it gets nothing new until one
	// ends. 1 to 400, default 256. (At most 500 of one partition can be told of.)
	MaxLeases int
	// MaxChain bounds the events of one chain (one correlationid), counted from
	// its eighth generation on; 0 to 1000000000, default 100000, 0 is unbounded.
	MaxChain int
	// MaxChainAge is how long after its first event a chain may go on: a later
	// event of it is a dead letter. 0 to 10 years, default 7 days, 0 is for ever.
	MaxChainAge time.Duration
	// ConnectTimeout bounds opening a connection (the link's timeout does
	// too); 1ms to 10m, default 5s.
	ConnectTimeout time.Duration
	// IdleConnTimeout closes connections that long unused; 1s to 1h, default 30s.
	IdleConnTimeout time.Duration
	// AppendTimeout bounds one append of replies or of a dead letter; 10ms to 10m, default 10s.
	AppendTimeout time.Duration
	// ChooseAttempts is how often choosing is tried; 1 to 100, default 4.
	ChooseAttempts int
	// RetryInitial and RetryMax are the backoff between attempts to claim, to
	// choose and to write a dead letter; 1ms to 10m, defaults 50ms and 5s.
	RetryInitial time.Duration
	RetryMax     time.Duration
	// DrainTimeout is how long deliveries in flight may take to finish after
	// their partition or the dispatcher was stopped; 0 to 1h, default 20s.
	DrainTimeout time.Duration
	// IdleAfter ends lanes and workers that had nothing to do for one to two
	// times as long; 100ms to 1h, default 10s.
	IdleAfter time.Duration
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Dedup:           DedupDeliver,
		MaxHops:         64,
		QueueSize:       1024,
		MaxReplyBytes:   1 << 20,
		MaxReplies:      100,
		MaxRetryAfter:   time.Hour,
		Slots:           4096,
		ParkAfter:       time.Second,
		ParkWindow:      1000,
		BreakerAfter:    20,
		BreakerInitial:  200 * time.Millisecond,
		BreakerMax:      30 * time.Second,
		MaxLeases:       256,
		MaxChain:        100000,
		MaxChainAge:     7 * 24 * time.Hour,
		ConnectTimeout:  5 * time.Second,
		IdleConnTimeout: 30 * time.Second,
		AppendTimeout:   10 * time.Second,
		ChooseAttempts:  4,
		RetryInitial:    50 * time.Millisecond,
		RetryMax:        5 * time.Second,
		DrainTimeout:    20 * time.Second,
		IdleAfter:       10 * time.Second,
	}
}

// validate reports every value out of range.
func (c *Config) validate() error {
	var errs []error
	if c.Dedup != DedupDeliver && c.Dedup != DedupHold {
		errs = append(errs, fmt.Errorf("Dedup %q: want deliver or hold", c.Dedup))
	}
	number := func(name string, v, low, high int) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s %d: want %d to %d", name, v, low, high))
		}
	}
	number("MaxHops", c.MaxHops, 1, 1000000)
	number("QueueSize", c.QueueSize, 1, 1000000)
	number("Slots", c.Slots, 1, 100000)
	number("EnoughCalls", c.EnoughCalls, 0, 100000)
	number("ParkWindow", c.ParkWindow, 1, 1000000)
	number("BreakerAfter", c.BreakerAfter, 1, 1000000)
	number("MaxLeases", c.MaxLeases, 1, 400)
	number("MaxChain", c.MaxChain, 0, 1000000000)
	number("MaxReplyBytes", c.MaxReplyBytes, 1024, 1<<30)
	number("MaxReplies", c.MaxReplies, 1, 10000)
	number("ChooseAttempts", c.ChooseAttempts, 1, 100)
	span := func(name string, v, low, high time.Duration) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s %s: want %s to %s", name, v, low, high))
		}
	}
	span("MaxRetryAfter", c.MaxRetryAfter, time.Second, 24*time.Hour)
	span("MaxChainAge", c.MaxChainAge, 0, 10*365*24*time.Hour)
	span("ParkAfter", c.ParkAfter, 10*time.Millisecond, time.Hour)
	span("BreakerInitial", c.BreakerInitial, time.Millisecond, time.Hour)
	span("BreakerMax", c.BreakerMax, time.Millisecond, time.Hour)
	span("ConnectTimeout", c.ConnectTimeout, time.Millisecond, 10*time.Minute)
	span("IdleConnTimeout", c.IdleConnTimeout, time.Second, time.Hour)
	span("AppendTimeout", c.AppendTimeout, 10*time.Millisecond, 10*time.Minute)
	span("RetryInitial", c.RetryInitial, time.Millisecond, 10*time.Minute)
	span("RetryMax", c.RetryMax, time.Millisecond, 10*time.Minute)
	span("DrainTimeout", c.DrainTimeout, 0, time.Hour)
	span("IdleAfter", c.IdleAfter, 100*time.Millisecond, time.Hour)
	return errors.Join(errs...)
}

// validate reports every part that is missing.
func (p *Parts) validate() error {
	var errs []error
	missing := func(name string, is bool) {
		if is {
			errs = append(errs, fmt.Errorf("Parts.%s is missing", name))
		}
	}
	missing("Deduper", p.Deduper == nil)
	missing("Chooser", p.Chooser == nil)
	missing("Endpoints", p.Endpoints == nil)
	missing("Log", p.Log == nil)
	missing("Targets", p.Parking != nil && p.Targets == nil)
	return errors.Join(errs...)
}
