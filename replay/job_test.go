package replay

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

func again(link, from string) *resource.Replay {
	return &resource.Replay{
		Metadata: resource.Metadata{Name: "r", UID: resource.NewUID(time.Now())},
		Spec:     resource.ReplaySpec{Link: link, From: from, To: time.Now().Format(time.RFC3339Nano)},
	}
}

// history emits n events a partition, a minute apart.
func (w *world) history(n int) {
	for range n {
		for p := range w.events {
			w.emit(int32(p), "t")
		}
		pass(time.Minute)
	}
	for p := range w.events {
		w.settled[p] = int64(len(w.events[p]))
	}
}

func (w *world) sent() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.replays["r"]
}

func TestReplaySendsTheRangeToItsLink(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*resource.ReplaySpec, time.Time)
		want   int
	}{
		{"from the earliest until its creation", func(*resource.ReplaySpec, time.Time) {}, 20},
		{"from a time", func(s *resource.ReplaySpec, begin time.Time) {
			s.From = begin.Add(3 * time.Minute).Format(time.RFC3339Nano)
		}, 14},
		{"to a time", func(s *resource.ReplaySpec, begin time.Time) {
			s.To = begin.Add(3 * time.Minute).Format(time.RFC3339Nano)
		}, 6},
		{"where something holds", func(s *resource.ReplaySpec, _ time.Time) { s.Where = "other" }, 0},
		{"where it holds for all", func(s *resource.ReplaySpec, _ time.Time) { s.Where = "t" }, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				w, begin := newWorld(t, 2), time.Now()
				w.history(10)
				r := again("a", "earliest")
				c.change(&r.Spec, begin)
				a := link("a", "t")
				w.use([]*resource.Link{a, link("b", "t")})
				x := w.begin()
				w.emit(0, "t") // later than the replay
				x.use(w.set.Links, r)
				pass(5 * time.Second)
				if n := w.sent(); n != c.want {
					t.Errorf("%d sent, want %d", n, c.want)
				}
				s := w.finished["r"]
				if s.State != resource.ReplayDone || s.PartitionsDone != 2 || s.Done != s.Total || s.Parked != int64(c.want) || s.Finished.IsZero() {
					t.Errorf("finished with %+v", s)
				}
				w.wants("b", "", "")
				// Recorded as done, it does not begin again, and its cursor goes.
				r2 := *r
				r2.Status = s
				x.use(w.set.Links, &r2)
				pass(time.Hour)
				if n := w.sent(); n != c.want || len(w.cursors) > 0 {
					t.Errorf("%d sent in the end, cursors %v", n, w.cursors)
				}
				x.release()
			})
		})
	}
}

func TestReplayGoesOnWithTheSameRangeAfterACrash(t *testing.T) {
	virtual(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.history(1000)
		w.parkDelay = 100 * time.Millisecond
		w.use([]*resource.Link{link("a", "t")}, again("a", "earliest"))
		small := func(c *Config, _ *Parts) { c.Batch, c.ChunkRecords = 10, 100 }
		x := w.beginWith(small)
		pass(5 * time.Second)
		if n := w.sent(); n < 100 || n > 900 {
			t.Fatalf("%d sent: want a part", n)
		}
		x.crash()
		for range 50 {
			w.emit(0, "t") // not of the range
		}
		w.parkDelay = 0
		before := w.sent()
		x = w.beginWith(small)
		pass(5 * time.Second)
		if n := w.sent(); n < 1000 || n > 1000+before-100 && n > 1110 {
			t.Errorf("%d sent, want 1000 and few twice", n)
		}
		if s := w.finished["r"]; s.Total != 1000 || s.State != resource.ReplayDone {
			t.Errorf("finished with %+v", s)
		}
		x.release()
	})
}

func TestDeletingAReplayCancelsIt(t *testing.T) {
	virtual(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.history(500)
		r := again("a", "earliest")
		r.Spec.Rate = 10
		w.use([]*resource.Link{link("a", "t")}, r)
		x := w.begin()
		pass(5 * time.Second)
		x.use(w.set.Links)
		pass(time.Second)
		n := w.sent()
		pass(time.Hour)
		if n < 40 || n > 60 || w.sent() != n {
			t.Errorf("%d sent, %d in the end", n, w.sent())
		}
		if len(w.cursors) > 0 || len(w.finished) > 0 {
			t.Errorf("cursors %v, finished %v", w.cursors, w.finished)
		}
		x.release()
	})
}

func TestReplayHoldsItsRate(t *testing.T) {
	for _, c := range []struct {
		name  string
		rates Rates
	}{{"alone", nil}, {"over all", &permits{}}, {"with nobody counting", &permits{err: errors.New("away")}}} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				w := newWorld(t, 4)
				w.history(500)
				r := again("a", "earliest")
				r.Spec.Rate = 20
				w.use([]*resource.Link{link("a", "t")}, r)
				x := w.beginWith(func(_ *Config, p *Parts) { p.Rates = c.rates })
				pass(50 * time.Second)
				if n := w.sent(); n < 950 || n > 1050 {
					t.Errorf("%d sent in 50 s, want 20 a second", n)
				}
				status, err := Status(t.Context(), w, 4, r)
				if err != nil || status.State != resource.ReplayRunning || status.Total != 2000 || status.Parked < 900 || status.Done < status.Parked {
					t.Errorf("status %+v, %v", status, err)
				}
				x.release()
			})
		})
	}
}

// permits grants a rate, smoothly.
type permits struct {
	err  error
	turn sync.Mutex
	next time.Time
}

func (p *permits) Take(_ context.Context, _ string, rate float64, want int) (int, time.Duration, error) {
	if p.err != nil {
		return 0, 0, p.err
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	now := time.Now()
	if p.next.After(now) {
		return 0, p.next.Sub(now), nil
	}
	p.next = now.Add(time.Duration(float64(want) / rate * float64(time.Second)))
	return want, 0, nil
}

func TestReplayWaitsForItsLink(t *testing.T) {
	virtual(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.history(10)
		a := link("a", "t")
		w.use([]*resource.Link{paused(a)}, again("a", "earliest"))
		x := w.begin()
		pass(time.Hour)
		if n := w.sent(); n != 0 {
			t.Errorf("%d sent to a paused link", n)
		}
		if _, replays := x.Left(); len(replays) != 1 || replays["r"] != 10 {
			t.Errorf("left %v, want all 10", replays)
		}
		x.use([]*resource.Link{resumed(a)}, w.set.Replays...)
		pass(5 * time.Second)
		if n := w.sent(); n != 10 {
			t.Errorf("%d sent, want 10", n)
		}
		x.release()
	})
}

func TestReplayTellsOfWhatRetentionRemoved(t *testing.T) {
	virtual(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.history(100)
		r := again("a", "earliest")
		w.use([]*resource.Link{paused(link("a", "t"))}, r)
		x := w.begin()
		pass(time.Second)
		w.mu.Lock()
		w.start[0] = 30
		w.mu.Unlock()
		x.use([]*resource.Link{resumed(w.set.Links[0])}, r)
		pass(5 * time.Second)
		if s := w.finished["r"]; s.Missing != 30 || s.Parked != 70 || s.Total != 100 {
			t.Errorf("finished with %+v", s)
		}
		x.release()
	})
}

func TestWhatCannotBeParkedIsTriedAgainOrToldOf(t *testing.T) {
	virtual(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.history(100)
		n := 0
		w.failing = func(what string) error {
			if what != "park" {
				return nil
			}
			switch n++; {
			case n == 5:
				return ErrTooLarge
			case n%10 == 0:
				return errors.New("full")
			}
			return nil
		}
		w.use([]*resource.Link{link("a", "t")}, again("a", "earliest"))
		x := w.begin()
		pass(time.Minute)
		if s := w.finished["r"]; s.Unsent != 1 || s.Parked != 99 || w.sent() != 99 {
			t.Errorf("finished with %+v, %d sent", s, w.sent())
		}
		x.release()
	})
}

func TestAnOrderedKeyIsNeverOvertaken(t *testing.T) {
	virtual(t, func(t *testing.T) {
		w := newWorld(t, 1)
		a := link("a", "t")
		a.Spec.Order = resource.OrderKey
		w.use([]*resource.Link{paused(a)})
		x := w.begin()
		for i := range 200 {
			w.emit(0, "t")
			w.events[0][i].Message.Key = []byte{byte(i % 5)}
		}
		x.consume(0)
		n := 0
		w.failing = func(what string) error {
			if n++; what == "park" && n%7 == 0 {
				return errors.New("full")
			}
			return nil
		}
		w.parkDelay = time.Millisecond
		x.use([]*resource.Link{resumed(a)})
		pass(10 * time.Minute)
		w.atLeastOnce("a", 5) // again where bringing it near the live stream was given up
		last, seen := map[byte]int64{}, map[string]bool{}
		for _, id := range w.parked["a"] {
			if seen[id] {
				continue
			}
			seen[id] = true
			pos, err := event.ParsePosition(id)
			if err != nil {
				t.Fatal(err)
			}
			k := byte(pos.Offset % 5)
			if before, ok := last[k]; ok && before > pos.Offset {
				t.Errorf("%d after %d", pos.Offset, before)
			}
			last[k] = pos.Offset
		}
		x.release()
	})
}

func TestConfigurationFaultsAreAllTold(t *testing.T) {
	_, err := New(Config{}, Parts{})
	if err == nil {
		t.Fatal("taken")
	}
	w := newWorld(t, 1)
	cfg := DefaultConfig()
	cfg.Batch, cfg.Readers = 0, 0
	_, err = New(cfg, Parts{Log: w})
	if err == nil || !slices.ContainsFunc([]string{"Batch 0: want 1 to 10000\nReaders 0: want 1 to 1000"}, func(s string) bool { return err.Error() == "replay: "+s }) {
		t.Errorf("got %v", err)
	}
}

func TestNotesOfCursorsAreShort(t *testing.T) {
	h := nothing()
	for i := range int64(1000) {
		at := i * 1e12
		h = h.holding(at)
		h = h.goneLive(at + 1)
	}
	h = h.holding(1e16)
	c := h.cursor()
	if len(c.Metadata) > 1000 {
		t.Errorf("%d bytes", len(c.Metadata))
	}
	back, err := parseHeld(c)
	if err != nil || back.from != h.from || back.at != h.at || !slices.Equal(back.sent, h.sent) {
		t.Errorf("%+v came back as %+v, %v", h, back, err)
	}
}
