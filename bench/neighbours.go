package main

import (
	"context"
	"errors"
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
	writeBeside(b, rows)
	return nil
}

// writeBeside writes what the functions beside another one gave.
func writeBeside(b *strings.Builder, rows []row) {
	b.WriteString("| the twentieth | deliveries/s | x first row | CPU us per delivery | p50 | p99 | x first row | RSS loaded / at most MB |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	_, rate0 := rows[0].of(rateOf)
	_, p990 := rows[0].of(p99Of)
	for _, r := range rows {
		_, rate := r.of(rateOf)
		lowC, cpu := r.of(cpuOf)
		low50, p50 := r.of(p50Of)
		low99, p99 := r.of(p99Of)
		_, rss := r.of(rssOf)
		_, peak := r.of(func(s sample) float64 { return float64(max(s.peak, s.rss)) / 1e6 })
		fmt.Fprintf(b, "| %s | %.0f | %.2f | %.1f (%.1f) | %.2f (%.2f) | %.1f (%.1f) | %.2f | %.0f / %.0f |\n", r.setup.name, rate, rate/rate0, cpu, lowC, p50, low50, p99, low99, p99/p990, rss, peak)
	}
}

// behindOne measures the functions beside one that is away and has a large backlog
// behind it, which events of its own make first: so that it takes a minute and
// not ten. Memory is watched from the first of them to the end.
func (cfg config) behindOne(ctx context.Context, s setup, p parts) (sample, error) {
	var out sample
	sys, err := s.start(ctx, cfg, p)
	if err != nil {
		return out, err
	}
	defer sys.stop()
	if out.idle, err = sys.rss(); err != nil {
		return out, err
	}
	watch, stop := context.WithCancel(ctx)
	peak := make(chan int64, 1)
	go func() { peak <- sys.watchRSS(watch) }()
	err = cfg.beside(ctx, s, sys, p, &out)
	stop()
	out.peak = max(out.peak, <-peak)
	return out, err
}

// beside makes the backlog and measures the others, first in a closed loop,
// then in an open one.
func (cfg config) beside(ctx context.Context, s setup, sys *system, p parts, out *sample) error {
	if s.backlog > 0 {
		own := newLoad(sys.addr, typeOf("apart"))
		own.body = []byte(smallBody)
		if err := cfg.park(ctx, sys, p, own, s.backlog, out); err != nil {
			return err
		}
	}
	l := newLoad(sys.addr, benchType)
	if err := cfg.warm(ctx, s, sys, l); err != nil {
		return err
	}
	all := func(n int64, r sinkReport) bool { return r.Deliveries >= n*others }
	return errors.Join(cfg.saturate(ctx, s, sys, l, out), cfg.latency(ctx, sys, l, neighbourRate, all, out))
}

func (cfg config) writeBehind(ctx context.Context, p parts, b *strings.Builder) error {
	rows, err := cfg.each(ctx, p, []setup{
		{name: "as good as the others", fanout: others, sample: 0.01, apart: "/apart", apartToo: true},
		{name: fmt.Sprintf("refuses connections, with %d events behind it", cfg.backlog), fanout: others, sample: 0.01, apart: refusing, apartToo: true, backlog: cfg.backlog},
	}, cfg.behindOne)
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "\n## A large backlog behind one of twenty\n\nThe other 19 functions while a twentieth, which gets their events too, has a large backlog of its own (`bench -only behind -backlog %d`).\n", cfg.backlog)
	fmt.Fprintf(b, "Deliveries/s in a closed loop, then latency in an open one of %d events/s, in milliseconds.\n\n", neighbourRate)
	writeBeside(b, rows)
	return nil
}
