package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// others is how many functions there are beside the one that stands apart.
const others = 19

// neighbourRate is the events per second of the open loops beside a neighbour;
// each of 20 functions gets all of them.
const neighbourRate = 100

// neighbours measures the functions beside the one that stands apart: with a
// backlog behind it if it does not keep up, first in a closed loop, then in an
// open one.
func (cfg config) neighbours(ctx context.Context, s setup, p parts) (sample, error) {
	var out sample
	sys, err := s.start(ctx, cfg, p)
	if err != nil {
		return out, err
	}
	defer sys.stop()
	l := newLoad(sys.addr, benchType)
	if err := l.count(ctx, cfg.behind); err != nil {
		return out, err
	}
	if _, err := sys.settled(ctx, cfg.behind*others, 5*time.Minute); err != nil {
		return out, err
	}
	if err := sys.reset(ctx, false); err != nil {
		return out, err
	}
	if err := cfg.saturate(ctx, s, sys, l, &out); err != nil {
		return out, err
	}
	all := func(n int64, r sinkReport) bool { return r.Deliveries >= n*others }
	err = cfg.latency(ctx, sys, l, neighbourRate, all, &out)
	return out, err
}

func (cfg config) writeNeighbours(ctx context.Context, p parts, b *strings.Builder) error {
	rows, err := cfg.each(ctx, p, []setup{
		{name: "as good as the others", fanout: others, sample: 0.01, apart: "/apart"},
		{name: "refuses connections", fanout: others, sample: 0.01, apart: refusing},
		{name: "answers after 1 s", fanout: others, sample: 0.01, apart: "/slow"},
	}, cfg.neighbours)
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "\n## Neighbours\n\nThe other 19 functions, beside a twentieth that gets every event too and has %d events behind it already, unless it keeps up.\n", cfg.behind)
	fmt.Fprintf(b, "Deliveries/s in a closed loop, then latency in an open one of %d events/s, from the intended send time, in milliseconds.\n\n", neighbourRate)
	b.WriteString("| the twentieth | deliveries/s | x first row | p50 | p99 | x first row | RSS loaded MB |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	_, rate0 := rows[0].of(rateOf)
	_, p990 := rows[0].of(p99Of)
	for _, r := range rows {
		_, rate := r.of(rateOf)
		low50, p50 := r.of(p50Of)
		low99, p99 := r.of(p99Of)
		_, rss := r.of(rssOf)
		fmt.Fprintf(b, "| %s | %.0f | %.2f | %.2f (%.2f) | %.1f (%.1f) | %.2f | %.0f |\n", r.setup.name, rate, rate/rate0, p50, low50, p99, low99, p99/p990, rss)
	}
	return nil
}
