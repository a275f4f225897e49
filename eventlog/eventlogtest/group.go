package eventlogtest

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/twmb/franz-go/pkg/kadm"
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
	t.Run("the latest of each key survives compaction", s.latest)
	t.Run("versions stay as long as events", s.versions)
	t.Run("the broker is told to keep versions", s.keepsVersions)
}

func (s suite) latest(t *testing.T) {
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
		if err := h.Append(within(t), k, v, 0); err != nil {
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

// nextMillisecond returns once the clock shows another one.
func nextMillisecond() {
	for now := time.Now().UnixMilli(); time.Now().UnixMilli() == now; {
		runtime.Gosched()
	}
}

// versions wants older versions for as long as there is an event that may have
// been chosen for by them.
func (s suite) versions(t *testing.T) {
	cfg := s.fresh(t, 1)
	l := open(t, cfg)
	h := l.History()
	put := func(key, value string, revision uint64) {
		var v []byte
		if value != "" {
			v = []byte(value)
		}
		if err := h.Append(within(t), key, v, revision); err != nil {
			t.Fatal(err)
		}
	}
	put("Link/a", "before", 1)
	put("Link/gone", "x", 2)
	put("Link/gone", "", 3)
	put("Link/a", "then", 4)
	nextMillisecond() // the log's times have no finer parts, and what is as old as the event stays
	mustAppend(t, l, message("", "an event"))
	nextMillisecond()
	put("Link/a", "later", 5)
	put("Link/b", "x", 6)
	put("Link/b", "", 7)
	put("Link/a", "now", 8)
	want := []string{"Link/a then 4", "Link/a later 5", "Link/b x 6", "Link/b  7", "Link/a now 8"}
	if cfg.Embedded {
		for range 1200 {
			put("Link/c", "", 9) // nothing of which has to stay for the sake of what stands
		}
		if err := h.Compact(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	var got, live []string
	if err := h.Versions(within(t), func(v eventlog.Version) error {
		if v.Key != "Link/c" {
			got = append(got, fmt.Sprint(v.Key, " ", string(v.Value), " ", v.Revision))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("%s is missing in %q", w, got)
		}
	}
	if cfg.Embedded && slices.Contains(got, "Link/gone x 2") {
		t.Errorf("%q stays: want %q", got, want)
	}
	if err := h.Load(within(t), func(k string, v []byte) error {
		if k == "Link/a" {
			live = append(live, string(v))
		}
		return nil
	}); err != nil || live[len(live)-1] != "now" {
		t.Errorf("loaded %q, %v", live, err)
	}
}

// keepsVersions wants the broker to keep them, also on a topic made before and
// beside events that are kept longer now.
func (s suite) keepsVersions(t *testing.T) {
	cfg := s.fresh(t, 1)
	if cfg.Embedded {
		return // it deletes nothing by itself
	}
	ms := func(days time.Duration) string { return fmt.Sprint((days * 24 * time.Hour).Milliseconds()) }
	compact := "compact"
	admin := administer(t, cfg)
	if _, err := admin.CreateTopic(within(t), 1, -1, map[string]*string{"cleanup.policy": &compact}, cfg.TopicPrefix+"resources"); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ events, want string }{{"", ms(8)}, {ms(20), ms(21)}, {ms(1), ms(21)}, {"-1", fmt.Sprint(int64(math.MaxInt64))}} {
		if step.events != "" {
			if _, err := admin.AlterTopicConfigs(within(t), []kadm.AlterConfig{{Name: "retention.ms", Value: &step.events}}, cfg.TopicPrefix+"events"); err != nil {
				t.Fatal(err)
			}
		}
		open(t, cfg)
		described, err := admin.DescribeTopicConfigs(within(t), cfg.TopicPrefix+"resources")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range described[0].Configs {
			if (c.Key == "min.compaction.lag.ms" || c.Key == "delete.retention.ms") && c.MaybeValue() != step.want {
				t.Errorf("events for %q: %s is %s: want %s", step.events, c.Key, c.MaybeValue(), step.want)
			}
		}
	}
}
