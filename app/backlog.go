package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/otel/metrics"
)

const (
	// backlogInterval is how often the backlog is looked at by itself, and
	// backlogHurry how soon when this process alone has accepted up to the limit.
	backlogInterval = time.Second
	backlogHurry    = 50 * time.Millisecond
	// backlogAgain is how soon it is looked at again when the log could not say.
	backlogAgain = 200 * time.Millisecond
	// drainMemory is the time constant of the mean drain rate.
	drainMemory = 5 * time.Second
	// The bounds of Retry-After, and what is said where nothing drains or
	// nobody knows yet.
	minRetryAfter     = time.Second
	maxRetryAfter     = 5 * time.Minute
	stillRetryAfter   = time.Minute
	unknownRetryAfter = 10 * time.Second
)

// backlogLog says what is not settled, over all dispatchers.
type backlogLog interface {
	// Lag is the number of events by partition.
	Lag(ctx context.Context) (map[int32]int64, error)
	// ParkedLag is the number of parked deliveries by function.
	ParkedLag(ctx context.Context) (map[string]int64, error)
	// EventBytes is how much disk an event takes on the mean; known is false
	// when that is guessed. 0 is not known at all.
	EventBytes(ctx context.Context) (mean float64, known bool)
}

// backlogLimits are those of the backlog, in records and in bytes of disk of
// one replica; 0 is none.
type backlogLimits struct{ records, bytes int64 }

// backlog refuses events while too much is not settled: over the limit, until
// a tenth of it is free again. It only knows what the log says, so every
// process with the gateway's role keeps one, and all come to the same.
//
// What is settled is committed some times a second, so the last moments of
// traffic count as backlog always.
type backlog struct {
	log    backlogLog
	limits backlogLimits
	// limit is that of now in records; 0 is none.
	limit atomic.Int64
	// full says that the embedded log refuses events by itself.
	full    func() bool
	metrics *metrics.Metrics
	logger  *slog.Logger

	// hurry asks for a look before its time.
	hurry chan struct{}
	// appended counts the events this process has put into the log; hurryAt is
	// the count at which the limit may be reached.
	appended, hurryAt atomic.Int64
	closed            atomic.Bool
	// records is the backlog as last seen, after and afterFull (nanoseconds) how
	// long it takes to come under the limit, or under that of the embedded log.
	records, after, afterFull atomic.Int64

	// The rest belongs to the goroutine of run.
	drain    drainRate
	failing  bool
	lastSeen time.Time
	// mean is that of EventBytes when it was asked for last, at weighed.
	mean    float64
	weighed time.Time
	guessed bool
}

func newBacklog(log backlogLog, limits backlogLimits, full func() bool, m *metrics.Metrics, logger *slog.Logger) *backlog {
	b := &backlog{log: log, limits: limits, full: full, metrics: m, logger: logger, hurry: make(chan struct{}, 1)}
	b.hurryAt.Store(math.MaxInt64)
	b.after.Store(int64(unknownRetryAfter))
	b.afterFull.Store(int64(unknownRetryAfter))
	b.limit.Store(limits.records)
	m.BacklogLimit.Set(float64(limits.records))
	return b
}

// admit refuses while the gate is closed. It costs one atomic load.
func (b *backlog) admit() error {
	if !b.closed.Load() {
		return nil
	}
	return &gateway.RetryError{
		Err:   fmt.Errorf("%w: %d events and deliveries are not done, of at most %d", gateway.ErrBacklog, b.records.Load(), b.limit.Load()),
		After: time.Duration(b.after.Load()),
	}
}

// accepted counts what was appended, and has the backlog looked at when that
// may have reached the limit: within a second a gateway accepts a lot.
func (b *backlog) accepted(events int) {
	if b.appended.Add(int64(events)) >= b.hurryAt.Load() {
		select {
		case b.hurry <- struct{}{}:
		default:
		}
	}
}

// retry adds to a refusal of the embedded log when to come again. Where only the
// buffer is full that is a matter of moments, which is what is said anyhow.
func (b *backlog) retry(err error) error {
	if !errors.Is(err, gateway.ErrBacklog) || !b.full() {
		return err
	}
	return &gateway.RetryError{Err: err, After: time.Duration(b.afterFull.Load())}
}

// run looks at the backlog until ctx ends.
func (b *backlog) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	hurry := b.hurry
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hurry:
			hurry = nil // not again before the look
			timer.Reset(max(0, backlogHurry-time.Since(b.lastSeen)))
			continue
		case <-timer.C:
		}
		b.look(ctx)
		hurry = b.hurry
		if b.failing {
			timer.Reset(backlogAgain)
		} else {
			timer.Reset(backlogInterval)
		}
	}
}

// look measures, and opens or closes the gate. While the log cannot say, things
// stay as they are: then it takes no events either.
func (b *backlog) look(ctx context.Context) {
	bound, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	appended := b.appended.Load()
	events, parked, err := b.measure(bound)
	b.lastSeen = time.Now()
	if failing := err != nil; failing != b.failing && ctx.Err() == nil {
		b.failing = failing
		b.logger.Debug("backlog looked at", "error", err)
	}
	if err != nil {
		return
	}
	b.weigh(bound)
	total := events + parked
	b.drain.add(b.lastSeen, total, appended)
	b.note(total, appended)
	b.metrics.BacklogEvents.Set(float64(events))
	b.metrics.BacklogParked.Set(float64(parked))
	b.metrics.BacklogDrain.Set(b.drain.perSecond)
	b.metrics.BacklogBytes.Set(b.mean * float64(total))
}

// weighEvery is how often the mean size of events is asked for: it does not
// change fast.
const weighEvery = 10 * time.Second

// weigh makes one limit of the two, by the size that events have on the mean.
// What is parked is taken for as large.
func (b *backlog) weigh(ctx context.Context) {
	if b.limits.bytes == 0 || (b.mean > 0 && b.lastSeen.Sub(b.weighed) < weighEvery) {
		return
	}
	mean, known := b.log.EventBytes(ctx)
	if !known && !b.guessed {
		b.logger.Warn("the sizes of the topics are not known, so --max-backlog-bytes goes by the size of what this process accepts: it takes the right Describe on the cluster")
	}
	b.guessed = b.guessed || !known
	if mean <= 0 {
		return
	}
	b.mean, b.weighed = mean, b.lastSeen
	limit := max(1, int64(float64(b.limits.bytes)/mean))
	if b.limits.records > 0 {
		limit = min(limit, b.limits.records)
	}
	b.limit.Store(limit)
	b.metrics.BacklogLimit.Set(float64(limit))
}

func (b *backlog) measure(ctx context.Context) (events, parked int64, err error) {
	lag, err := b.log.Lag(ctx)
	if err != nil {
		return 0, 0, err
	}
	waiting, err := b.log.ParkedLag(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, n := range lag {
		events += n
	}
	for _, n := range waiting {
		parked += n
	}
	return events, parked, nil
}

// note draws the conclusions from a backlog seen when so many events of ours
// had been appended.
func (b *backlog) note(total, appended int64) {
	b.records.Store(total)
	// The embedded log closes at nine tenths of its share and opens at eight.
	b.afterFull.Store(int64(b.drain.timeFor(total / 9)))
	limit := b.limit.Load()
	if limit == 0 {
		return
	}
	opensAt := limit - (limit+9)/10
	b.after.Store(int64(b.drain.timeFor(total - opensAt)))
	b.hurryAt.Store(appended + max(1, limit-total))
	switch {
	case total >= limit && !b.closed.Swap(true):
		b.logger.Warn("the backlog is over its limit: new events are refused", "records", total, "limit", limit)
	case total <= opensAt && b.closed.Swap(false):
		b.logger.Info("the backlog is under its limit: events are accepted again", "records", total)
	}
}

// drainRate is the mean number of records by which the backlog shrinks per
// second, but for what this process adds. What others add counts against it: a
// gateway that shares the intake errs on the side of a longer wait, until all
// of them refuse.
type drainRate struct {
	perSecond       float64
	samples         int
	at              time.Time
	total, appended int64
}

// add takes a measurement: the backlog, and what was appended by then.
func (d *drainRate) add(at time.Time, total, appended int64) {
	passed := at.Sub(d.at)
	if d.samples > 0 && passed <= 0 {
		return
	}
	drained := float64(appended-d.appended) - float64(total-d.total)
	d.at, d.total, d.appended = at, total, appended
	d.samples++
	switch d.samples {
	case 1: // nothing to compare with
	case 2:
		d.perSecond = max(0, drained/passed.Seconds())
	default:
		weight := -math.Expm1(-float64(passed) / float64(drainMemory))
		d.perSecond = max(0, d.perSecond+weight*(drained/passed.Seconds()-d.perSecond))
	}
}

// timeFor is how long so many records take, within the bounds of Retry-After.
func (d *drainRate) timeFor(records int64) time.Duration {
	switch {
	case d.samples < 2:
		return unknownRetryAfter
	case records <= 0:
		return minRetryAfter
	case d.perSecond < 1e-3:
		return stillRetryAfter
	}
	seconds := float64(records) / d.perSecond
	if seconds > maxRetryAfter.Seconds() {
		return maxRetryAfter
	}
	return max(minRetryAfter, time.Duration(seconds*float64(time.Second)))
}
