package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// manyLinks is the number of links where policies and reloads are measured.
const manyLinks = 10000

// policyFor is a trigger policy with one rule that denies nothing here.
func policyFor(rule string) string {
	return fmt.Sprintf(`{"apiVersion":"signalbox.dev/v1","kind":"Policy","metadata":{"name":"measured"},"spec":{"rego":%s}}`,
		strconv.Quote("package signalbox.trigger\nimport rego.v1\n"+rule))
}

// withManifest measures throughput after a manifest more was applied; "" is none.
func (cfg config) withManifest(manifests map[string]string) func(context.Context, setup, parts) (sample, error) {
	return func(ctx context.Context, s setup, p parts) (sample, error) {
		var out sample
		sys, err := s.start(ctx, cfg, p)
		if err != nil {
			return out, err
		}
		defer sys.stop()
		if m := manifests[s.name]; m != "" {
			if err := postManifests(ctx, sys.addr, m); err != nil {
				return out, err
			}
		}
		l := newLoad(sys.addr, benchType)
		if err := cfg.warm(ctx, s, sys, l); err != nil {
			return out, err
		}
		err = cfg.saturate(ctx, s, sys, l, &out)
		return out, err
	}
}

// writePolicies compares what choosing costs without a policy, with one whose
// decisions are remembered, and with those that have to be asked each time.
func (cfg config) writePolicies(ctx context.Context, p parts, b *strings.Builder) error {
	manifests := map[string]string{
		"no policy": "",
		"a policy on attributes and candidates, remembered": policyFor(`deny contains {"link": l.name, "reason": "frozen"} if { some l in input.links; l.labels.tier == "batch"; input.event.freeze == true }`),
		"a policy on the time, asked each time":             policyFor(`deny contains "late" if input.time > "9999"`),
		"a policy on the data, asked each time":             policyFor(`deny contains "big" if input.event.data.size > 100000`),
	}
	var setups []setup
	for _, name := range []string{"no policy", "a policy on attributes and candidates, remembered", "a policy on the time, asked each time", "a policy on the data, asked each time"} {
		setups = append(setups, setup{name: name, fanout: 5, links: manyLinks - 5, sample: 0.01})
	}
	rows, err := cfg.each(ctx, p, setups, cfg.withManifest(manifests))
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "\n## Policies\n\nClosed loop, fan-out 5, %d links loaded. A policy is asked once an event.\n\n| policy | CPU us per delivery | x first row | deliveries/s | RSS loaded MB |\n| --- | --- | --- | --- | --- |\n", manyLinks)
	return ratioTable(b, rows)
}

// changing is the name of the row in which links change.
const changing = "one link changes every second"

// reloads measures latency while nothing changes, or a link does every second.
func (cfg config) reloads(ctx context.Context, s setup, p parts) (sample, error) {
	var out sample
	sys, err := s.start(ctx, cfg, p)
	if err != nil {
		return out, err
	}
	defer sys.stop()
	l := newLoad(sys.addr, benchType)
	warm, err := l.open(ctx, 200, max(cfg.length/5, 500*time.Millisecond))
	if err != nil {
		return out, err
	}
	if _, err := sys.settled(ctx, warm*int64(s.fanout), time.Minute); err != nil {
		return out, err
	}
	ended := make(chan error, 1)
	changes, stop := context.WithCancel(ctx)
	go func() { ended <- s.change(changes, sys) }()
	all := func(n int64, r sinkReport) bool { return r.Deliveries >= n*int64(s.fanout) }
	err = cfg.latency(ctx, sys, l, 200, all, &out)
	stop()
	return out, errors.Join(err, <-ended)
}

// change writes another type into one link each second, until ctx ends.
func (s setup) change(ctx context.Context, sys *system) error {
	if s.name != changing {
		return nil
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		link := fmt.Sprintf(`{"apiVersion":"signalbox.dev/v1","kind":"Link","metadata":{"name":"l0"},"spec":{"function":"f0","types":["com.example.changed%d"]}}`, n)
		if err := postManifests(ctx, sys.addr, link); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func (cfg config) writeReloads(ctx context.Context, p parts, b *strings.Builder) error {
	rows, err := cfg.each(ctx, p, []setup{
		{name: "nothing changes", fanout: 5, links: manyLinks - 5, sample: 0.01},
		{name: changing, fanout: 5, links: manyLinks - 5, sample: 0.01},
	}, cfg.reloads)
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "\n## Reloads\n\nOpen loop, 200 events/s to 5 functions each, %d links loaded; from the intended send time to the function, in milliseconds.\n\n| | p50 | p99 | p99.9 |\n| --- | --- | --- | --- |\n", manyLinks)
	for _, r := range rows {
		l50, m50 := r.of(p50Of)
		l99, m99 := r.of(p99Of)
		l999, m999 := r.of(func(s sample) float64 { return s.p999 })
		fmt.Fprintf(b, "| %s | %.2f (%.2f) | %.2f (%.2f) | %.2f (%.2f) |\n", r.setup.name, m50, l50, m99, l99, m999, l999)
	}
	return nil
}
