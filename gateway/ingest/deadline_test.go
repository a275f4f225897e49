package ingest

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadlinesAreSharedWithinATickAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &deadlines{timeout: 2 * time.Second}
		a := d.at(time.Now())
		time.Sleep(99 * time.Millisecond)
		b := d.at(time.Now())
		time.Sleep(2 * time.Millisecond)
		c := d.at(time.Now())
		if a != b || b == c {
			t.Error("want one context for a tick of 100ms, and another for the next")
		}
		time.Sleep(1899 * time.Millisecond) // 2s after a began
		if a.Err() != nil {
			t.Error("ended before the timeout")
		}
		time.Sleep(101 * time.Millisecond)
		synctest.Wait()
		if a.Err() == nil || c.Err() != nil {
			t.Errorf("2.1s on: %v, %v", a.Err(), c.Err())
		}
		time.Sleep(time.Second)
	})
}
