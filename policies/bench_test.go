package policies

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

func BenchmarkChoose(b *testing.B) {
	for _, n := range []int{10, 1000, 10000, 100000} {
		benchmarkChoose(b, fmt.Sprintf("links=%d", n), n)
	}
	benchmarkChoose(b, "memoised", 10000, trigger("p", `deny contains {"link": l.name, "reason": "frozen"} if { some l in input.links; l.labels.tier == "batch"; input.event.freeze == true }`))
	benchmarkChoose(b, "unmemoisable", 10000, trigger("p", `deny contains "late" if input.time > "9999"`))
	benchmarkChoose(b, "unmemoisable-links", 10000, trigger("p", `deny contains {"link": l.name, "reason": "frozen"} if { some l in input.links; l.labels.tier == "batch"; input.event.id == "x" }`))
	benchmarkChoose(b, "data", 10000, trigger("p", `deny contains "big" if input.event.data.size > 100`))
}

func benchmarkChoose(b *testing.B, name string, links int, ps ...*resource.Policy) {
	b.Run(name, func(b *testing.B) {
		e := newEngine(b, set(matchingLinks(links, 5), ps...))
		x := ev("t", "tenant", "acme")
		x.Data = []byte(`{"size": 5}`)
		buf := make([]resource.Target, 0, 16)
		b.ReportAllocs()
		for b.Loop() {
			if c, err := e.Choose(context.Background(), x, "", buf); err != nil || len(c.Targets) != 5 {
				b.Fatal(c, err)
			}
		}
	})
}

func BenchmarkAdmit(b *testing.B) {
	e := newEngine(b, set(nil, admission("p", `deny contains "x" if { input.identity.name == "eve"; startswith(input.event.type, "secret.") }`)))
	a := Admission{Event: ev("t"), Identity: map[string]any{"name": "eve"}, Route: "/events"}
	b.ReportAllocs()
	for b.Loop() {
		e.Admit(context.Background(), a)
	}
}

// BenchmarkChooseDialects: 10,000 links of type *, each found by another kind of filter; 5 match.
func BenchmarkChooseDialects(b *testing.B) {
	for name, filter := range map[string]func(v string) resource.Filter{
		"exact":  func(v string) resource.Filter { return resource.Filter{Exact: map[string]string{"tenant": v}} },
		"prefix": func(v string) resource.Filter { return resource.Filter{Prefix: map[string]string{"tenant": v}} },
		"suffix": func(v string) resource.Filter { return resource.Filter{Suffix: map[string]string{"tenant": v}} },
		"any": func(v string) resource.Filter {
			return resource.Filter{Any: []resource.Filter{{Exact: map[string]string{"tenant": v}}, {Suffix: map[string]string{"subject": v}}}}
		},
		"sql": func(v string) resource.Filter {
			return resource.Filter{SQL: fmt.Sprintf("EXISTS tenant AND tenant IN ('%s', 'none')", v)}
		},
	} {
		b.Run(name, func(b *testing.B) {
			var links []*resource.Link
			for i := range 10000 {
				links = append(links, withFilters(link(fmt.Sprintf("l%05d", i), "a", "*"), filter(fmt.Sprintf("acme-%06d-x", i/5))))
			}
			e := newEngine(b, set(links))
			x := ev("t", "tenant", "acme-000777-x", "subject", "orders/1")
			buf := make([]resource.Target, 0, 16)
			b.ReportAllocs()
			for b.Loop() {
				if c, err := e.Choose(context.Background(), x, "", buf); err != nil || len(c.Targets) != 5 {
					b.Fatal(c, err)
				}
			}
		})
	}
}

func BenchmarkChooseByTraffic(b *testing.B) {
	s := versionedSet(b, 1, halves, "v1", "v2")
	for i := range 5 {
		s.Links = append(s.Links, link(fmt.Sprint("l", i), "f", "t"))
	}
	e, x, buf := newEngine(b, s), ev("t"), make([]resource.Target, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		if c, err := e.Choose(context.Background(), x, "orders/4711", buf); err != nil || len(c.Targets) != 5 {
			b.Fatal(c, err)
		}
	}
}

// BenchmarkLoad: "first" compiles everything, "again" a set in which one link
// changed, as a reload does.
func BenchmarkLoad(b *testing.B) {
	freeze := trigger("p", `deny contains {"link": l.name, "reason": "frozen"} if { some l in input.links; l.labels.tier == "batch"; input.event.freeze == true }`)
	for _, n := range []int{10000, 100000} {
		links := matchingLinks(n, 5)
		for i := range links {
			if i%4 == 1 {
				links[i].Spec.Filters = []resource.Filter{{SQL: fmt.Sprintf("EXISTS tenant AND tenant = 't%d' AND subject LIKE 'images/%%'", i)}}
			}
		}
		b.Run(fmt.Sprintf("links=%d/first", n), func(b *testing.B) { benchmarkLoad(b, false, set(links)) })
		b.Run(fmt.Sprintf("links=%d/again", n), func(b *testing.B) { benchmarkLoad(b, true, set(links)) })
		b.Run(fmt.Sprintf("links=%d,policy/again", n), func(b *testing.B) { benchmarkLoad(b, true, set(links, freeze)) })
	}
}

func benchmarkLoad(b *testing.B, again bool, s resource.Set) {
	e := newEngine(b, s)
	b.ReportAllocs()
	for b.Loop() {
		if !again {
			e = newEngine(b, resource.Set{})
		}
		changed := *s.Links[7]
		s.Links[7] = &changed
		if faults := e.Load(s); faults != nil {
			b.Fatal(faults)
		}
	}
}

// BenchmarkChooseDuringLoad chooses while sets of 10,000 links are loaded, one
// each 50 ms, and reports the slowest of a hundred events.
func BenchmarkChooseDuringLoad(b *testing.B) {
	for _, loading := range []bool{false, true} {
		b.Run(fmt.Sprintf("loading=%v", loading), func(b *testing.B) { benchmarkChooseDuringLoad(b, loading) })
	}
}

func benchmarkChooseDuringLoad(b *testing.B, loading bool) {
	s := set(matchingLinks(10000, 5))
	e, done := newEngine(b, s), make(chan struct{})
	var wg sync.WaitGroup
	if loading {
		wg.Go(func() {
			for tick := time.NewTicker(50 * time.Millisecond); ; {
				select {
				case <-tick.C:
					changed := *s.Links[7]
					s.Links = slices.Clone(s.Links)
					s.Links[7] = &changed
					e.Load(s)
				case <-done:
					tick.Stop()
					return
				}
			}
		})
	}
	x, buf := ev("t", "tenant", "acme"), make([]resource.Target, 0, 16)
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		if c, err := e.Choose(context.Background(), x, "", buf); err != nil || len(c.Targets) != 5 {
			b.Fatal(c, err)
		}
		took = append(took, time.Since(start))
	}
	close(done)
	wg.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns/op")
	b.ReportMetric(float64(took[len(took)*999/1000]), "p99.9-ns/op")
}

// BenchmarkMemory reports the bytes that a link takes in the engine, beside the resource itself.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{10000, 100000} {
		s := set(matchingLinks(n, 5))
		b.Run(fmt.Sprintf("links=%d", n), func(b *testing.B) {
			for b.Loop() {
				before := heap()
				e := newEngine(b, s)
				b.ReportMetric(float64(heap()-before)/float64(n), "B/link")
				runtime.KeepAlive(e)
			}
		})
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
