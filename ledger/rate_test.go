package ledger_test

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/signalbox-dev/signalbox/ledger"
)

// TestRateInRedisTime moves the time of Redis by hand.
func TestRateInRedisTime(t *testing.T) {
	type step struct {
		after time.Duration
		rate  float64
		want  int
		got   int
	}
	for name, steps := range map[string][]step{
		"a new name begins with one permit": {{0, 100, 10, 1}, {0, 100, 10, 0}, {10 * time.Millisecond, 100, 10, 1}},
		"a burst is a tenth of a second": {
			{0, 100, 50, 1}, {time.Hour, 100, 50, 10}, {0, 100, 50, 0}, {50 * time.Millisecond, 100, 50, 5},
		},
		"no more than wanted": {{0, 100, 1, 1}, {time.Second, 100, 4, 4}, {0, 100, 20, 6}},
		"a low rate gives one at a time, and forgives who comes late": {
			{0, 4, 5, 1}, {249 * time.Millisecond, 4, 5, 0}, {time.Millisecond, 4, 5, 1}, {290 * time.Millisecond, 4, 5, 1}, {210 * time.Millisecond, 4, 5, 1},
		},
		"not more often than one permit in its time, after any pause": {{0, 4, 5, 1}, {time.Hour, 4, 5, 1}, {199 * time.Millisecond, 4, 5, 0}, {time.Millisecond, 4, 5, 1}},
		"a higher rate counts at once":                                {{0, 1, 10, 1}, {100 * time.Millisecond, 1000, 1000, 100}},
		"a lower rate keeps no larger burst": {
			{0, 1000, 10, 1}, {time.Second, 1000, 10, 10}, {0, 10, 10, 1}, {49 * time.Millisecond, 10, 10, 0}, {51 * time.Millisecond, 10, 10, 1},
		},
		"a clock that goes back stops nothing": {{0, 10, 1, 1}, {-time.Hour, 10, 1, 0}, {100 * time.Millisecond, 10, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			redis, l := openMiniredis(t)
			now := time.Unix(1_800_000_000, 123_000)
			for i, s := range steps {
				now = now.Add(s.after)
				redis.SetTime(now)
				got, wait, err := l.TakeRate(t.Context(), "f", s.rate, s.want)
				if got != s.got || err != nil || (wait == 0) != (got == s.want) {
					t.Errorf("step %d: %d permits, wait %s, %v; want %d", i, got, wait, err, s.got)
				}
			}
		})
	}
}

// TestRateWait checks that who comes back when told to gets something, and
// that nothing is lost on the way.
func TestRateWait(t *testing.T) {
	for _, rate := range []float64{0.001, 0.9, 7, 10, 19.9, 20, 333.3, 1e6} {
		redis, l := openMiniredis(t)
		begin := time.Unix(1_800_000_000, 0)
		now, taken := begin, 0
		for range 300 {
			redis.SetTime(now)
			n, wait, err := l.TakeRate(t.Context(), "f", rate, 1<<30)
			if err != nil || wait <= 0 || wait > time.Second+20*time.Millisecond {
				t.Fatalf("rate %v: %d, %s, %v", rate, n, wait, err)
			}
			if n == 0 && now != begin && wait < time.Second/2 && rate > 2 {
				t.Errorf("rate %v: nothing after the wait", rate)
			}
			taken += n
			now = now.Add(wait)
		}
		if want := rate*now.Sub(begin).Seconds() + 1; float64(taken) > want || float64(taken) < want-max(2, rate*0.08) {
			t.Errorf("rate %v: %d permits in %s, want %.1f", rate, taken, now.Sub(begin), want)
		}
	}
}

func openMiniredis(t *testing.T) (*miniredis.Miniredis, *ledger.Ledger) {
	t.Helper()
	redis := miniredis.RunT(t)
	l, err := ledger.Open(t.Context(), configOf("redis://"+redis.Addr()), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return redis, l
}
