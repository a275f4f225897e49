package schedule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// world is what replicas share.
type world struct {
	mu     sync.Mutex
	events []*event.Event
	marks  map[string]time.Time
	// away: the log refuses; forgets: marks are not kept.
	away, forgets bool
}

func (w *world) Append(_ context.Context, e *event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		return errors.New("the log is away")
	}
	w.events = append(w.events, e)
	return nil
}

func (w *world) Last(_ context.Context, schedule string) (time.Time, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.marks[schedule], nil
}

func (w *world) Fired(_ context.Context, schedule string, t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.forgets && t.After(w.marks[schedule]) {
		w.marks[schedule] = t
	}
	return nil
}

// fired are the events by id, with how many copies there are.
func (w *world) fired() (ids []string, copies int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if slices.Contains(ids, e.ID) {
			copies++
		} else {
			ids = append(ids, e.ID)
		}
	}
	return ids, copies
}

func setOf(t *testing.T, schedules string) *resource.Set {
	t.Helper()
	o := resource.Object{APIVersion: resource.APIVersion, Kind: resource.KindFunction, Metadata: resource.Metadata{Name: "digest"}, Spec: []byte(`{"url":"http://f/","schedule":` + schedules + `}`)}
	if faults := o.Validate(); faults != nil {
		t.Fatal(faults)
	}
	set, faults := resource.NewSet(1, []resource.Object{o})
	if faults != nil {
		t.Fatal(faults)
	}
	return &set
}

// start runs a replica until the returned stop.
func (w *world) start(t *testing.T, seed int, set *resource.Set) (s *Scheduler, stop func()) {
	t.Helper()
	c := DefaultConfig()
	c.Logger, c.Rand = slog.New(slog.NewTextHandler(io.Discard, nil)), func() float64 { return float64(seed%10) / 10 }
	s, err := New(c, w, w)
	if err != nil {
		t.Fatal(err)
	}
	s.Update(set)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	return s, func() { cancel(); <-done }
}

func newWorld() *world { return &world{marks: map[string]time.Time{}} }

func TestThreeReplicasFireOnceOverADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := newWorld(), setOf(t, `[{"cron":"*/5 * * * *"},{"cron":"30 6 * * 1-5","timezone":"Europe/Zurich","data":{"a":1}}]`)
		var stops []func()
		for i := range 3 {
			_, stop := w.start(t, 3*i, set)
			stops = append(stops, stop)
		}
		begin := time.Now() // midnight UTC, 2000-01-01, a Saturday
		time.Sleep(72*time.Hour + time.Second)
		for _, stop := range stops {
			stop()
		}
		ids, copies := w.fired()
		if want := 3*24*12 + 1; len(ids) != want || copies != 0 {
			t.Errorf("%d firings and %d copies, want %d and none", len(ids), copies, want)
		}
		monday := begin.Add(2*24*time.Hour + 5*time.Hour + 30*time.Minute).Format(time.RFC3339)
		found := false
		for _, e := range w.events {
			if e.Validate() != nil || e.Subject != "digest" || e.Source != "/schedules/digest" || e.Type != event.TypeSchedule {
				t.Fatalf("%+v", e)
			}
			found = found || e.Time == monday && string(e.Data) == `{"a":1}`
		}
		if !found {
			t.Errorf("nothing at %s", monday)
		}
	})
}

func TestWithoutMarksCopiesAreOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := newWorld(), setOf(t, `[{"cron":"0 * * * *"}]`)
		w.forgets = true
		_, stopA := w.start(t, 0, set)
		_, stopB := w.start(t, 5, set)
		time.Sleep(10*time.Hour + time.Second)
		stopA()
		stopB()
		if ids, copies := w.fired(); len(ids) != 10 || copies != 10 {
			t.Errorf("%d events and %d copies, want 10 of each", len(ids), copies)
		}
	})
}

func TestMissedTimes(t *testing.T) {
	for missed, want := range map[string]string{"": "05", "once": "05", "all": "01 02 03 04 05", "skip": ""} {
		t.Run("missed "+missed, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, set := newWorld(), setOf(t, fmt.Sprintf(`[{"cron":"0 * * * *","missed":%q}]`, missed))
				_, stop := w.start(t, 0, set)
				time.Sleep(time.Second)
				stop()
				for name := range w.name(t, set) {
					w.marks[name] = time.Now().Truncate(time.Hour)
				}
				time.Sleep(5*time.Hour + 30*time.Minute) // nobody runs
				_, stop = w.start(t, 0, set)
				time.Sleep(time.Minute)
				stop()
				if got := w.hours(); got != want {
					t.Errorf("made up for %q, want %q", got, want)
				}
			})
		})
	}
}

// name are the schedules of a set.
func (w *world) name(t *testing.T, set *resource.Set) map[string]entry {
	s, err := New(DefaultConfig(), w, w)
	if err != nil {
		t.Fatal(err)
	}
	s.Update(set)
	return s.wanted
}

func (w *world) hours() string {
	var all []string
	for _, e := range w.events {
		all = append(all, e.Time[11:13])
	}
	return strings.Join(all, " ")
}

func TestANewScheduleHasMissedNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		time.Sleep(30 * time.Minute)
		_, stop := w.start(t, 0, setOf(t, `[{"cron":"0 * * * *","missed":"all"}]`))
		time.Sleep(10 * time.Minute)
		stop()
		if len(w.events) != 0 {
			t.Errorf("%d events", len(w.events))
		}
	})
}

func TestALogThatIsAwayDelaysAFiring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.away = true
		_, stop := w.start(t, 0, setOf(t, `[{"cron":"0 1 * * *"},{"cron":"0 * * * *","timezone":"Asia/Tokyo"}]`))
		time.Sleep(time.Hour + 20*time.Second)
		w.mu.Lock()
		w.away = false
		w.mu.Unlock()
		time.Sleep(20 * time.Second)
		stop()
		if ids, copies := w.fired(); len(ids) != 2 || copies != 0 {
			t.Errorf("%v and %d copies", ids, copies)
		}
	})
}

func TestSchedulesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s, stop := w.start(t, 0, setOf(t, `[{"cron":"0 * * * *","data":1}]`))
		time.Sleep(time.Hour + time.Second)
		s.Update(setOf(t, `[{"cron":"0 * * * *","data":2},{"cron":"30 * * * *"}]`))
		time.Sleep(time.Hour)
		s.Update(setOf(t, `[]`))
		time.Sleep(5 * time.Hour)
		stop()
		var data []string
		for _, e := range w.events {
			data = append(data, string(e.Data[:1]))
		}
		if got := strings.Join(data, " "); got != "1 { 2" {
			t.Errorf("%s", got)
		}
	})
}

// The night on which the clocks go back and forth in Zurich.
func TestTheClockGoesBackAndForth(t *testing.T) {
	for name, c := range map[string]struct{ cron, from, want string }{
		"a time that is skipped":       {"30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"},
		"a time that comes twice":      {"30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"},
		"after it came the first time": {"30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		"every hour, both times":       {"15 * * * *", "2026-10-25T00:20:00Z", "2026-10-25T01:15:00Z"},
		"a zone with half hours":       {"0 9 * * *", "2026-01-01T00:00:00Z", "2026-01-01T08:00:00Z"},
		"a day of every fourth year":   {"0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-28T23:00:00Z"},
	} {
		s := resource.Schedule{Cron: c.cron, Timezone: "Europe/Zurich"}
		times, err := s.Times()
		if err != nil {
			t.Fatal(err)
		}
		from, _ := time.Parse(time.RFC3339, c.from)
		if got := times.Next(from).Format(time.RFC3339); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestAFiringIsKnownInTheLog(t *testing.T) {
	w := newWorld()
	for name, e := range w.name(t, setOf(t, `[{"cron":"0 * * * *"}]`)) {
		due := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
		if got, at, ok := Firing(e.event(due)); !ok || got != name || !at.Equal(due) {
			t.Errorf("%s %s %t", got, at, ok)
		}
	}
	for _, e := range []*event.Event{nil, {Type: event.TypeSchedule, ID: "x/digest/1", Source: "/schedules/digest", Subject: "digest"}, {Type: "t", ID: "2026-01-02T03:00:00Z/digest/1"}} {
		if _, _, ok := Firing(e); ok {
			t.Errorf("%+v", e)
		}
	}
}
