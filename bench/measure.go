package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// sample is what one measurement of a system gave.
type sample struct {
	// cpuUS is CPU time per delivery in microseconds.
	cpuUS float64
	// rate is deliveries per second, from the first to the last.
	rate float64
	// rss is resident memory under load, idle before it; in bytes.
	rss, idle int64
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
	if out.idle, err = sys.rss(); err != nil {
		return out, err
	}
	l := newLoad(sys.addr, benchType)
	if err := cfg.warm(ctx, s, sys, l); err != nil {
		return out, err
	}
	before, err := sys.cpu()
	if err != nil {
		return out, err
	}
	accepted, err := l.closed(ctx, cfg.length)
	if err != nil {
		return out, err
	}
	if out.rss, err = sys.rss(); err != nil {
		return out, err
	}
	r, err := sys.settled(ctx, accepted*int64(s.fanout), 2*time.Minute)
	if err != nil {
		return out, err
	}
	after, err := sys.cpu()
	if err != nil {
		return out, err
	}
	out.cpuUS = float64((after - before).Microseconds()) / float64(r.Deliveries)
	out.rate = float64(r.Deliveries) / time.Duration(r.Last-r.First).Seconds()
	return out, nil
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
	if err := sys.reset(ctx, true); err != nil {
		return out, err
	}
	n, err := l.open(ctx, perSecond, 2*cfg.length)
	if err != nil {
		return out, err
	}
	if _, err := sys.settled(ctx, n*int64(s.fanout), time.Minute); err != nil {
		return out, err
	}
	r, err := sys.report(ctx, true)
	if err != nil {
		return out, err
	}
	at := func(q float64) float64 {
		return float64(r.LatencyUS[min(len(r.LatencyUS)-1, int(q*float64(len(r.LatencyUS))))]) / 1000
	}
	out.p50, out.p99, out.p999 = at(.5), at(.99), at(.999)
	return out, nil
}

// coldStart measures from the start of `dev` on an empty directory to the
// first delivery, in milliseconds, and idle memory after it.
func (cfg config) coldStart(ctx context.Context, p parts) (ms float64, idle int64, err error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return 0, 0, err
	}
	sink, err := startProcess(ctx, true, self, "sink")
	if err != nil {
		return 0, 0, err
	}
	defer sink.stop()
	manifest := fmt.Sprintf(`{"apiVersion":"signalbox.dev/v1","kind":"Function","metadata":{"name":"f0"},"spec":{"url":"http://%s/0","on":[%q]}}`, sink.addr, benchType)
	if err := os.WriteFile(dir+"/f0.json", []byte(manifest), 0o600); err != nil {
		return 0, 0, err
	}
	addr, err := freeAddr()
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	dev, err := startProcess(ctx, false, cfg.binary, "dev", dir, "--http", addr, "--data", dir+"/data", "--kafka-listen", "127.0.0.1:0", "--redis-listen", "127.0.0.1:0")
	if err != nil {
		return 0, 0, err
	}
	defer dev.stop()
	if err := awaitHTTP(ctx, "http://"+addr+"/readyz", 30*time.Second); err != nil {
		return 0, 0, fmt.Errorf("%w (log: %s)", err, dev.log.Name())
	}
	sys := &system{process: dev, sink: sink, dir: dir}
	sys.addr = addr
	l := newLoad(addr, benchType)
	if _, err := l.open(ctx, 1000, time.Millisecond); err != nil {
		return 0, 0, err
	}
	r, err := sys.settled(ctx, 1, 10*time.Second)
	if err != nil {
		return 0, 0, err
	}
	idle, err = dev.rss()
	return float64(time.Unix(0, r.First).Sub(start).Microseconds()) / 1000, idle, err
}

// wanted reports whether a section is asked for.
func (cfg config) wanted(section string) bool {
	return cfg.only == "" || strings.Contains(section, cfg.only)
}
