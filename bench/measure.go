package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/e2e/freeport"
)

// sample is what one measurement of a system gave.
type sample struct {
	// cpuUS is CPU time per delivery in microseconds.
	cpuUS float64
	// rate is deliveries per second, from the first to the last.
	rate float64
	// rss is resident memory under load, idle before it, anon and idleAnon what of
	// them is the process's own (see process.anon); in bytes.
	rss, idle, anon, idleAnon int64
	// peak is the most resident memory seen while a backlog was built; in bytes.
	peak int64
	// wait is how long a function that came back waited for its first call, in seconds.
	wait float64
	// parked is how many deliveries were parked on their way.
	parked int64
	// p50, p99 and p999 are latencies from the intended send time, in milliseconds.
	p50, p99, p999 float64
}

// throughput measures a closed loop: warm up, load for cfg.length, wait until
// everything is delivered.
func (cfg config) throughput(ctx context.Context, s setup, p parts) (sample, error) {
	var out sample
	sys, err := s.start(ctx, cfg, p)
	if err != nil {
		return out, err
	}
	defer sys.stop()
	out.idle, err = sys.rss()
	if err != nil {
		return out, err
	}
	if out.idleAnon, err = sys.anon(); err != nil {
		return out, err
	}
	l := newLoad(sys.addr, benchType)
	l.keys = s.keys
	if err := cfg.warm(ctx, s, sys, l); err != nil {
		return out, err
	}
	err = cfg.saturate(ctx, s, sys, l, &out)
	return out, err
}

// saturate puts a closed loop on for the length and waits until it is delivered.
func (cfg config) saturate(ctx context.Context, s setup, sys *system, l *load, out *sample) error {
	before, err := sys.cpu()
	if err != nil {
		return err
	}
	profiled := make(chan error, 1)
	go func() { profiled <- sys.profile(ctx, filepath.Join(cfg.profiles, s.file()), cfg.length) }()
	accepted, err := l.closed(ctx, cfg.length)
	if err := errors.Join(err, <-profiled); err != nil {
		return err
	}
	out.rss, err = sys.rss()
	if err != nil {
		return err
	}
	if out.anon, err = sys.anon(); err != nil {
		return err
	}
	r, err := sys.settled(ctx, accepted*int64(s.fanout), 2*time.Minute)
	if err != nil {
		return err
	}
	after, err := sys.cpu()
	if err != nil {
		return err
	}
	out.parked = sys.parked(ctx)
	out.cpuUS = float64((after - before).Microseconds()) / float64(r.Deliveries)
	out.rate = float64(r.Deliveries) / time.Duration(r.Last-r.First).Seconds()
	return nil
}

// warm puts load on for a fifth of the length, waits for it to be delivered, and resets the sink.
func (cfg config) warm(ctx context.Context, s setup, sys *system, l *load) error {
	n, err := l.closed(ctx, cfg.length/5)
	if err != nil {
		return err
	}
	if _, err := sys.settled(ctx, n*int64(s.fanout), time.Minute); err != nil {
		return err
	}
	return sys.reset(ctx, false)
}

// latencies measures an open loop of perSecond events.
func (cfg config) latencies(perSecond int) func(context.Context, setup, parts) (sample, error) {
	return func(ctx context.Context, s setup, p parts) (sample, error) { return cfg.openLoop(ctx, s, p, perSecond) }
}

func (cfg config) openLoop(ctx context.Context, s setup, p parts, perSecond int) (sample, error) {
	var out sample
	sys, err := s.start(ctx, cfg, p)
	if err != nil {
		return out, err
	}
	defer sys.stop()
	l := newLoad(sys.addr, benchType)
	warm, err := l.open(ctx, perSecond, max(cfg.length/5, 500*time.Millisecond))
	if err != nil {
		return out, err
	}
	if _, err := sys.settled(ctx, warm*int64(s.fanout), time.Minute); err != nil {
		return out, err
	}
	all := func(n int64, r sinkReport) bool { return r.Deliveries >= n*int64(s.fanout) }
	err = cfg.latency(ctx, sys, l, perSecond, all, &out)
	return out, err
}

// latency puts an open loop on for twice the length and waits until all of it
// arrived, which is what all says of so many events.
func (cfg config) latency(ctx context.Context, sys *system, l *load, perSecond int, all func(int64, sinkReport) bool, out *sample) error {
	if err := sys.reset(ctx, true); err != nil {
		return err
	}
	n, err := l.open(ctx, perSecond, 2*cfg.length)
	if err != nil {
		return err
	}
	if _, err := sys.arrived(ctx, time.Minute, func(r sinkReport) bool { return all(n, r) }); err != nil {
		return err
	}
	r, err := sys.report(ctx, true)
	if err != nil {
		return err
	}
	at := func(q float64) float64 {
		return float64(r.LatencyUS[min(len(r.LatencyUS)-1, int(q*float64(len(r.LatencyUS))))]) / 1000
	}
	out.p50, out.p99, out.p999 = at(.5), at(.99), at(.999)
	return nil
}

// coldStart measures from the start of `dev` on an empty directory to the
// first delivery, in milliseconds, and memory after it.
func (cfg config) coldStart(ctx context.Context, p parts) (out sample, err error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return out, err
	}
	sink, err := startProcess(ctx, true, self, "sink")
	if err != nil {
		return out, err
	}
	defer sink.stop()
	manifest := fmt.Sprintf(`{"apiVersion":"signalbox.dev/v1","kind":"Function","metadata":{"name":"f0"},"spec":{"url":"http://%s/0","on":[%q]}}`, sink.addr, benchType)
	if err := os.WriteFile(dir+"/f0.json", []byte(manifest), 0o600); err != nil {
		return out, err
	}
	addr, err := freeport.Addr()
	if err != nil {
		return out, err
	}
	start := time.Now()
	dev, err := startProcess(ctx, false, cfg.binary, "dev", dir, "--http", addr, "--data", dir+"/data", "--kafka-listen", "127.0.0.1:0", "--redis-listen", "127.0.0.1:0")
	if err != nil {
		return out, err
	}
	defer dev.stop()
	if err := awaitHTTP(ctx, "http://"+addr+"/readyz", 30*time.Second); err != nil {
		return out, fmt.Errorf("%w (log: %s)", err, dev.log.Name())
	}
	sys := &system{process: dev, sink: sink, dir: dir}
	sys.addr = addr
	l := newLoad(addr, benchType)
	if _, err := l.open(ctx, 1000, time.Millisecond); err != nil {
		return out, err
	}
	r, err := sys.settled(ctx, 1, 10*time.Second)
	if err != nil {
		return out, err
	}
	out.p50 = float64(time.Unix(0, r.First).Sub(start).Microseconds()) / 1000
	if out.idle, err = dev.rss(); err != nil {
		return out, err
	}
	out.idleAnon, err = dev.anon()
	return out, err
}

// wanted reports whether a section is asked for.
func (cfg config) wanted(section string) bool {
	return cfg.only == "" || strings.Contains(section, cfg.only)
}
