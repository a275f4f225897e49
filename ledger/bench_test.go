package ledger

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// batchOf is n records that nobody has claimed, the i-th batch of its kind.
func batchOf(recs []event.Record, batch int) {
	for i := range recs {
		n := batch*len(recs) + i
		recs[i] = event.Record{
			Position: event.Position{Partition: int32(n % 12), Offset: int64(n)},
			Event:    &event.Event{Source: "/shop/orders/eu-west", ID: fmt.Sprintf("018f3c1e-7b6a-7000-8000-%012d", n)},
		}
	}
}

// BenchmarkClaim needs REDIS_URL, a Redis that may be filled; ns/op is wall
// time per record, so the process's CPU time is reported beside it.
func BenchmarkClaim(b *testing.B) {
	url := os.Getenv("REDIS_URL")
	if url == "" {
		b.Skip("REDIS_URL is not set")
	}
	for _, size := range []int{1, 10, 100, 500} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			cfg := DefaultConfig()
			cfg.URL, cfg.KeyPrefix = url, fmt.Sprintf("bench-%d:", time.Now().UnixNano())
			l, err := Open(b.Context(), cfg, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			benchmarkClaims(b, size, l.Claim)
		})
	}
}

func BenchmarkMemoryClaim(b *testing.B) {
	benchmarkClaims(b, 100, NewMemoryDedup(time.Hour, 1<<20).Claim)
}

// BenchmarkMemoryPerID fills b.N ids, at least a million (-benchtime 1000000x),
// and reports how much more memory Redis uses, for ids in few and in many buckets.
func BenchmarkMemoryPerID(b *testing.B) {
	url := os.Getenv("REDIS_URL")
	if url == "" {
		b.Skip("REDIS_URL is not set")
	}
	for _, perBucket := range []int{1, 4, 16, 100, 400, 1000} {
		b.Run(fmt.Sprintf("per-bucket=%d", perBucket), func(b *testing.B) {
			cfg := DefaultConfig()
			cfg.URL, cfg.KeyPrefix, cfg.DedupBuckets = url, fmt.Sprintf("m%d:sgnlbx:", perBucket), max(shards, b.N/perBucket)
			l, err := Open(b.Context(), cfg, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			before := usedMemory(b, l)
			benchmarkClaims(b, 200, l.Claim)
			b.ReportMetric(float64(usedMemory(b, l)-before)/float64((b.N/200+1)*200), "redis-B/id")
		})
	}
}

func usedMemory(b *testing.B, l *Ledger) (n int64) {
	info, err := l.client.Info(b.Context(), "memory").Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			n, err = strconv.ParseInt(v, 10, 64)
		}
	}
	if err != nil || n == 0 {
		b.Fatalf("used_memory: %d, %v", n, err)
	}
	return n
}

// BenchmarkFill prepares requests without sending them.
func BenchmarkFill(b *testing.B) {
	w := windows{prefix: "signalbox:d:{", window: 24 * time.Hour, buckets: 1 << 18}
	recs, x := make([]event.Record, 100), new(batch)
	batchOf(recs, 0)
	b.ReportAllocs()
	for range b.N/100 + 1 {
		x.fill(&w, recs, time.Now(), false)
	}
}

// benchmarkClaims claims b.N records by batches, and reports our CPU time per record.
func benchmarkClaims(b *testing.B, size int, claim func(context.Context, []event.Record, []event.Verdict) error) {
	recs, out := make([]event.Record, size), make([]event.Verdict, size)
	b.ReportAllocs()
	var cpu time.Duration
	for i := range b.N/size + 1 {
		b.StopTimer()
		batchOf(recs, i)
		before := cpuTime()
		b.StartTimer()
		if err := claim(b.Context(), recs, out); err != nil {
			b.Fatal(err)
		}
		cpu += cpuTime() - before
	}
	b.ReportMetric(float64(cpu)/float64((b.N/size+1)*size), "cpu-ns/record")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
