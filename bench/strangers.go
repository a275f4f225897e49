package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// victimRate is the events per second of the sender that behaves.
const victimRate = 200

// crowd is what strangers do beside him: connections that were used once and
// wait, and such that send a byte now and then.
type crowd struct {
	name       string
	idle, slow int
	// wrong senders present tokens that are none, as fast as they are refused.
	wrong int
}

// dial comes from one of four addresses of loopback, as no address may have all connections.
func dial(ctx context.Context, addr string, i int) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%4))}}
	return d.DialContext(ctx, "tcp", addr)
}

// hold opens the connections that wait, each after one request.
func (c crowd) hold(ctx context.Context, addr string) (all []net.Conn, err error) {
	for i := range c.idle {
		one, err := dial(ctx, addr, i)
		if err != nil {
			return all, err
		}
		all = append(all, one)
		if _, err := fmt.Fprintf(one, "GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n", addr); err != nil {
			return all, err
		}
		resp, err := http.ReadResponse(bufio.NewReader(one), nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			return all, fmt.Errorf("connection %d: %v %w", i, resp, err)
		}
	}
	return all, nil
}

// drip sends requests a byte each 100 ms, on a new connection when one is ended.
func drip(ctx context.Context, addr string, i int) {
	text := "POST /events HTTP/1.1\r\nHost: " + addr + "\r\nContent-Length: 100000\r\n"
	if i%2 == 0 {
		text += "\r\n"
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		c, err := dial(ctx, addr, i)
		if err != nil {
			return
		}
		_, err = io.WriteString(c, text)
		for err == nil && ctx.Err() == nil {
			select {
			case <-tick.C:
				_, err = c.Write([]byte{'x'})
			case <-ctx.Done():
			}
		}
		_ = c.Close()
	}
}

// guess presents wrong credentials.
func guess(ctx context.Context, addr string) {
	client := &fasthttp.HostClient{Addr: addr, MaxConns: 1, MaxIdemponentCallAttempts: 1}
	var req fasthttp.Request
	var resp fasthttp.Response
	for i := 0; ctx.Err() == nil; i++ {
		req.Reset()
		req.Header.SetMethod(fasthttp.MethodPost)
		req.SetRequestURI("http://" + addr + "/events")
		req.Header.Set("Authorization", fmt.Sprintf("Bearer sbk_bench_%026d", i))
		_ = client.DoTimeout(&req, &resp, 10*time.Second) // refused, which is what is wanted
	}
}

// beside measures how long a sender waits for his answers beside a crowd.
func (cfg config) besideCrowd(ctx context.Context, p parts, c crowd) (sample, error) {
	var out sample
	const token = benchRootKey
	w := way{args: []string{"--auth", "required", "--root-key", token}}
	sys, err := cfg.gateway(ctx, p, w)
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(sys.dir)
	defer sys.process.stop()
	if _, err := cfg.victim(ctx, sys.addr, token, cfg.length/5); err != nil {
		return out, err
	}
	if out.idle, err = sys.rss(); err != nil {
		return out, err
	}
	held, err := c.hold(ctx, sys.addr)
	defer func() {
		for _, one := range held {
			_ = one.Close()
		}
	}()
	if err != nil {
		return out, err
	}
	if out.peak, err = sys.rss(); err != nil {
		return out, err
	}
	bad, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i := range c.slow {
		wg.Go(func() { drip(bad, sys.addr, i) })
	}
	for range c.wrong {
		wg.Go(func() { guess(bad, sys.addr) })
	}
	defer wg.Wait()
	defer stop()
	before, err := sys.cpu()
	if err != nil {
		return out, err
	}
	took, err := cfg.victim(ctx, sys.addr, token, 2*cfg.length)
	if err != nil {
		return out, err
	}
	after, err := sys.cpu()
	if err != nil {
		return out, err
	}
	slices.Sort(took)
	at := func(q float64) float64 {
		return float64(took[min(len(took)-1, int(q*float64(len(took))))].Microseconds()) / 1000
	}
	out.p50, out.p99 = at(.5), at(.99)
	out.cpuUS = float64((after - before).Microseconds()) / float64(len(took))
	out.rss, err = sys.rss()
	return out, err
}

// victim sends at a constant rate, and returns how long each answer took from the
// intended time on.
func (cfg config) victim(ctx context.Context, addr, token string, d time.Duration) ([]time.Duration, error) {
	l := newLoad(addr, benchType)
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var wg sync.WaitGroup
	step := time.Second / victimRate
	start := time.Now()
	for i := range max(int(d/step), 20) {
		intended := start.Add(time.Duration(i) * step)
		wait(ctx, time.Until(intended))
		wg.Go(func() {
			req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			defer fasthttp.ReleaseRequest(req)
			defer fasthttp.ReleaseResponse(resp)
			err := l.postAs(req, resp, token, intended)
			mu.Lock()
			defer mu.Unlock()
			if took = append(took, time.Since(intended)); err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	return took, failed
}

func (cfg config) writeStrangers(ctx context.Context, p parts, b *strings.Builder) error {
	crowds := []crowd{
		{name: "nobody"},
		{name: fmt.Sprintf("%d idle connections", cfg.idle), idle: cfg.idle},
		{name: fmt.Sprintf("%d slow connections", cfg.slow), slow: cfg.slow},
		{name: fmt.Sprintf("%d idle and %d slow connections", cfg.idle, cfg.slow), idle: cfg.idle, slow: cfg.slow},
		{name: "4 senders of wrong keys, as fast as they are refused", wrong: 4},
	}
	rows := make([]row, len(crowds))
	for round := range cfg.rounds {
		for i, c := range crowds {
			x, err := cfg.besideCrowd(ctx, p, c)
			if err != nil {
				return fmt.Errorf("%s, round %d: %w", c.name, round+1, err)
			}
			rows[i].setup.name = c.name
			rows[i].samples = append(rows[i].samples, x)
			fmt.Fprintf(os.Stderr, "%-50s round %d: p50 %.2f p99 %.2f ms, rss %d -> %d MB\n", c.name, round+1, x.p50, x.p99, x.idle/1e6, x.rss/1e6)
		}
	}
	fmt.Fprintf(b, "\n## Beside strangers\n\nA gateway accepts %d events/s of one sender, who waits for each answer, in milliseconds from the intended time on. Idle connections were used once; slow ones send a byte each 100 ms, half of them of a header, half of a body.\n\n", victimRate)
	b.WriteString("| beside | p50 | p99 | RSS before / with them MB | KB per idle connection |\n| --- | --- | --- | --- | --- |\n")
	for i, r := range rows {
		low50, p50 := r.of(p50Of)
		low99, p99 := r.of(p99Of)
		_, rss := r.of(rssOf)
		_, idle := r.of(func(s sample) float64 { return float64(s.idle) / 1e6 })
		each := "-"
		if n := crowds[i].idle; n > 0 {
			_, grown := r.of(func(s sample) float64 { return float64(s.peak - s.idle) })
			each = fmt.Sprintf("%.1f", grown/1e3/float64(n))
		}
		fmt.Fprintf(b, "| %s | %.2f (%.2f) | %.2f (%.2f) | %.0f / %.0f | %s |\n", r.setup.name, p50, low50, p99, low99, idle, rss, each)
	}
	return nil
}
