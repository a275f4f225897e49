package ledgertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/ledger"
)

// Deduper is what RunDedup tests: the Ledger and ledger.MemoryDedup.
type Deduper interface {
	Claim(ctx context.Context, recs []event.Record, out []event.Verdict) error
	Lookup(ctx context.Context, source, id string) (event.Position, bool, error)
}

// RunDedup tests the verdicts of deduplication. make returns one that has seen nothing.
func RunDedup(t *testing.T, make func(testing.TB) Deduper) {
	t.Run("verdicts", func(t *testing.T) { testVerdicts(t, make(t)) })
	t.Run("a large call", func(t *testing.T) { testLargeClaim(t, make(t)) })
	t.Run("one of many gets the first sight", func(t *testing.T) { d := make(t); testFirstSightOnce(t, d, d) })
}

// record is an event record.
func record(source, id string, partition int32, offset int64) event.Record {
	return event.Record{
		Position: event.Position{Partition: partition, Offset: offset},
		Event:    &event.Event{Source: source, ID: id, Type: "t"},
	}
}

func claim(t testing.TB, d Deduper, recs ...event.Record) []event.Verdict {
	t.Helper()
	out := make([]event.Verdict, len(recs))
	for i := range out {
		out[i] = 77 // what an earlier call left there
	}
	if err := d.Claim(t.Context(), recs, out); err != nil {
		t.Fatalf("claim: %v", err)
	}
	return out
}

func testVerdicts(t *testing.T, d Deduper) {
	const first, again, dup = event.FirstSight, event.Redelivery, event.Duplicate
	for _, c := range []struct {
		name string
		recs []event.Record
		want []event.Verdict
	}{
		{"new", []event.Record{record("/s", "1", 0, 0), record("/s", "2", 3, 1<<40)}, []event.Verdict{first, first}},
		{"the same coordinates again", []event.Record{record("/s", "2", 3, 1<<40), record("/s", "1", 0, 0)}, []event.Verdict{again, again}},
		{"another offset", []event.Record{record("/s", "1", 0, 1)}, []event.Verdict{dup}},
		{"another partition", []event.Record{record("/s", "1", 1, 0)}, []event.Verdict{dup}},
		{"another source", []event.Record{record("/t", "1", 0, 2)}, []event.Verdict{first}},
		{"source and id divided otherwise", []event.Record{record("/s1", "", 0, 3), record("/", "s1", 0, 4)}, []event.Verdict{first, first}},
		{"twice in one call", []event.Record{record("/s", "3", 0, 5), record("/s", "3", 0, 6), record("/s", "3", 0, 5)}, []event.Verdict{first, dup, again}},
		{"no event", []event.Record{{Position: event.Position{Offset: 7}}, record("/s", "4", 0, 8)}, []event.Verdict{first, first}},
		{"nothing", nil, nil},
		{"a long source and id", []event.Record{record(strings.Repeat("s", 2000), strings.Repeat("i", 2000), 0, 9)}, []event.Verdict{first}},
		{"a large partition", []event.Record{record("/s", "5", 1<<31-1, 1<<62), record("/s", "5", 1<<31-1, 1<<62)}, []event.Verdict{first, again}},
	} {
		if got := claim(t, d, c.recs...); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	for id, want := range map[string]event.Position{"1": {}, "2": {Partition: 3, Offset: 1 << 40}, "3": {Offset: 5}, "5": {Partition: 1<<31 - 1, Offset: 1 << 62}} {
		if got, ok, err := d.Lookup(t.Context(), "/s", id); got != want || !ok || err != nil {
			t.Errorf("lookup %s: %v %v %v, want %v", id, got, ok, err, want)
		}
	}
	if got, ok, err := d.Lookup(t.Context(), "/s", "nobody"); ok || err != nil {
		t.Errorf("lookup of an id nobody claimed: %v %v %v", got, ok, err)
	}
}

func testLargeClaim(t *testing.T, d Deduper) {
	recs := make([]event.Record, 1000)
	for i := range recs {
		recs[i] = record("/s", fmt.Sprint(i), 0, int64(i))
	}
	for round, want := range []event.Verdict{event.FirstSight, event.Redelivery} {
		for i, v := range claim(t, d, recs...) {
			if v != want {
				t.Fatalf("round %d, record %d: %v, want %v", round, i, v, want)
			}
		}
	}
}

// testFirstSightOnce lets 8 dispatchers claim the same ids at other coordinates at once.
func testFirstSightOnce(t *testing.T, a, b Deduper) {
	const claimers, ids = 8, 300
	var firsts [ids]atomic.Int32
	var wg sync.WaitGroup
	for c := range claimers {
		wg.Go(func() {
			recs, out := make([]event.Record, ids), make([]event.Verdict, ids)
			for i := range recs {
				recs[i] = record("/s", fmt.Sprint(i), int32(c), int64(i))
			}
			d := []Deduper{a, b}[c%2]
			for from := 0; from < ids; from += 50 {
				if err := d.Claim(t.Context(), recs[from:from+50], out[from:from+50]); err != nil {
					t.Error(err)
				}
			}
			for i, v := range out {
				if v == event.FirstSight {
					firsts[i].Add(1)
				}
			}
		})
	}
	wg.Wait()
	for i := range firsts {
		if n := firsts[i].Load(); n != 1 {
			t.Fatalf("id %d: %d first sights", i, n)
		}
	}
}

func testClaims(t *testing.T, s suite) {
	RunDedup(t, func(t testing.TB) Deduper { return open(t, s.fresh(t), nil) })
	t.Run("one of many replicas gets the first sight", func(t *testing.T) {
		cfg := s.fresh(t)
		testFirstSightOnce(t, open(t, cfg, nil), open(t, cfg, nil))
	})
	t.Run("ids are forgotten after the window, not before", func(t *testing.T) { testWindows(t, s) })
	t.Run("clocks may differ around the turn of a window", func(t *testing.T) { testSkew(t, s) })
	t.Run("buckets expire", func(t *testing.T) { testExpiry(t, s) })
	t.Run("no room for the verdicts", func(t *testing.T) {
		if err := open(t, s.fresh(t), nil).Claim(t.Context(), make([]event.Record, 2), make([]event.Verdict, 1)); err == nil {
			t.Error("no error")
		}
	})
}

// clock is a time that the test moves.
type clock struct{ ns atomic.Int64 }

func (c *clock) Now() time.Time            { return time.Unix(0, c.ns.Load()) }
func (c *clock) set(at time.Time)          { c.ns.Store(at.UnixNano()) }
func (c *clock) move(d time.Duration)      { c.ns.Add(int64(d)) }
func at(d time.Duration) (start time.Time) { return time.Unix(0, 0).Add(20000*24*time.Hour + d) }

func testWindows(t *testing.T, s suite) {
	cfg, c := s.fresh(t), new(clock)
	cfg.Clock, cfg.DedupWindow = c.Now, 24*time.Hour
	c.set(at(6 * time.Hour))
	l := open(t, cfg, nil)
	first, other := record("/s", "1", 0, 1), record("/s", "1", 0, 2)
	for _, step := range []struct {
		name string
		move time.Duration
		want event.Verdict
	}{
		{"at first", 0, event.FirstSight},
		{"at once", 0, event.Duplicate},
		{"after a window", 24 * time.Hour, event.Duplicate},
		{"at the end of the next window", 17*time.Hour + 59*time.Minute + 30*time.Second, event.Duplicate},
		{"in the window after", time.Hour, event.FirstSight},
	} {
		c.move(step.move)
		rec := other
		if step.want == event.FirstSight {
			rec = first
		}
		if got := claim(t, l, rec)[0]; got != step.want {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
		if p, ok, err := l.Lookup(t.Context(), "/s", "1"); p != first.Position || !ok || err != nil {
			t.Errorf("%s: lookup %v %v %v", step.name, p, ok, err)
		}
	}
}

func testSkew(t *testing.T, s suite) {
	cfg, ahead, behind := s.fresh(t), new(clock), new(clock)
	ahead.set(at(10 * time.Second))
	behind.set(at(-10 * time.Second))
	cfg.Clock = ahead.Now
	a := open(t, cfg, nil)
	cfg.Clock = behind.Now
	b := open(t, cfg, nil)
	for i, pair := range [][2]*ledger.Ledger{{a, b}, {b, a}} {
		id := fmt.Sprint(i)
		one, two := claim(t, pair[0], record("/s", id, 0, 1))[0], claim(t, pair[1], record("/s", id, 0, 2))[0]
		if one != event.FirstSight || two != event.Duplicate {
			t.Errorf("%d: %v then %v, want first then duplicate", i, one, two)
		}
		if p, ok, err := pair[1].Lookup(t.Context(), "/s", id); p.Offset != 1 || !ok || err != nil {
			t.Errorf("%d: lookup %v %v %v", i, p, ok, err)
		}
	}
}

// testExpiry checks that every bucket lives until its window is not looked into
// any more, and not much longer.
func testExpiry(t *testing.T, s suite) {
	cfg, c := s.fresh(t), new(clock)
	c.set(at(6 * time.Hour))
	cfg.Clock = c.Now
	recs := make([]event.Record, 300)
	for i := range recs {
		recs[i] = record("/s", fmt.Sprint(i), 0, int64(i))
	}
	cfg.DedupBuckets = 256
	claim(t, open(t, cfg, nil), recs...)
	var mu sync.Mutex
	buckets := 0
	err := eachMaster(t.Context(), client(t, cfg), func(ctx context.Context, n redis.Cmdable) error {
		keys := n.Scan(ctx, 0, cfg.KeyPrefix+"d:*", 1000).Iterator()
		for keys.Next(ctx) {
			ttl, err := n.PTTL(ctx, keys.Val()).Result()
			if err != nil {
				return err
			}
			mu.Lock()
			buckets++
			mu.Unlock()
			if ttl < 41*time.Hour || ttl > 43*time.Hour {
				t.Errorf("%s lives for %s, want some 42h", keys.Val(), ttl)
			}
		}
		return keys.Err()
	})
	if err != nil || buckets == 0 || buckets > 256 {
		t.Errorf("%d buckets, %v", buckets, err)
	}
}
