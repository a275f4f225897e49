// Command bench measures Signalbox beside a bare pipeline of the same
// libraries, in one run, on real Kafka and Redis, and writes the report that
// docs/benchmarks.md keeps. What counts are the ratios, and CPU time per
// delivery (user and system time of the process under test).
//
// The same program plays the other parts as subcommands, each in a process of
// its own: `bench sink` (the functions) and `bench bare` (the bare pipeline).
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "sink":
			return runSink(ctx, args[1:])
		case "bare":
			return runBare(ctx, args[1:])
		}
	}
	cfg := defaultConfig()
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.StringVar(&cfg.binary, "signalbox", "bin/signalbox", "the binary to measure")
	fs.StringVar(&cfg.out, "out", "docs/benchmarks.md", "the report to write")
	fs.StringVar(&cfg.parts, "parts", "e2e/parts/up", "the script that starts Kafka, Redis and Jaeger")
	fs.StringVar(&cfg.only, "only", "", "only the sections whose name contains this")
	fs.IntVar(&cfg.rounds, "rounds", cfg.rounds, "rounds of each row")
	fs.DurationVar(&cfg.length, "length", cfg.length, "length of one measurement")
	fs.StringVar(&cfg.against, "against", "", "another binary: the rows on throughput are taken of both, in turn")
	fs.StringVar(&cfg.profiles, "profiles", "", "directory for a CPU profile of each row on throughput")
	fs.Int64Var(&cfg.backlog, "backlog", cfg.backlog, "events parked behind a function in the row on memory")
	fs.Int64Var(&cfg.parked, "parked", cfg.parked, "deliveries parked in the row on draining")
	fs.Int64Var(&cfg.behind, "behind", cfg.behind, "events behind the neighbour that is away, when the others are measured")
	fs.Func("fanouts", "numbers of functions that get each event, separated by commas", func(v string) (err error) {
		cfg.fanouts, err = numbers(v)
		return err
	})
	smoke := fs.Bool("smoke", false, "one short round of everything: shows that it runs")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *smoke {
		cfg = cfg.short()
	}
	return cfg.measure(ctx)
}

func numbers(list string) (out []int, err error) {
	for v := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q: want positive numbers separated by commas", list)
		}
		out = append(out, n)
	}
	return out, nil
}

// config says what to measure and how long.
type config struct {
	binary, against, out, parts, only, profiles string
	// rounds is how often each row is taken; the report gives minimum and median.
	rounds int
	// length is how long load is put on for one measurement.
	length time.Duration
	// links are the numbers of loaded links of the row on choosing.
	links []int
	// fanouts are the numbers of functions that get each event.
	fanouts []int
	// backlog is how many events are parked behind a function that is away where
	// memory is measured, parked how many where it comes back, behind how many where
	// its neighbours are measured.
	backlog, parked, behind int64
	// idle and slow are the connections of strangers beside a sender.
	idle, slow int
	// starts is how often a container is started from zero.
	starts int
}

func defaultConfig() config {
	return config{rounds: 3, length: 6 * time.Second, links: []int{5, 1000, 10000, 100000}, fanouts: []int{1, 5, 20}, backlog: 1_000_000, parked: 50_000, behind: 10_000, starts: 15, idle: 10_000, slow: 500}
}

func (c config) short() config {
	c.rounds, c.length = 1, time.Second
	c.links, c.fanouts = []int{5, 1000}, []int{1, 5}
	c.backlog, c.parked, c.behind = 2000, 2000, 500
	c.idle, c.slow = 500, 50
	c.starts = 2
	return c
}
