package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// connections is the number of keep-alive connections of the closed loop.
const connections = 64

// payload is a JSON document of 1 KiB.
func payload() []byte {
	head := `{"bench":true,"filler":"`
	return []byte(head + strings.Repeat("x", 1024-len(head)-2) + `"}`)
}

// load posts events to one gateway.
type load struct {
	url string
	// types are taken in turn; with keys, so are as many subjects.
	types  []string
	keys   int64
	client *fasthttp.HostClient
	body   []byte
	seq    atomic.Int64
	run    string
}

func newLoad(addr string, types ...string) *load {
	return &load{
		url: "http://" + addr + "/events", types: types, body: payload(), run: strconv.FormatInt(time.Now().UnixNano(), 36),
		client: &fasthttp.HostClient{Addr: addr, MaxConns: 4096, MaxIdemponentCallAttempts: 1},
	}
}

// post sends one event and returns an error unless it was accepted.
func (l *load) post(req *fasthttp.Request, resp *fasthttp.Response, intended time.Time) error {
	return l.postAs(req, resp, "", intended)
}

// postAs is post with a token; "" is none.
func (l *load) postAs(req *fasthttp.Request, resp *fasthttp.Response, token string, intended time.Time) error {
	req.Reset()
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.SetMethod(fasthttp.MethodPost)
	req.SetRequestURI(l.url)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Ce-Specversion", "1.0")
	n := l.seq.Add(1)
	req.Header.Set("Ce-Id", l.run+"-"+strconv.FormatInt(n, 10))
	req.Header.Set("Ce-Source", "/bench")
	req.Header.Set("Ce-Type", l.types[n%int64(len(l.types))])
	if l.keys > 0 {
		req.Header.Set("Ce-Subject", "key-"+strconv.FormatInt(n%l.keys, 10))
	}
	req.Header.Set(sentHeader, strconv.FormatInt(intended.UnixNano(), 10))
	req.SetBodyRaw(l.body)
	if err := l.client.DoTimeout(req, resp, 30*time.Second); err != nil {
		return err
	}
	if resp.StatusCode() != fasthttp.StatusAccepted {
		return fmt.Errorf("POST /events answered %d: %s", resp.StatusCode(), resp.Body())
	}
	return nil
}

// closed posts from all connections as fast as they are answered for d, and
// returns how many events were accepted.
func (l *load) closed(ctx context.Context, d time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return l.drive(ctx, cancel, math.MaxInt64)
}

// count posts n events from all connections as fast as they are answered.
func (l *load) count(ctx context.Context, n int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, err := l.drive(ctx, cancel, n)
	return err
}

// drive posts until ctx ends, or n events were posted.
func (l *load) drive(ctx context.Context, cancel context.CancelFunc, n int64) (int64, error) {
	var accepted, begun atomic.Int64
	errs := make(chan error, connections)
	for range connections {
		go func() {
			var req fasthttp.Request
			var resp fasthttp.Response
			for ctx.Err() == nil && begun.Add(1) <= n {
				if err := l.post(&req, &resp, time.Now()); err != nil {
					errs <- err
					return
				}
				accepted.Add(1)
			}
			errs <- nil
		}()
	}
	var first error
	for range connections {
		if err := <-errs; err != nil && first == nil {
			first = err
			cancel()
		}
	}
	return accepted.Load(), first
}

// open posts at a constant rate whatever the answers do, for d. The intended
// send time goes along, so that a stall counts.
func (l *load) open(ctx context.Context, perSecond int, d time.Duration) (int64, error) {
	var wg sync.WaitGroup
	var accepted atomic.Int64
	var failed atomic.Pointer[error]
	step := time.Second / time.Duration(perSecond)
	start := time.Now()
	for i := range int(d / step) {
		intended := start.Add(time.Duration(i) * step)
		wait(ctx, time.Until(intended))
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			defer fasthttp.ReleaseRequest(req)
			defer fasthttp.ReleaseResponse(resp)
			if err := l.post(req, resp, intended); err != nil {
				failed.CompareAndSwap(nil, &err)
				return
			}
			accepted.Add(1)
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return accepted.Load(), *err
	}
	return accepted.Load(), ctx.Err()
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
