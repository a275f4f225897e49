package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// heavier is how many times the load of each other function one function has.
const heavier = 100

// crowdRate is the events per second over all functions; each event is for one.
const crowdRate = 1190

// evenly gives each of 20 functions the same share of the events.
func evenly() []string {
	types := []string{typeOf("apart")}
	for i := range others {
		types = append(types, typeOf("f"+strconv.Itoa(i)))
	}
	return types
}

// unevenly gives one function as many times the events of each other.
func unevenly() []string {
	var types []string
	next := 0
	for i := range heavier + others {
		if i*others/(heavier+others) == next { // spread the others between its events
			types = append(types, typeOf("f"+strconv.Itoa(next)))
			next++
			continue
		}
		types = append(types, typeOf("apart"))
	}
	return types
}

// fairness measures the latency of the other functions for events of these types in turn.
func (cfg config) fairness(ctx context.Context, s setup, p parts) (sample, error) {
	var out sample
	sys, err := s.start(ctx, cfg, p)
	if err != nil {
		return out, err
	}
	defer sys.stop()
	l := newLoad(sys.addr, s.types...)
	all := func(n int64, r sinkReport) bool { return r.Deliveries+r.Apart >= n }
	if err := l.count(ctx, crowdRate); err != nil {
		return out, err
	}
	if _, err := sys.arrived(ctx, time.Minute, func(r sinkReport) bool { return all(crowdRate, r) }); err != nil {
		return out, err
	}
	err = cfg.latency(ctx, sys, l, crowdRate, all, &out)
	return out, err
}

func (cfg config) writeFairness(ctx context.Context, p parts, b *strings.Builder) error {
	rows, err := cfg.each(ctx, p, []setup{
		{name: "all 20 functions have the same load", fanout: others, sample: 0.01, apart: "/apart", ownTypes: true, types: evenly()},
		{name: fmt.Sprintf("one has %d x the load of each other", heavier), fanout: others, sample: 0.01, apart: "/apart", ownTypes: true, types: unevenly()},
	}, cfg.fairness)
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "\n## Fairness\n\nOpen loop, %d events/s over 20 functions, each event for one of them; latency of 19 of them from the intended send time, in milliseconds.\n\n", crowdRate)
	b.WriteString("| load | p50 | p99 | x first row |\n| --- | --- | --- | --- |\n")
	_, p990 := rows[0].of(p99Of)
	for _, r := range rows {
		low50, p50 := r.of(p50Of)
		low99, p99 := r.of(p99Of)
		fmt.Fprintf(b, "| %s | %.2f (%.2f) | %.1f (%.1f) | %.2f |\n", r.setup.name, p50, low50, p99, low99, p99/p990)
	}
	return nil
}
