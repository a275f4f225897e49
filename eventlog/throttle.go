package eventlog

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// throttleMemory is how long after the last word of a broker its quota counts as felt.
	throttleMemory = 2 * time.Second
	// throttleSample is the shortest time over which a rate is taken.
	throttleSample = 500 * time.Millisecond
)

// throttle knows how a broker's quota holds this process back. It is a hook of
// the client, which itself waits for as long as it is told to.
type throttle struct {
	// acked counts bytes of appends that were acknowledged.
	acked atomic.Int64
	// until (Unix nanoseconds, 0 never) is when the broker takes more; rate is
	// what came through lately, in bytes a second, 0 while it is not known.
	until, rate atomic.Int64

	// mu guards the beginning of the sample that is being taken.
	mu        sync.Mutex
	began     time.Time
	beganFrom int64
}

// OnBrokerThrottle implements kgo.HookBrokerThrottle. It is not told which
// request was answered: on this client nearly all are appends.
func (t *throttle) OnBrokerThrottle(_ kgo.BrokerMetadata, interval time.Duration, _ bool) {
	t.told(time.Now(), interval)
}

// told notes that a broker wants to be left alone for a while.
func (t *throttle) told(now time.Time, interval time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	passed, acked := now.Sub(t.began), t.acked.Load()
	switch until := time.Unix(0, t.until.Load()); {
	case now.Sub(until) > throttleMemory: // a new time of being throttled
		t.rate.Store(0)
		t.began, t.beganFrom = now, acked
	case passed >= throttleSample:
		rate := float64(acked-t.beganFrom) / passed.Seconds()
		if old := t.rate.Load(); old > 0 {
			rate = (rate + float64(old)) / 2
		}
		t.rate.Store(max(1, int64(rate)))
		t.began, t.beganFrom = now, acked
	}
	t.until.Store(max(t.until.Load(), now.Add(interval).UnixNano()))
}

// wait is how long what is appended now will take, behind so many bytes.
func (t *throttle) wait(now time.Time, buffered int64) time.Duration {
	until := t.until.Load()
	left := time.Duration(until - now.UnixNano())
	if until == 0 || left < -throttleMemory {
		return 0
	}
	wait := max(0, left)
	if rate := t.rate.Load(); rate > 0 {
		wait = max(wait, time.Duration(float64(buffered)/float64(rate)*float64(time.Second)))
	}
	return wait
}

// Throttled is how long an append that begins now will take because of a quota
// of the brokers: about, and 0 while none is felt.
func (l *Log) Throttled() time.Duration {
	if l.throttle.until.Load() == 0 {
		return 0
	}
	return l.throttle.wait(time.Now(), l.events.bytes.Load())
}
