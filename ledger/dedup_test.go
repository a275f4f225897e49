package ledger

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

func TestPositionSurvivesItsEncoding(t *testing.T) {
	for _, p := range []event.Position{{}, {Partition: 1, Offset: 1}, {Partition: 127, Offset: 255}, {Partition: 128, Offset: 256},
		{Partition: math.MaxInt32, Offset: math.MaxInt64}, {Partition: 3, Offset: 1 << 32}} {
		if got, ok := parsePosition(string(appendPosition(nil, p))); !ok || got != p {
			t.Errorf("%v became %v, %v", p, got, ok)
		}
	}
	if n := len(appendPosition(nil, event.Position{Partition: 11, Offset: 1e9})); n != 5 {
		t.Errorf("%d bytes for a usual position, want 5", n)
	}
}

func FuzzPosition(f *testing.F) {
	f.Add("\x01\x02")
	f.Add("")
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
	f.Fuzz(func(t *testing.T, s string) { parsePosition(s) })
}

func TestMemoryDedupForgetsAfterTheWindowNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemoryDedup(time.Hour, 10000)
		for _, step := range []struct {
			wait time.Duration
			want event.Verdict
		}{{0, event.FirstSight}, {59 * time.Minute, event.Duplicate}, {30 * time.Minute, event.Duplicate}, {3 * time.Hour, event.FirstSight}} {
			time.Sleep(step.wait)
			if got := claimMemory(t, m, "x", int64(time.Now().UnixNano())); got != step.want {
				t.Errorf("after %s more: %v, want %v", step.wait, got, step.want)
			}
		}
	})
}

func TestMemoryDedupIsBoundedAndKeepsTheNewest(t *testing.T) {
	m := NewMemoryDedup(time.Hour, 2048)
	for i := range 10000 {
		if got := claimMemory(t, m, fmt.Sprint(i), int64(i)); got != event.FirstSight {
			t.Fatalf("%d: %v", i, got)
		}
		if n := len(m.now) + len(m.before); n > 2048 {
			t.Fatalf("%d ids are kept, the bound is 2048", n)
		}
	}
	for i := 9999; i > 9999-1024; i-- {
		if got := claimMemory(t, m, fmt.Sprint(i), -1); got != event.Duplicate {
			t.Fatalf("%d, one of the last 1024: %v", i, got)
		}
	}
}

func TestMemoryDedupIsFilledFromTheLog(t *testing.T) {
	m := NewMemoryDedup(time.Hour, 2048)
	m.Fill(event.Record{})
	var wg sync.WaitGroup
	wg.Go(func() {
		m.Fill(event.Record{Event: &event.Event{Source: "/s", ID: "a"}, Position: event.Position{Offset: 1}})
	})
	wg.Go(func() { claimMemory(t, m, "b", 2) })
	wg.Wait()
	if got := claimMemory(t, m, "a", 1); got != event.Redelivery {
		t.Errorf("the same record: %v", got)
	}
	if got := claimMemory(t, m, "a", 2); got != event.Duplicate {
		t.Errorf("a copy: %v", got)
	}
}

func claimMemory(t *testing.T, m *MemoryDedup, id string, offset int64) event.Verdict {
	out := make([]event.Verdict, 1)
	rec := event.Record{Event: &event.Event{Source: "/s", ID: id}, Position: event.Position{Offset: offset}}
	if err := m.Claim(t.Context(), []event.Record{rec}, out); err != nil {
		t.Error(err)
	}
	return out[0]
}
