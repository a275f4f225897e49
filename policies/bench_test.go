package policies

import (
	"context"
	"fmt"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

func BenchmarkChoose(b *testing.B) {
	for _, n := range []int{5, 1000, 10000} {
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

func BenchmarkLoad(b *testing.B) {
	freeze := trigger("p", `deny contains {"link": l.name, "reason": "frozen"} if { some l in input.links; l.labels.tier == "batch"; input.event.freeze == true }`)
	for name, s := range map[string]resource.Set{"links=10000": set(matchingLinks(10000, 5)), "links=10000,policy": set(matchingLinks(10000, 5), freeze)} {
		b.Run(name, func(b *testing.B) {
			e := newEngine(b, resource.Set{})
			b.ReportAllocs()
			for b.Loop() {
				if faults := e.Load(s); faults != nil {
					b.Fatal(faults)
				}
			}
		})
	}
}
