package eventlog

import (
	"testing"
	"time"
)

func TestAQuotaTellsHowLongAnAppendWillTake(t *testing.T) {
	var q throttle
	now := time.Unix(1_800_000_000, 0)
	near := func(what string, buffered int64, want time.Duration) {
		t.Helper()
		if got := q.wait(now, buffered); got < want*9/10 || got > want*11/10 {
			t.Errorf("%s: %s, want about %s", what, got, want)
		}
	}
	near("no quota", 1<<30, 0)
	q.told(now, 3*time.Second)
	near("told to wait, no rate known yet", 1<<30, 3*time.Second)
	now = now.Add(3 * time.Second)
	near("when the time is over", 1<<30, 0)
	for range 6 { // 10,000 bytes a second come through
		q.acked.Add(10_000)
		now = now.Add(time.Second)
		q.told(now, 100*time.Millisecond)
	}
	near("nothing waits", 0, 100*time.Millisecond)
	near("what waits has to go first", 80_000, 8*time.Second)
	now = now.Add(throttleMemory + 101*time.Millisecond)
	near("not felt any more", 80_000, 0)
	q.told(now.Add(time.Second), time.Second)
	now = now.Add(time.Second)
	near("felt again: the old rate is forgotten", 80_000, time.Second)
}
