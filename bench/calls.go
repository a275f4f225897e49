package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/e2e/freeport"
)

// callConnections is the number of connections that call at a time.
const callConnections = 8

// scriptWorkers are the worker processes of a function of scripts.
const scriptWorkers = 2

// The servers that scripts are measured beside, and the scripts: they do the same.
var (
	//go:embed calls/bare.py
	barePython string
	//go:embed calls/bare.cjs
	bareNode string
	//go:embed calls/script.py
	scriptPython string
	//go:embed calls/script.cjs
	scriptNode string
)

// callBench is one process of Signalbox and the servers that are called directly.
type callBench struct {
	dir     string
	gateway *process
	addr    string
	// pprof is the address of the profiler; "" is none.
	pprof string
	// urls are what the rows call.
	urls map[string]string
	stop []func()
}

func (b *callBench) close() {
	for _, stop := range slices.Backward(b.stop) {
		stop()
	}
	_ = os.RemoveAll(b.dir)
}

// startCalls starts everything; the rows' names are the keys of urls.
func (cfg config) startCalls(ctx context.Context) (b *callBench, err error) {
	b = &callBench{urls: map[string]string{}}
	if b.dir, err = os.MkdirTemp("", "bench-"); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return b, err
	}
	bare := map[string][]string{"go": {self, "sink"}, "python": {"python3", b.dir + "/bare.py"}, "node": {"node", b.dir + "/bare.cjs"}}
	files := map[string]string{"bare.py": barePython, "bare.cjs": bareNode, "script.py": scriptPython, "script.cjs": scriptNode}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(content), 0o600); err != nil {
			return b, err
		}
	}
	var docs []string
	function := func(name, spec string) {
		docs = append(docs, fmt.Sprintf(`{"apiVersion":"signalbox.dev/v1","kind":"Function","metadata":{"name":%q},"spec":%s}`, name, spec))
	}
	for language, command := range bare {
		p, err := startProcess(ctx, true, command[0], command[1:]...)
		if err != nil {
			return b, err
		}
		b.stop = append(b.stop, p.stop)
		b.urls[language+" direct"] = "http://" + p.addr + "/0"
		function("bare-"+language, fmt.Sprintf(`{"url":"http://%s/0","concurrency":1000}`, p.addr))
	}
	for language, file := range map[string]string{"python": "script.py", "node": "script.cjs"} {
		function("script-"+language, fmt.Sprintf(`{"dir":%q,"concurrency":1000,"scripts":{"runtime":%q,"files":[%q],"workers":%d,"maxRuns":1000000}}`, b.dir, language, file, scriptWorkers))
	}
	if b.addr, err = freeport.Addr(); err != nil {
		return b, err
	}
	args := setup{embedded: true, sample: 0.01}.args("", b.addr, b.dir+"/data", parts{"JAEGER_OTLP_HTTP": ""})
	if cfg.profiles != "" {
		if b.pprof, err = freeport.Addr(); err != nil {
			return b, err
		}
		args = append(args, "--pprof", b.pprof)
	}
	if b.gateway, err = startProcess(ctx, false, cfg.binary, args...); err != nil {
		return b, err
	}
	b.stop = append(b.stop, b.gateway.stop)
	if err := awaitHTTP(ctx, "http://"+b.addr+"/readyz", time.Minute); err != nil {
		return b, fmt.Errorf("%w (log: %s)", err, b.gateway.log.Name())
	}
	for language := range bare {
		b.urls[language+" through Signalbox"] = "http://" + b.addr + "/function/bare-" + language
		b.urls[language+" script"] = "http://" + b.addr + "/function/script-" + language
	}
	return b, postManifests(ctx, b.addr, strings.Join(docs, "\n---\n"))
}

// call makes one call and returns how long it took.
func call(client *fasthttp.HostClient, url string, body []byte) (time.Duration, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.SetRequestURI(url)
	req.Header.SetContentType("application/json")
	req.SetBodyRaw(body)
	begin := time.Now()
	if err := client.DoTimeout(req, resp, 30*time.Second); err != nil {
		return 0, err
	}
	if s := resp.StatusCode(); s/100 != 2 {
		return 0, fmt.Errorf("%s answered %d: %s", url, s, resp.Body())
	}
	return time.Since(begin), nil
}

// callFor calls from so many connections, each as soon as it is answered.
func callFor(ctx context.Context, url string, n int, d time.Duration) (took []time.Duration, err error) {
	addr, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	client := &fasthttp.HostClient{Addr: addr, MaxConns: n, MaxIdemponentCallAttempts: 1}
	defer client.CloseIdleConnections()
	body := payload()
	end := time.Now().Add(d)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			var mine []time.Duration
			for time.Now().Before(end) && ctx.Err() == nil {
				t, failed := call(client, url, body)
				if failed != nil {
					mu.Lock()
					err = failed
					mu.Unlock()
					return
				}
				mine = append(mine, t)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	wg.Wait()
	if err == nil {
		err = ctx.Err()
	}
	slices.Sort(took)
	return took, err
}

// measure takes one row: rate and CPU of Signalbox with all connections, latencies with one.
func (b *callBench) measure(cfg config) func(context.Context, setup, parts) (sample, error) {
	return func(ctx context.Context, s setup, _ parts) (out sample, err error) {
		url := b.urls[s.name]
		if err := poll(ctx, s.name, func() (bool, error) { // a script's first worker may not be there yet
			_, err := callFor(ctx, url, 1, time.Millisecond)
			return err == nil, nil
		}); err != nil {
			return out, err
		}
		if _, err := callFor(ctx, url, callConnections, cfg.length/4); err != nil {
			return out, err
		}
		before, err := b.gateway.cpu()
		if err != nil {
			return out, err
		}
		profiled := make(chan error, 1)
		go func() {
			profiled <- (&system{pprof: b.pprof}).profile(ctx, filepath.Join(cfg.profiles, s.file()), cfg.length)
		}()
		all, err := callFor(ctx, url, callConnections, cfg.length)
		if err := errors.Join(err, <-profiled); err != nil {
			return out, err
		}
		after, err := b.gateway.cpu()
		if err != nil {
			return out, err
		}
		out.rate = float64(len(all)) / cfg.length.Seconds()
		out.cpuUS = float64((after - before).Microseconds()) / float64(len(all))
		one, err := callFor(ctx, url, 1, cfg.length/2)
		if err != nil {
			return out, err
		}
		out.p50, out.p99 = milliseconds(one[len(one)/2]), milliseconds(one[len(one)*99/100])
		return out, nil
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (cfg config) writeCalls(ctx context.Context, p parts, out *strings.Builder) error {
	b, err := cfg.startCalls(ctx)
	if b != nil {
		defer b.close()
	}
	if err != nil {
		return err
	}
	setups := []setup{{name: "go direct"}, {name: "go through Signalbox"}}
	for _, language := range []string{"python", "node"} {
		for _, way := range []string{" direct", " through Signalbox", " script"} {
			setups = append(setups, setup{name: language + way})
		}
	}
	rows, err := cfg.each(ctx, p, setups, b.measure(cfg))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n## Synchronous calls, and scripts\n\n`POST /function/<name>` with 1 KiB of JSON: rate and CPU of Signalbox with %d connections, latencies with one. *direct* calls the function's own server, *script* a function of one script with %d workers that reads the data as\nthe bare server of its language does (`http.server` with threads, `node:http`).\n\n", callConnections, scriptWorkers)
	out.WriteString("| function | calls/s | x direct | CPU us per call | p50 ms | p99 ms |\n| --- | --- | --- | --- | --- | --- |\n")
	direct := 1.0
	for _, r := range rows {
		_, rate := r.of(rateOf)
		cpu := "-"
		if strings.HasSuffix(r.setup.name, " direct") {
			direct = rate
		} else {
			low, med := r.of(cpuOf)
			cpu = fmt.Sprintf("%.0f (%.0f)", med, low)
		}
		l50, m50 := r.of(p50Of)
		l99, m99 := r.of(p99Of)
		fmt.Fprintf(out, "| %s | %.0f | %.2f | %s | %.2f (%.2f) | %.2f (%.2f) |\n", r.setup.name, rate, rate/direct, cpu, m50, l50, m99, l99)
	}
	return nil
}
