package catalogue

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

func newCatalogue(t testing.TB, change func(*Config)) *Catalogue {
	t.Helper()
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ev(typ, source, data string) *event.Event {
	return &event.Event{ID: "1", Source: source, Type: typ, DataContentType: "application/json", Data: []byte(data)}
}

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func TestWhatIsObservedIsDrainedOnce(t *testing.T) {
	c := newCatalogue(t, nil)
	c.Observe(ev("a", "/s", `{"n":1}`), noon)
	c.Observe(ev("a", "/t", `{"n":2}`), noon.Add(time.Minute))
	c.Observe(ev("a", "/s", `{"n":3}`), noon.Add(-time.Minute))
	c.Observe(ev("b", "/s", `1`), noon)
	c.Emitted("f", "b")
	c.Emitted("f", "c")
	c.Decided(Effect{Policy: "p", Link: "l"})
	deltas, effects := c.Drain()
	if len(deltas) != 3 || len(effects) != 1 {
		t.Fatalf("%+v, %v", deltas, effects)
	}
	a := deltas[0]
	minute := noon.Unix() / 60
	if a.Type != "a" || a.Count != 3 || a.First != noon.Add(-time.Minute).UnixMilli() || a.Last != noon.Add(time.Minute).UnixMilli() ||
		fmt.Sprint(a.Minutes) != fmt.Sprint(map[int64]uint64{minute - 1: 1, minute: 1, minute + 1: 1}) || fmt.Sprint(a.Sources, a.ContentTypes) != "[/s /t] [application/json]" {
		t.Errorf("%+v", a)
	}
	if e, err := event.ParseJSON([]byte(a.Sample)); err != nil || string(e.Data) != `{"n":1}` {
		t.Errorf("sample %s: %v", a.Sample, err)
	}
	if deltas[1].Emitters[0] != "f" || deltas[2].Count != 0 || deltas[2].Emitters[0] != "f" {
		t.Errorf("%+v", deltas[1:])
	}
	if deltas, effects = c.Drain(); len(deltas)+len(effects) != 0 {
		t.Errorf("again: %+v, %v", deltas, effects)
	}
	c.Observe(ev("a", "/s", `{"n":4}`), noon)
	if deltas, _ = c.Drain(); len(deltas) != 1 || deltas[0].Count != 1 || len(deltas[0].Sources) != 0 || !strings.Contains(deltas[0].Sample, `"n":4`) {
		t.Errorf("later: %+v", deltas)
	}
}

func TestWhatCouldNotBeKeptComesAgain(t *testing.T) {
	c := newCatalogue(t, nil)
	for range 5 {
		c.Observe(ev("a", "/s", "1"), noon)
	}
	c.Emitted("f", "a")
	c.Decided(Effect{Policy: "p", Function: "f"})
	deltas, effects := c.Drain()
	c.Observe(ev("a", "/t", "2"), noon)
	c.Restore(deltas, effects)
	again, effects := c.Drain()
	if len(again) != 1 || again[0].Count != 6 || again[0].Minutes[noon.Unix()/60] != 6 || fmt.Sprint(again[0].Sources, again[0].Emitters) != "[/s /t] [f]" || len(effects) != 1 {
		t.Errorf("%+v, %v", again, effects)
	}
}

func TestEverythingIsBounded(t *testing.T) {
	c := newCatalogue(t, func(cfg *Config) {
		cfg.MaxTypes, cfg.MaxSources, cfg.SampleBytes = shards*2, 3, 10
	})
	for i := range 10_000 {
		c.Observe(ev(fmt.Sprintf("t%d", i), "/s", "1"), noon.Add(time.Duration(i)*time.Millisecond))
	}
	for i := range 100 {
		c.Observe(ev("wide", fmt.Sprintf("/%d", i), strings.Repeat("x", 11)), noon.Add(time.Hour))
	}
	c.Observe(ev("wide", "/"+strings.Repeat("y", 2000), "1"), noon.Add(time.Hour))
	deltas, _ := c.Drain()
	if len(deltas) > shards*2 {
		t.Errorf("%d types", len(deltas))
	}
	last := deltas[len(deltas)-1]
	if last.Type != "wide" || len(last.Sources) != 3 || !last.MoreSources || last.SampleSize != 11 || strings.Contains(last.Sample, "xxx") {
		t.Errorf("%+v", last)
	}
	newest := 0
	for _, d := range deltas {
		if d.Type > "t9" {
			newest++
		}
	}
	if newest < shards {
		t.Errorf("only %d of the newest are left", newest)
	}
}

func TestRates(t *testing.T) {
	now := noon.Add(30 * time.Second)
	present := now.Unix() / 60
	minutes := map[int64]uint64{present: 30, present - 1: 60, present - 60: 100, present - 61: 1e6}
	for m := present - 59; m < present-1; m++ {
		minutes[m] = 60
	}
	m, h := Rates(minutes, now)
	if m != 1 || math.Abs(h-(30+60*59+50)/3600.0) > 1e-9 {
		t.Errorf("%v, %v", m, h)
	}
	if m, h = Rates(nil, now); m != 0 || h != 0 {
		t.Errorf("of nothing: %v, %v", m, h)
	}
}

func TestManyObserveAtOnce(t *testing.T) {
	c := newCatalogue(t, nil)
	var wg sync.WaitGroup
	total := uint64(0)
	for g := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				c.Observe(ev(fmt.Sprintf("t%d", i%10), fmt.Sprintf("/%d", g), "{}"), noon)
				c.Emitted("f", "t1")
			}
		})
	}
	for range 5 {
		deltas, _ := c.Drain()
		for _, d := range deltas {
			total += d.Count
		}
	}
	wg.Wait()
	deltas, _ := c.Drain()
	for _, d := range deltas {
		total += d.Count
	}
	if total != 8000 {
		t.Errorf("%d counted", total)
	}
}

func TestConfigurationNamesEveryFault(t *testing.T) {
	_, err := New(Config{SampleBytes: -1})
	for _, want := range []string{"MaxTypes 0", "MaxSources 0", "MaxContentTypes 0", "MaxEmitters 0", "SampleBytes -1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: no %s", err, want)
		}
	}
}

func TestATypeIsJSONWithoutNull(t *testing.T) {
	b, _ := json.Marshal(Type{Sources: []string{}, ContentTypes: []string{}, EmittedBy: []string{}, DeclaredBy: []string{}, Listeners: []Listener{}, Schemas: []string{}})
	if strings.Contains(string(b), "null") {
		t.Errorf("%s", b)
	}
}

// rotating are events of n types from three sources.
func rotating(n int) []*event.Event {
	events := make([]*event.Event, n)
	for i := range events {
		events[i] = ev(fmt.Sprintf("com.example.type%d", i), fmt.Sprintf("/shop/orders/%d", i%3), `{"a":1}`)
	}
	return events
}

func TestAllocNothingInTheSteadyState(t *testing.T) {
	c := newCatalogue(t, nil)
	events := rotating(100)
	i := 0
	one := func() { c.Observe(events[i%100], noon.Add(time.Duration(i)*time.Second)); i++ }
	for range 100 {
		one()
	}
	if n := testing.AllocsPerRun(1000, one); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint("types=", n), func(b *testing.B) {
			c := newCatalogue(b, func(cfg *Config) { cfg.MaxTypes = 20_000 })
			events := rotating(n)
			for _, e := range events {
				c.Observe(e, noon)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c.Observe(events[i%n], noon)
				i++
			}
		})
	}
}

func BenchmarkObserveParallel(b *testing.B) {
	c := newCatalogue(b, nil)
	b.RunParallel(func(pb *testing.PB) {
		e := ev("com.example.type", "/shop", `{"a":1}`)
		for pb.Next() {
			c.Observe(e, noon)
		}
	})
}
