package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// row is one line of the report: a setup and what its rounds gave.
type row struct {
	setup   setup
	samples []sample
}

// each takes every setup once a round, in turn, so that a drift of the
// machine's speed meets all of them.
func (cfg config) each(ctx context.Context, p parts, setups []setup, take func(context.Context, setup, parts) (sample, error)) ([]row, error) {
	rows := make([]row, len(setups))
	for round := range cfg.rounds {
		for i, s := range setups {
			x, err := take(ctx, s, p)
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", s.name, round+1, err)
			}
			rows[i].setup = s
			rows[i].samples = append(rows[i].samples, x)
			fmt.Fprintf(os.Stderr, "%-50s round %d: %.1f us/delivery, %.0f deliveries/s, p50 %.2f p99 %.2f ms, rss %d MB (anonymous %d), %d parked\n", s.name, round+1, x.cpuUS, x.rate, x.p50, x.p99, x.rss/1e6, x.anon/1e6, x.parked)
		}
	}
	return rows, nil
}

// of returns minimum and median of one figure.
func (r row) of(f func(sample) float64) (low, median float64) {
	v := make([]float64, len(r.samples))
	for i, s := range r.samples {
		v[i] = f(s)
	}
	slices.Sort(v)
	return v[0], v[len(v)/2]
}

func cpuOf(s sample) float64  { return s.cpuUS }
func rateOf(s sample) float64 { return s.rate }
func p50Of(s sample) float64  { return s.p50 }
func p99Of(s sample) float64  { return s.p99 }
func rssOf(s sample) float64  { return float64(s.rss) / 1e6 }
func anonOf(s sample) float64 { return float64(s.anon) / 1e6 }
func idleOf(s sample) float64 { return float64(s.idle) / 1e6 }
func idleAnonOf(s sample) float64 {
	return float64(s.idleAnon) / 1e6
}

// measure takes every section and writes the report.
func (cfg config) measure(ctx context.Context) error {
	p, err := startParts(ctx, cfg.parts)
	if err != nil {
		return err
	}
	defer stopParts(cfg.parts)
	var b strings.Builder
	cfg.header(ctx, &b)
	sections := []struct {
		name  string
		write func(context.Context, parts, *strings.Builder) error
	}{
		{"throughput", cfg.writeThroughput},
		{"latency", cfg.writeLatency},
		{"links", cfg.writeLinks},
		{"policies", cfg.writePolicies},
		{"reloads", cfg.writeReloads},
		{"neighbours", cfg.writeNeighbours},
		{"behind", cfg.writeBehind},
		{"fairness", cfg.writeFairness},
		{"order", cfg.writeOrder},
		{"drain", cfg.writeDrain},
		{"backlog", cfg.writeBacklog},
		{"security", cfg.writeSecurity},
		{"strangers", cfg.writeStrangers},
		{"start", cfg.writeStart},
		{"containers", cfg.writeContainers},
		{"calls", cfg.writeCalls},
	}
	for _, s := range sections {
		if !cfg.wanted(s.name) {
			continue
		}
		if err := s.write(ctx, p, &b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		// #nosec G306 -- a page of the documentation; what is measured is kept, whatever fails later
		if err := os.WriteFile(cfg.out, []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (cfg config) header(ctx context.Context, b *strings.Builder) {
	revision, _ := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output() // a tree without git has none
	fmt.Fprintf(b, "# Benchmarks\n\nWritten by `make bench`. Machine: %d cores, %s/%s, %s, Apache Kafka and Redis on the same machine. Revision %s.\n",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), strings.TrimSpace(string(revision)))
	fmt.Fprintf(b, "Workload: 1 KiB JSON events by binary-mode POST on keep-alive connections; functions answer 200 with an empty body at once. Each figure is the\nmedian (minimum) of %d round(s) of %s; the rows of a table are taken in turn, so ratios hold when the machine's speed drifts.\nCPU is user and system time of the one process, without Kafka, Redis, load and functions.\n",
		cfg.rounds, cfg.length)
}

func (cfg config) writeThroughput(ctx context.Context, p parts, b *strings.Builder) error {
	var setups []setup
	for _, n := range cfg.fanouts {
		setups = append(setups,
			setup{name: fmt.Sprintf("bare pipeline, fan-out %d", n), bare: true, fanout: n},
			setup{name: fmt.Sprintf("Signalbox, fan-out %d", n), fanout: n, sample: 0.01},
		)
		if cfg.against != "" {
			setups = append(setups, setup{name: fmt.Sprintf("%s, fan-out %d", cfg.against, n), fanout: n, sample: 0.01, binary: cfg.against})
		}
	}
	last := cfg.fanouts[len(cfg.fanouts)-1]
	setups = append(setups,
		setup{name: fmt.Sprintf("Signalbox, tracing at 100 %%, fan-out %d", last), fanout: last, sample: 1},
		setup{name: fmt.Sprintf("Signalbox, embedded Kafka and Redis, fan-out %d", last), fanout: last, sample: 0.01, embedded: true},
	)
	rows, err := cfg.each(ctx, p, setups, cfg.throughput)
	if err != nil {
		return err
	}
	b.WriteString("\n## Throughput and CPU\n\nClosed loop, 64 connections. Signalbox with everything on: dedup on Redis, run records, metrics, tracing sampled at 1 %.\n\n")
	b.WriteString("\"x bare\" is the median of the ratios within a round, and their range. Resident memory is the process's own (anonymous) and, in brackets, with the pages of the binary.\n\n")
	b.WriteString("| system | CPU us per delivery | x bare | deliveries/s | x bare | idle MB | loaded MB |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	bare, mine := map[int]row{}, map[int]row{}
	for _, r := range rows {
		switch {
		case r.setup.bare:
			bare[r.setup.fanout] = r
		case r.setup.binary == "" && mine[r.setup.fanout].samples == nil:
			mine[r.setup.fanout] = r
		}
	}
	for _, r := range rows {
		low, med := r.of(cpuOf)
		_, rate := r.of(rateOf)
		base := bare[r.setup.fanout]
		fmt.Fprintf(b, "| %s | %.1f (%.1f) | %s | %.0f | %s | %.0f (%.0f) | %.0f (%.0f) |\n", r.setup.name, med, low, r.beside(base, cpuOf), rate, r.beside(base, rateOf),
			r.median(idleAnonOf), r.median(idleOf), r.median(anonOf), r.median(rssOf))
	}
	for _, n := range cfg.fanouts {
		for _, r := range rows {
			if r.setup.binary != "" && r.setup.fanout == n {
				fmt.Fprintf(b, "\nFan-out %d, beside %s: CPU x %s, rate x %s, anonymous memory x %s.\n", n, r.setup.binary, mine[n].beside(r, cpuOf), mine[n].beside(r, rateOf), mine[n].beside(r, anonOf))
			}
		}
	}
	return nil
}

// beside is the median of a figure's ratios to that of base in the same round, and their range.
func (r row) beside(base row, f func(sample) float64) string {
	ratios := row{samples: make([]sample, len(r.samples))}
	for i := range r.samples {
		ratios.samples[i].p50 = f(r.samples[i]) / f(base.samples[i])
	}
	low, median := ratios.of(p50Of)
	high, _ := ratios.of(func(s sample) float64 { return -s.p50 })
	return fmt.Sprintf("%.2f (%.2f to %.2f)", median, low, -high)
}

func (r row) median(f func(sample) float64) float64 {
	_, m := r.of(f)
	return m
}

func (cfg config) writeLatency(ctx context.Context, p parts, b *strings.Builder) error {
	rows, err := cfg.each(ctx, p, []setup{
		{name: "bare pipeline", bare: true, fanout: 5},
		{name: "Signalbox", fanout: 5, sample: 0.01},
	}, cfg.latencies(200))
	if err != nil {
		return err
	}
	b.WriteString("\n## Latency\n\nOpen loop, 200 events/s to 5 functions each; from the intended send time to the function, in milliseconds.\n\n| system | p50 | p99 | p99.9 |\n| --- | --- | --- | --- |\n")
	for _, r := range rows {
		l50, m50 := r.of(func(s sample) float64 { return s.p50 })
		l99, m99 := r.of(func(s sample) float64 { return s.p99 })
		l999, m999 := r.of(func(s sample) float64 { return s.p999 })
		fmt.Fprintf(b, "| %s | %.2f (%.2f) | %.2f (%.2f) | %.2f (%.2f) |\n", r.setup.name, m50, l50, m99, l99, m999, l999)
	}
	return nil
}

func (cfg config) writeLinks(ctx context.Context, p parts, b *strings.Builder) error {
	var setups []setup
	for _, n := range cfg.links {
		setups = append(setups, setup{name: fmt.Sprintf("%d links loaded, 5 match", n), fanout: 5, links: n - 5, sample: 0.01})
	}
	rows, err := cfg.each(ctx, p, setups, cfg.throughput)
	if err != nil {
		return err
	}
	b.WriteString("\n## Links that do not match\n\nClosed loop, fan-out 5.\n\n| system | CPU us per delivery | x first row | deliveries/s | RSS loaded MB |\n| --- | --- | --- | --- | --- |\n")
	return ratioTable(b, rows)
}

func (cfg config) writeStart(ctx context.Context, p parts, b *strings.Builder) error {
	var r row
	for range cfg.rounds {
		x, err := cfg.coldStart(ctx, p)
		if err != nil {
			return err
		}
		r.samples = append(r.samples, x)
	}
	low, median := r.of(p50Of)
	fmt.Fprintf(b, "\n## Start\n\n`signalbox dev` on an empty directory to its first delivery: %.0f ms (%.0f); resident memory then: %.0f MB of its own, %.0f with the pages of the binary.\n",
		median, low, r.median(idleAnonOf), r.median(idleOf))
	return nil
}

// ratioTable writes rows with CPU relative to the first.
func ratioTable(b *strings.Builder, rows []row) error {
	_, first := rows[0].of(cpuOf)
	for _, r := range rows {
		low, med := r.of(cpuOf)
		_, rate := r.of(rateOf)
		_, rss := r.of(func(s sample) float64 { return float64(s.rss) })
		if _, err := fmt.Fprintf(b, "| %s | %.1f (%.1f) | %.2f | %.0f | %.0f |\n", r.setup.name, med, low, med/first, rate, rss/1e6); err != nil {
			return err
		}
	}
	return nil
}
