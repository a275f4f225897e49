package eventlogtest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
)

func (s suite) testGroup(t *testing.T) {
	t.Run("members share, and hand over without loss or repetition", s.share)
}

func (s suite) share(t *testing.T) {
	cfg := s.fresh(t, 6)
	a, b := open(t, cfg), open(t, cfg)
	inA, inB := newInbox(), newInbox()
	inA.later, inB.later = true, true
	var sent atomic.Int64
	halt := make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-halt:
				return
			default:
				mustAppend(t, a, message(fmt.Sprint("k", i%37), fmt.Sprint(i)))
				sent.Add(1)
			}
		}
	})
	cA := consume(t, a, inA)
	inA.wait(t, 100)
	cB := consume(t, b, inB)
	inB.wait(t, 100) // a has handed partitions over, amid the stream
	cA.mustStop(t)
	before := len(inB.wait(t, 100))
	inB.wait(t, before+100) // b has taken the others over
	close(halt)
	sender.Wait()
	all := func() map[string]int {
		times := make(map[string]int)
		for _, in := range []*inbox{inA, inB} {
			in.mu.Lock()
			for _, d := range in.got {
				times[string(d.Message.Value)]++
			}
			in.mu.Unlock()
		}
		return times
	}
	inB.until(t, func([]delivery) bool { return len(all()) == int(sent.Load()) })
	cB.mustStop(t)
	for v, times := range all() {
		if times != 1 {
			t.Errorf("%s was delivered %d times", v, times)
		}
	}
	lag, err := b.Lag(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for p, n := range lag {
		if n != 0 {
			t.Errorf("partition %d: lag %d", p, n)
		}
	}
}

func (s suite) testHistory(t *testing.T) {
	l := open(t, s.fresh(t, 1))
	h := l.History()
	load := func() []string {
		state := make(map[string]string)
		if err := h.Load(within(t), func(k string, v []byte) error {
			if v == nil {
				delete(state, k)
			} else {
				state[k] = string(v)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		var out []string
		for k, v := range state {
			out = append(out, k+"="+v)
		}
		slices.Sort(out)
		return out
	}
	put := func(k string, v []byte) {
		if err := h.Append(within(t), k, v); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, load(), nil)
	put("Function/a", []byte("1"))
	put("Function/b", []byte("1"))
	put("Function/b", nil)
	equal(t, load(), []string{"Function/a=1"})
	for i := range 1200 {
		put("Function/c", fmt.Append(nil, i))
	}
	if err := h.Compact(within(t)); err != nil {
		t.Fatal(err)
	}
	equal(t, load(), []string{"Function/a=1", "Function/c=1199"})
	n := 0
	if err := l.Read(within(t), eventlog.Resources, eventlog.Earliest(), eventlog.ReadOptions{}, func(event.Record) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	if embedded := s.config(t).Embedded; embedded && n != 2 {
		t.Errorf("%d records after compaction, want 2", n)
	}
}
