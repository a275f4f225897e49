package eventlog

import "sync/atomic"

type counters struct {
	produced, produceErrors, dropped      atomic.Int64
	polled, settled, commits, commitFails atomic.Int64
	retired, unparked                     atomic.Int64
	events, eventBytes                    atomic.Int64 // appended to the topic of events
}

// Stats are counts since Open, and levels as of now.
type Stats struct {
	// Produced and ProduceErrors count records; Dropped counts telemetry.
	Produced, ProduceErrors, Dropped int64
	// Polled counts records fetched for the consumer, Settled those settled.
	Polled, Settled int64
	// Commits and CommitErrors count commits of progress.
	Commits, CommitErrors int64
	// Unparked counts parked deliveries that were handed over.
	Unparked int64
	// Retired counts offsets that the broker removed before they were delivered.
	Retired int64
	// BufferedRecords and BufferedBytes wait for their acknowledgement.
	BufferedRecords, BufferedBytes int64
	// Assigned is how many partitions this member has, Unsettled the records
	// handed over and not settled.
	Assigned, Unsettled int
	// Joined says that Consume is a member of its group, with or without partitions.
	Joined bool
	// Full says that the embedded log refuses events.
	Full bool
}

// Owned are the partitions of events that this process delivers, in no order.
func (l *Log) Owned() []int32 {
	c := l.consuming.Load()
	if c == nil {
		return nil
	}
	ps := c.entered()
	owned := make([]int32, len(ps))
	for i, p := range ps {
		owned[i] = p.id
	}
	return owned
}

// Stats returns the counts and levels.
func (l *Log) Stats() Stats {
	s := Stats{
		Produced:        l.stats.produced.Load(),
		ProduceErrors:   l.stats.produceErrors.Load(),
		Dropped:         l.stats.dropped.Load(),
		Unparked:        l.stats.unparked.Load(),
		Polled:          l.stats.polled.Load(),
		Settled:         l.stats.settled.Load(),
		Commits:         l.stats.commits.Load(),
		CommitErrors:    l.stats.commitFails.Load(),
		Retired:         l.stats.retired.Load(),
		BufferedRecords: l.events.records.Load() + l.telemetry.records.Load() + l.lines.records.Load() + l.parked.budget.records.Load(),
		BufferedBytes:   l.events.bytes.Load() + l.telemetry.bytes.Load() + l.lines.bytes.Load() + l.parked.budget.bytes.Load(),
		Full:            l.full.Load(),
	}
	if c := l.consuming.Load(); c != nil {
		s.Assigned, s.Unsettled = c.levels()
		s.Joined = c.joined()
	}
	return s
}
