package access

import (
	"math"
	"sync"
	"time"
)

// bucket bounds the events of one identity: rate a second, and a second's worth
// (one, at least) at once. A batch may take more than is there, and then the
// next ones wait until that is made up for; so every batch passes in the end.
type bucket struct {
	rate, burst float64

	mu     sync.Mutex
	tokens float64
	at     time.Time
}

// take takes n, or returns how long there is not one to take. The nil bucket
// is no bound.
func (b *bucket) take(n int, now time.Time) time.Duration {
	if b == nil || n == 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	if b.tokens >= 1 {
		b.tokens -= float64(n)
		return 0
	}
	wait := (1 - b.tokens) / b.rate
	return time.Duration(math.Min(wait, 3600) * float64(time.Second))
}

// empty reports whether there is not one to take.
func (b *bucket) empty(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	return b.tokens < 1
}

// fill puts in what has come since. It is called with the lock held.
func (b *bucket) fill(now time.Time) {
	if b.at.IsZero() {
		b.tokens, b.at = b.burst, now
	}
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.tokens, b.at = min(b.burst, b.tokens+passed*b.rate), now
	}
}

// maxBuckets bounds each of two generations of buckets. An identity that falls
// out of both begins again with a full bucket.
const maxBuckets = 10_000

// buckets finds the bucket of an identity again, whatever it is presented by.
type buckets struct {
	// rate is that of identities that have none of their own; 0 is no bound.
	rate float64

	mu       sync.Mutex
	new, old map[string]*bucket
}

// of returns the bucket of an identity with a rate of its own (0: the common one).
func (s *buckets) of(kind Kind, name string, rate float64) *bucket {
	if rate == 0 {
		rate = s.rate
	}
	if rate == 0 {
		return nil
	}
	key := string(kind) + " " + name
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.new[key]
	if b == nil {
		b = s.old[key]
	}
	if b == nil || b.rate != rate {
		b = &bucket{rate: rate, burst: max(rate, 1)}
	}
	if s.new == nil || len(s.new) >= maxBuckets {
		s.old, s.new = s.new, make(map[string]*bucket)
	}
	s.new[key] = b
	return b
}
