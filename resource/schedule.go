package resource

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule runs a function at certain times, each through an event of type
// signalbox.schedule.
type Schedule struct {
	// Cron is five fields (minute, hour, day of month, month, day of week) or one
	// of @hourly, @daily, @weekly, @monthly, @yearly.
	Cron string `json:"cron"`
	// Timezone is the name of a time zone of the IANA database; default UTC.
	Timezone string `json:"timezone,omitempty"`
	// Data is the event's data; default an object with cron, timezone and scheduled.
	Data json.RawMessage `json:"data,omitempty"`
	// Missed says what becomes of times at which no dispatcher ran: once (default)
	// makes up for the last one, all for each of them, skip for none.
	Missed string `json:"missed,omitempty"`
}

// What becomes of times that were missed.
const (
	MissedOnce = "once"
	MissedAll  = "all"
	MissedSkip = "skip"
)

// Times computes when a schedule runs.
type Times interface {
	// Next is the first time after t; zero is never.
	Next(t time.Time) time.Time
}

// cronParser takes the five fields of cron(5) and the names of common times.
// @every is left out: its times would depend on when somebody began to count.
var cronParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// Times parses the schedule. The error says what is wrong, and with which field.
func (s *Schedule) Times() (Times, error) {
	zone := s.Timezone
	if zone == "" {
		zone = "UTC"
	}
	location, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return nil, fmt.Errorf("timezone %q: want a name such as Europe/Zurich", s.Timezone)
	}
	if strings.Contains(s.Cron, "TZ=") {
		return nil, fmt.Errorf("cron %q: want %s; the zone goes into timezone", s.Cron, cronForms)
	}
	named := strings.HasPrefix(s.Cron, "@")
	if n := len(strings.Fields(s.Cron)); !named && n != 5 {
		return nil, fmt.Errorf("cron %q: %d fields: want %s", s.Cron, n, cronForms)
	}
	spec, err := cronParser.Parse(s.Cron)
	switch {
	case named && (err != nil || strings.HasPrefix(s.Cron, "@every")):
		return nil, fmt.Errorf("cron %q: want %s", s.Cron, cronForms)
	case err != nil:
		return nil, fmt.Errorf("cron %q: %w", s.Cron, err)
	case spec.Next(anyTime).IsZero():
		return nil, fmt.Errorf("cron %q: there is no such day in any year", s.Cron)
	}
	return zoned{spec, location}, nil
}

// cronForms says what a schedule may be.
const cronForms = "five fields (minute, hour, day of month, month, day of week), or @hourly, @daily, @weekly, @monthly, @yearly"

// anyTime is a time from which a schedule that runs at all does so within the
// years that package cron looks at: the next leap year is not far.
var anyTime = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

type zoned struct {
	spec     cron.Schedule
	location *time.Location
}

func (z zoned) Next(t time.Time) time.Time {
	for next := z.spec.Next(t.In(z.location)); ; next = z.spec.Next(next) {
		switch {
		case next.IsZero():
			return next
		case !z.everyHour() && again(next):
			continue // at this hour it has run when the clock showed it first
		}
		return next.UTC()
	}
}

// everyHour reports whether the hour is *: such schedules run in both hours
// that the clock shows twice in autumn.
func (z zoned) everyHour() bool {
	const star = 1 << 63 // how package cron marks a field that is *
	s, ok := z.spec.(*cron.SpecSchedule)
	return ok && s.Hour&star != 0
}

// again reports whether the clock of t's zone has shown the same time before,
// within the hours by which clocks go back.
func again(t time.Time) bool {
	for _, back := range [...]time.Duration{30 * time.Minute, time.Hour, 2 * time.Hour} {
		before := t.Add(-back)
		if before.Hour() == t.Hour() && before.Minute() == t.Minute() && before.Day() == t.Day() {
			return true
		}
	}
	return false
}

func validateSchedules(f *Faults, all []Schedule) {
	const most = 50
	if len(all) > most {
		f.add("spec.schedule", "%d schedules: want at most %d", len(all), most)
	}
	seen := map[string]bool{}
	for i := range all {
		s, field := &all[i], index("spec.schedule", i)
		switch _, err := s.Times(); {
		case err != nil:
			f.add(field, "%v", err)
		case seen[s.Cron+" "+s.Timezone]:
			f.add(field, "%q stands twice", s.Cron)
		}
		seen[s.Cron+" "+s.Timezone] = true
		switch s.Missed {
		case "", MissedOnce, MissedAll, MissedSkip:
		default:
			f.add(field+".missed", "%q: want once, all or skip", s.Missed)
		}
	}
}
