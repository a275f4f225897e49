package replay

import (
	"errors"
	"fmt"
	"time"
)

// Config says how history is sent. Start from DefaultConfig.
type Config struct {
	// Batch is how many deliveries are parked before their acknowledgements are
	// waited for, 1 to 10000.
	Batch int
	// ChunkRecords and ChunkBytes bound what is read of the log at once (one
	// record may go over ChunkBytes), 1 to 100000 and 1 KiB to 64 MiB.
	ChunkRecords int
	ChunkBytes   int
	// Readers bounds the chunks that are in memory at a time, 1 to 1000.
	Readers int
	// FeedAhead is how many deliveries may wait on a function's parked topic, in
	// all partitions together, for more to be put there while its stream is
	// behind; 1 to 1e9.
	FeedAhead int64
	// CommitInterval is how often the cursor of a slow feed is committed.
	CommitInterval time.Duration
	// Approach is how many records behind the live stream a link may be for the
	// partition to wait while it is brought up, 1 to 100000.
	Approach int64
	// ApproachTimeout bounds that wait.
	ApproachTimeout time.Duration
	// RetryWait and RetryMax are the first and the longest wait after a failure.
	RetryWait, RetryMax time.Duration
	// Refresh is how old a cursor may get before it is committed again: Kafka
	// forgets what nobody commits for seven days.
	Refresh time.Duration
	// Forget is for how long a link without a cursor counts as new after its
	// creation; later its cursor was forgotten.
	Forget time.Duration
	// MaxHops is the dispatcher's: events beyond it were refused there.
	MaxHops int
	// HoldWithoutDedup waits when duplicates cannot be looked up; else every
	// event of the range counts as the first.
	HoldWithoutDedup bool
}

// DefaultConfig sends as fast as the functions take it.
func DefaultConfig() Config {
	return Config{
		Batch: 256, ChunkRecords: 2000, ChunkBytes: 1 << 20, Readers: 4, FeedAhead: 5000,
		CommitInterval: time.Second, Approach: 2000, ApproachTimeout: 2 * time.Second,
		RetryWait: 100 * time.Millisecond, RetryMax: 5 * time.Second,
		Refresh: 12 * time.Hour, Forget: 6 * 24 * time.Hour, MaxHops: 32,
	}
}

// validate reports every field that is out of range.
func (c *Config) validate() error {
	var faults []error
	between := func(field string, v, low, high int64) {
		if v < low || v > high {
			faults = append(faults, fmt.Errorf("%s %d: want %d to %d", field, v, low, high))
		}
	}
	between("Batch", int64(c.Batch), 1, 10000)
	between("ChunkRecords", int64(c.ChunkRecords), 1, 100000)
	between("ChunkBytes", int64(c.ChunkBytes), 1<<10, 64<<20)
	between("Readers", int64(c.Readers), 1, 1000)
	between("FeedAhead", c.FeedAhead, 1, 1e9)
	between("Approach", c.Approach, 1, 100000)
	between("MaxHops", int64(c.MaxHops), 1, 1<<30)
	duration := func(field string, v, low, high time.Duration) {
		if v < low || v > high {
			faults = append(faults, fmt.Errorf("%s %v: want %v to %v", field, v, low, high))
		}
	}
	duration("CommitInterval", c.CommitInterval, time.Millisecond, time.Hour)
	duration("ApproachTimeout", c.ApproachTimeout, time.Millisecond, time.Minute)
	duration("RetryWait", c.RetryWait, time.Millisecond, time.Minute)
	duration("RetryMax", c.RetryMax, c.RetryWait, time.Hour)
	duration("Refresh", c.Refresh, time.Minute, 3*24*time.Hour)
	duration("Forget", c.Forget, time.Hour, 365*24*time.Hour)
	return errors.Join(faults...)
}
