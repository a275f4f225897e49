package policies

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// BenchmarkChooseBeside measures what policies in shadow mode, and a policy
// that is not asked, cost an event whose decision is remembered.
func BenchmarkChooseBeside(b *testing.B) {
	freeze := trigger("p", `deny contains {"link": l.name, "reason": "frozen"} if { some l in input.links; l.labels.tier == "batch"; input.event.freeze == true }`)
	for name, ps := range map[string][]*resource.Policy{
		"nothing":                {freeze},
		"shadow":                 {freeze, shadowed(trigger("s", `deny contains "no" if input.event.tenant == "none"`))},
		"shadow, not remembered": {freeze, shadowed(trigger("s", `deny contains "no" if input.time > "9999"`))},
		"not asked":              {freeze, open(trigger("q", `deny contains "no" if input.event.tenant == "none"`))},
	} {
		b.Run(name, func(b *testing.B) {
			e := newEngine(b, resource.Set{})
			e.cfg.Shadow = func(*event.Event, ShadowDifference) {}
			if faults := e.Load(set(matchingLinks(100, 5), ps...)); faults != nil {
				b.Fatal(faults)
			}
			if p := e.current.Load().rules.trigger.enforced; name == "not asked" {
				for range e.cfg.BreakAfter {
					p.breakers.failed(&PolicyError{Err: errors.New("slow"), source: p.sources[1]}, e.cfg.Clock(), e.cfg.BreakAfter, time.Hour)
				}
			}
			x := ev("t", "tenant", "acme")
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
