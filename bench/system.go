package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/e2e/freeport"
)

// parts are the addresses of the real parts, as e2e/parts/up prints them.
type parts map[string]string

func startParts(ctx context.Context, script string) (parts, error) {
	p, err := upParts(ctx, script, "kafka", "redis", "jaeger")
	if err != nil {
		return nil, err
	}
	for _, k := range []string{"KAFKA_BROKERS", "REDIS_URL", "JAEGER_OTLP_HTTP"} {
		if p[k] == "" {
			return nil, fmt.Errorf("%s: did not print %s", script, k)
		}
	}
	return p, nil
}

// upParts starts parts of the benchmarks' own.
func upParts(ctx context.Context, script string, names ...string) (parts, error) {
	cmd := exec.CommandContext(ctx, script, names...)
	cmd.Env = append(os.Environ(), "SIGNALBOX_PARTS_BENCH=1", "SIGNALBOX_PARTS_DIR="+filepath.Join(os.TempDir(), "signalbox-bench-parts"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", script, err)
	}
	p := parts{}
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	for lines.Scan() {
		if k, v, ok := strings.Cut(lines.Text(), "="); ok {
			p[k] = v
		}
	}
	return p, nil
}

func stopParts(script string) {
	cmd := exec.Command(filepath.Join(filepath.Dir(script), "down"))
	cmd.Env = append(os.Environ(), "SIGNALBOX_PARTS_DIR="+filepath.Join(os.TempDir(), "signalbox-bench-parts"))
	cmd.Stderr = os.Stderr
	_ = cmd.Run() // nothing is left to do if it fails
}

// setup is what a system under test is started with.
type setup struct {
	// name stands in the report.
	name string
	// bare runs the bare pipeline instead of Signalbox.
	bare bool
	// fanout functions get each event; links more are loaded that match nothing.
	fanout, links int
	// embedded runs on the embedded Kafka and Redis.
	embedded bool
	// sample is the share of traces that is recorded.
	sample float64
	// apart is one function more: "/apart" answers at once, "/slow" after a second
	// (neither is among the deliveries that count), refusing is not there; else it is a URL.
	apart string
	// ownTypes gives each function events of its own (see typeOf); types are
	// those of the events, in turn.
	ownTypes bool
	types    []string
	// apartToo gives the function that stands apart events of its own beside the others'.
	apartToo bool
	// order is that of the links, keys the number of keys of the events; 0 is none.
	order string
	keys  int64
	// backlog is how many events are parked.
	backlog int64
	// binary is another one than config.binary.
	binary string
}

// file names the profile of a setup; the last round's is kept.
func (s setup) file() string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, s.name) + ".pprof"
}

// refusing stands for a function that refuses connections.
const refusing = "refusing"

// system is one running system under test with its functions.
type system struct {
	*process
	sink *process
	dir  string
	// name is the prefix of topics and group, without its dot.
	name string
	// pprof is the address of the profiler; "" is none.
	pprof string
}

const benchType = "com.example.bench"

// typeOf is what a function gets events of when each has its own type.
func typeOf(function string) string { return benchType + "." + function }

// start starts the sink and the system, and waits until it takes events.
func (s setup) start(ctx context.Context, cfg config, p parts) (*system, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	sink, err := startProcess(ctx, true, self, "sink")
	if err != nil {
		return nil, err
	}
	sys := &system{sink: sink}
	sys.dir, err = os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	name := "bench" + strconv.FormatInt(time.Now().UnixNano(), 36)
	sys.name = name
	if s.bare {
		urls := make([]string, s.fanout)
		for i := range urls {
			urls[i] = fmt.Sprintf("http://%s/%d", sink.addr, i)
		}
		sys.process, err = startProcess(ctx, true, self, "bare", "-kafka", p["KAFKA_BROKERS"], "-topic", name, "-sinks", strings.Join(urls, ","))
		return sys, err
	}
	addr, err := freeport.Addr()
	if err != nil {
		return nil, err
	}
	args := s.args(name, addr, sys.dir, p)
	if cfg.profiles != "" {
		if sys.pprof, err = freeport.Addr(); err != nil {
			return nil, err
		}
		args = append(args, "--pprof", sys.pprof)
	}
	sys.process, err = startProcess(ctx, false, cmp.Or(s.binary, cfg.binary), args...)
	if err != nil {
		return nil, err
	}
	sys.addr = addr
	if err := awaitHTTP(ctx, "http://"+addr+"/readyz", 60*time.Second); err != nil {
		return nil, fmt.Errorf("%w (log: %s)", err, sys.log.Name())
	}
	return sys, s.apply(ctx, sys)
}

// args are the command line of the binary.
func (s setup) args(name, addr, dir string, p parts) []string {
	args := []string{"serve", "--http", addr, "--data", dir, "--log-level", "warn", "--trace-sample", fmt.Sprint(s.sample), "--otlp", p["JAEGER_OTLP_HTTP"]}
	if s.embedded {
		return append(args, "--kafka-listen", "127.0.0.1:0", "--redis-listen", "127.0.0.1:0")
	}
	return append(args, "--kafka", p["KAFKA_BROKERS"], "--redis", p["REDIS_URL"], "--topic-prefix", name+".", "--redis-prefix", name+":")
}

// apply writes the functions and links.
func (s setup) apply(ctx context.Context, sys *system) error {
	var docs []string
	fn := func(name, url string) {
		types := []string{benchType}
		switch {
		case s.ownTypes:
			types = []string{typeOf(name)}
		case s.apartToo && name == "apart":
			types = append(types, typeOf(name))
		}
		docs = append(docs,
			fmt.Sprintf(`{"apiVersion":"signalbox.dev/v1","kind":"Function","metadata":{"name":%q},"spec":{"url":%q}}`, name, url),
			fmt.Sprintf(`{"apiVersion":"signalbox.dev/v1","kind":"Link","metadata":{"name":%q},"spec":{"function":%q,"types":["%s"],"order":%q}}`, name, name, strings.Join(types, `","`), cmp.Or(s.order, "none")))
	}
	for i := range s.fanout {
		fn("f"+strconv.Itoa(i), fmt.Sprintf("http://%s/%d", sys.sink.addr, i))
	}
	switch {
	case s.apart == refusing:
		fn("apart", "http://127.0.0.1:1/")
	case strings.HasPrefix(s.apart, "http://"):
		fn("apart", s.apart)
	case s.apart != "":
		fn("apart", "http://"+sys.sink.addr+s.apart)
	}
	for i := range s.links {
		docs = append(docs, fmt.Sprintf(`{"apiVersion":"signalbox.dev/v1","kind":"Link","metadata":{"name":"l%d"},"spec":{"function":"f0","types":["com.example.other%d"]}}`, i, i))
	}
	const chunk = 500
	for len(docs) > 0 {
		n := min(chunk, len(docs))
		if err := postManifests(ctx, sys.addr, strings.Join(docs[:n], "\n---\n")); err != nil {
			return err
		}
		docs = docs[n:]
	}
	return nil
}

func postManifests(ctx context.Context, addr, manifests string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/api/v1/apply", strings.NewReader(manifests))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/yaml")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("apply: %s", resp.Status)
	}
	return nil
}

func (s *system) stop() {
	if s.process != nil {
		s.process.stop()
	}
	s.sink.stop()
	_ = os.RemoveAll(s.dir)
}

// report asks the sink; reset makes it forget first.
func (s *system) report(ctx context.Context, latency bool) (sinkReport, error) {
	var r sinkReport
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/report?latency=%t", s.sink.addr, latency), nil)
	if err != nil {
		return r, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	return r, json.NewDecoder(resp.Body).Decode(&r)
}

func (s *system) reset(ctx context.Context, latency bool) error {
	return awaitHTTP(ctx, fmt.Sprintf("http://%s/reset?latency=%t", s.sink.addr, latency), 5*time.Second)
}

// settled waits until the sink has counted want deliveries.
func (s *system) settled(ctx context.Context, want int64, bound time.Duration) (sinkReport, error) {
	r, err := s.arrived(ctx, bound, func(r sinkReport) bool { return r.Deliveries >= want })
	if err != nil {
		err = fmt.Errorf("waiting for %d deliveries: %w", want, err)
	}
	return r, err
}

// arrived waits until all says of what the sink has counted that it is everything.
func (s *system) arrived(ctx context.Context, bound time.Duration, all func(sinkReport) bool) (sinkReport, error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := s.report(ctx, false)
		if err == nil && all(r) {
			return r, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return r, fmt.Errorf("%d deliveries (and %d apart) within %s (log: %s)", r.Deliveries, r.Apart, bound, s.log.Name())
		}
	}
}

// parked is how many deliveries were parked so far; 0 when the system does not say.
func (s *system) parked(ctx context.Context) (n int64) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/metrics", nil)
	if err != nil {
		return 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "signalbox_deliveries_parked_total{"); ok {
			v, _ := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
			n += int64(v)
		}
	}
	return n
}

// profile writes a CPU profile of d to a file, and what memory holds at its end
// beside it; without a profiler it does nothing.
func (s *system) profile(ctx context.Context, file string, d time.Duration) error {
	if s.pprof == "" {
		return nil
	}
	if err := s.fetch(ctx, fmt.Sprintf("profile?seconds=%d", max(1, int(d.Seconds()))), file); err != nil {
		return err
	}
	return s.fetch(ctx, "heap", strings.TrimSuffix(file, ".pprof")+".heap.pprof")
}

func (s *system) fetch(ctx context.Context, profile, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.pprof+"/debug/pprof/"+profile, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}
