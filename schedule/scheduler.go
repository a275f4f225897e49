package schedule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// Log takes the events of schedules.
type Log interface {
	// Append returns nil once the event is durable. It returns when ctx ends.
	Append(ctx context.Context, e *event.Event) error
}

// Marks keeps the last time of each schedule that was fired, over all replicas.
type Marks interface {
	// Last is zero when there is none.
	Last(ctx context.Context, schedule string) (time.Time, error)
	// Fired keeps t unless a later time is kept already.
	Fired(ctx context.Context, schedule string, t time.Time) error
}

// Config says how schedules are kept.
type Config struct {
	// Spread is how much later than its time a firing may be, so that not all
	// replicas append it; 0 to 10s, default 200ms.
	Spread time.Duration
	// MaxMissed bounds the times that are made up for, the last ones; 1 to 10000, default 100.
	MaxMissed int
	Logger    *slog.Logger
	// Now and Rand default to the clock and to chance; Rand is in [0,1).
	Now  func() time.Time
	Rand func() float64
}

// DefaultConfig is the configuration with every default.
func DefaultConfig() Config {
	return Config{Spread: 200 * time.Millisecond, MaxMissed: 100, Logger: slog.Default(), Now: time.Now, Rand: rand.Float64}
}

func (c *Config) validate() error {
	var faults []error
	if c.Spread < 0 || c.Spread > 10*time.Second {
		faults = append(faults, fmt.Errorf("Spread %s: want 0 to 10s", c.Spread))
	}
	if c.MaxMissed < 1 || c.MaxMissed > 10_000 {
		faults = append(faults, fmt.Errorf("MaxMissed %d: want 1 to 10000", c.MaxMissed))
	}
	if c.Logger == nil || c.Now == nil || c.Rand == nil {
		faults = append(faults, errors.New("Logger, Now and Rand: want all of them"))
	}
	return errors.Join(faults...)
}

// Scheduler fires schedules. Make it with New, then Run it once.
type Scheduler struct {
	c     Config
	log   Log
	marks Marks

	mu sync.Mutex
	// wanted are the schedules in force by name; changed tells Run of others.
	wanted  map[string]entry
	changed chan struct{}
}

// entry is one schedule of one function.
type entry struct {
	name     string
	function string
	spec     resource.Schedule
	times    resource.Times
}

// New makes a scheduler without schedules.
func New(c Config, log Log, marks Marks) (*Scheduler, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	return &Scheduler{c: c, log: log, marks: marks, wanted: map[string]entry{}, changed: make(chan struct{}, 1)}, nil
}

// Update makes the schedules those of the functions in force. It does not block.
func (s *Scheduler) Update(set *resource.Set) {
	wanted := map[string]entry{}
	for _, fn := range set.Functions {
		for _, spec := range fn.Spec.Schedule {
			times, err := spec.Times()
			if err != nil {
				continue // it was refused when it was written
			}
			e := entry{name: nameOf(fn.Metadata.Name, &spec), function: fn.Metadata.Name, spec: spec, times: times}
			wanted[e.name] = e
		}
	}
	s.mu.Lock()
	s.wanted = wanted
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// nameOf is function/hash: a schedule that stands in the manifest at another
// place is still the same.
func nameOf(function string, s *resource.Schedule) string {
	sum := sha256.Sum256([]byte(s.Cron + "\x00" + s.Timezone))
	return function + "/" + hex.EncodeToString(sum[:4])
}

// Run fires until ctx ends.
func (s *Scheduler) Run(ctx context.Context) error {
	running := map[string]context.CancelFunc{}
	var work sync.WaitGroup
	defer work.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
		}
		s.mu.Lock()
		wanted := s.wanted
		s.mu.Unlock()
		for name, stop := range running {
			if _, ok := wanted[name]; !ok {
				stop()
				delete(running, name)
			}
		}
		for name := range wanted {
			if running[name] == nil {
				own, stop := context.WithCancel(ctx)
				running[name] = stop
				work.Go(func() { s.keep(own, name) })
			}
		}
	}
}

// current is the schedule as it stands now: its data may have changed.
func (s *Scheduler) current(name string) (entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.wanted[name]
	return e, ok
}

// keep fires one schedule until ctx ends.
func (s *Scheduler) keep(ctx context.Context, name string) {
	e, ok := s.current(name)
	if !ok {
		return
	}
	after := s.last(ctx, name)
	for ctx.Err() == nil {
		due, skipped := s.next(&e, after)
		if due.IsZero() {
			return // there is no such time, such as the 30th of February
		}
		if skipped > 0 {
			s.c.Logger.Info("missed times of a schedule are left out", "function", e.function, "cron", e.spec.Cron, "times", skipped)
		}
		if !s.wait(ctx, due.Sub(s.c.Now())+time.Duration(s.c.Rand()*float64(s.c.Spread))) {
			return
		}
		if e, ok = s.current(name); !ok {
			return
		}
		s.fire(ctx, &e, due)
		after = due
	}
}

// last is the time after which the schedule goes on: the last one that was
// fired, or now where none was.
func (s *Scheduler) last(ctx context.Context, name string) time.Time {
	for n := 0; ; n++ {
		t, err := s.marks.Last(ctx, name)
		switch {
		case err == nil && t.IsZero():
			return s.c.Now()
		case err == nil:
			return t
		}
		if n == 0 && ctx.Err() == nil {
			s.c.Logger.Warn("a schedule waits to know when it ran last", "schedule", name, "error", err)
		}
		if !s.wait(ctx, backoff(n)) {
			return s.c.Now()
		}
	}
}

// next is the time to fire after `after`, and how many missed ones are left out.
func (s *Scheduler) next(e *entry, after time.Time) (due time.Time, skipped int) {
	now := s.c.Now()
	var missed []time.Time
	due = e.times.Next(after)
	for ; !due.IsZero() && due.Before(now.Add(-late)); due = e.times.Next(due) {
		if missed = append(missed, due); len(missed) > s.c.MaxMissed {
			missed = missed[1:]
			skipped++
		}
	}
	if len(missed) == 0 {
		return due, skipped
	}
	switch e.spec.Missed {
	case resource.MissedSkip:
		return due, skipped + len(missed)
	case resource.MissedAll:
		return missed[0], skipped
	}
	return missed[len(missed)-1], skipped + len(missed) - 1
}

// late is how long after its time a firing is not missed yet, but just late.
const late = time.Minute

// fire appends the event of a time, unless another replica has done it.
func (s *Scheduler) fire(ctx context.Context, e *entry, due time.Time) {
	for n := 0; ctx.Err() == nil; n++ {
		if last, err := s.marks.Last(ctx, e.name); err == nil && !last.Before(due) {
			return
		}
		err := s.log.Append(ctx, e.event(due))
		if err == nil {
			if err := s.marks.Fired(ctx, e.name, due); err != nil && ctx.Err() == nil {
				s.c.Logger.Warn("that a schedule has run is not noted: it may be appended again, and dropped as a duplicate", "schedule", e.name, "error", err)
			}
			return
		}
		if n == 0 && ctx.Err() == nil {
			s.c.Logger.Warn("a schedule's event cannot be appended; trying on", "schedule", e.name, "scheduled", due, "error", err)
		}
		s.wait(ctx, backoff(n))
	}
}

// event is what a time of the schedule is to the function.
func (e *entry) event(due time.Time) *event.Event {
	at := due.UTC().Format(time.RFC3339)
	data := []byte(e.spec.Data)
	if len(data) == 0 {
		// Strings make JSON in any case.
		data, _ = json.Marshal(map[string]string{"cron": e.spec.Cron, "timezone": e.spec.Timezone, "scheduled": at})
	}
	return &event.Event{
		ID: at + "/" + e.name, Source: "/schedules/" + e.function, Type: event.TypeSchedule, Subject: e.function,
		Time: at, DataContentType: "application/json", Data: data,
	}
}

func backoff(n int) time.Duration { return min(100*time.Millisecond<<min(n, 8), 10*time.Second) }

// wait is false when ctx ended first.
func (s *Scheduler) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Firing says which schedule an event of the log is a firing of, and of which
// time; e may be nil.
func Firing(e *event.Event) (schedule string, at time.Time, ok bool) {
	if e == nil || e.Type != event.TypeSchedule || e.Source != "/schedules/"+e.Subject {
		return "", time.Time{}, false
	}
	stamp, name, ok := strings.Cut(e.ID, "/")
	at, err := time.Parse(time.RFC3339, stamp)
	return name, at, ok && err == nil
}
