package ledgertest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signalbox-dev/signalbox/ledger"
)

func testChains(t *testing.T, s suite) {
	t.Run("counts each chain by itself", func(t *testing.T) { testChainCounts(t, s) })
	t.Run("replicas count together", func(t *testing.T) { testChainReplicas(t, s) })
	t.Run("calls that are made together are answered each", func(t *testing.T) { testChainCrowd(t, s) })
	t.Run("a chain is forgotten after its time, not before", func(t *testing.T) { testChainTime(t, s) })
	t.Run("a caller who gives up is let go", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		l := open(t, s.fresh(t), nil)
		for range 20 { // either it gets the turn, or it sees that it has ended
			_, _ = l.CountChain(ctx, "c", 1)
		}
		if n := count(t, l, "c", 0); n > 20 {
			t.Errorf("%d counted of at most 20", n)
		}
	})
	t.Run("a number below 0", func(t *testing.T) {
		if _, err := open(t, s.fresh(t), nil).CountChain(t.Context(), "c", -1); err == nil {
			t.Error("no error")
		}
	})
}

func count(t testing.TB, l *ledger.Ledger, chain string, n int) int64 {
	t.Helper()
	total, err := l.CountChain(t.Context(), chain, n)
	if err != nil {
		t.Fatalf("count %s: %v", chain, err)
	}
	return total
}

func testChainCounts(t *testing.T, s suite) {
	l := open(t, s.fresh(t), nil)
	long := strings.Repeat("c", 4000)
	for i, c := range []struct {
		chain string
		n     int
		want  int64
	}{
		{"a", 0, 0}, {"a", 3, 3}, {"a", 1, 4}, {"b", 1, 1}, {"", 2, 2}, {"a", 0, 4}, {long, 7, 7}, {long, 1, 8}, {"c}d{", 1, 1}, {"a", 1 << 30, 4 + 1<<30},
	} {
		if got := count(t, l, c.chain, c.n); got != c.want {
			t.Errorf("%d: %.10s + %d is %d, want %d", i, c.chain, c.n, got, c.want)
		}
	}
}

func testChainReplicas(t *testing.T, s suite) {
	cfg := s.fresh(t)
	a, b := open(t, cfg, nil), open(t, cfg, nil)
	for i := range 10 {
		if n := count(t, []*ledger.Ledger{a, b}[i%2], "c", 2); n != int64(2*i+2) {
			t.Fatalf("after %d calls: %d", i+1, n)
		}
	}
}

// testChainCrowd lets many count at once; every total must be seen by exactly one.
func testChainCrowd(t *testing.T, s suite) {
	const callers, chains, calls = 32, 4, 25
	cfg := s.fresh(t)
	ledgers := []*ledger.Ledger{open(t, cfg, nil), open(t, cfg, nil)}
	var seen [chains][callers*calls/chains + 1]atomic.Int32
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range calls {
				n, err := ledgers[i/chains%2].CountChain(t.Context(), fmt.Sprint(i%chains), 1)
				if err != nil || n < 1 || n >= int64(len(seen[0])) {
					t.Errorf("%d, %v", n, err)
					return
				}
				seen[i%chains][n].Add(1)
			}
		})
	}
	wg.Wait()
	for c := range seen {
		for n := 1; n < len(seen[c]); n++ {
			if k := seen[c][n].Load(); k != 1 {
				t.Fatalf("chain %d: %d calls were told %d", c, k, n)
			}
		}
	}
}

func testChainTime(t *testing.T, s suite) {
	cfg, c := s.fresh(t), new(clock)
	c.set(at(6 * time.Hour))
	cfg.Clock = c.Now
	l := open(t, cfg, nil)
	for _, step := range []struct {
		name string
		move time.Duration
		want int64
	}{
		{"at first", 0, 2},
		{"after a day", 24 * time.Hour, 4},
		{"before the next turn", 17*time.Hour + 59*time.Minute + 30*time.Second, 6},
		{"when the first day is out of sight", time.Minute, 6},
		{"much later", 72 * time.Hour, 2},
	} {
		c.move(step.move)
		if n := count(t, l, "c", 2); n != step.want {
			t.Errorf("%s: %d, want %d", step.name, n, step.want)
		}
	}
	err := eachMaster(t.Context(), client(t, cfg), func(ctx context.Context, n redis.Cmdable) error {
		keys := n.Scan(ctx, 0, cfg.KeyPrefix+"c:*", 1000).Iterator()
		for keys.Next(ctx) {
			if ttl, err := n.PTTL(ctx, keys.Val()).Result(); err != nil || ttl < 24*time.Hour || ttl > 49*time.Hour {
				t.Errorf("%s lives for %s, %v", keys.Val(), ttl, err)
			}
		}
		return keys.Err()
	})
	if err != nil {
		t.Error(err)
	}
}
