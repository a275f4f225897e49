package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// sentHeader carries the intended send time of an event, in nanoseconds since
// 1970, as the extension attribute benchsent.
const sentHeader = "Ce-Benchsent"

// sinkReport is what GET /report of a sink answers.
type sinkReport struct {
	// Deliveries counts the calls since the last reset, over all functions but
	// the one that stands apart, whose are counted in Apart.
	Deliveries int64 `json:"deliveries"`
	Apart      int64 `json:"apart"`
	// First and Last are when the first and the last call came, in nanoseconds since 1970.
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	// LatencyUS are the sorted latencies from the intended send time, in microseconds.
	LatencyUS []int64 `json:"latencyUs,omitempty"`
}

// sink plays every function: it answers 200 with an empty body at once, but
// /slow only after a second. Neither /slow nor /apart is among the deliveries.
type sink struct {
	mu      sync.Mutex
	report  sinkReport
	latency bool
}

func runSink(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("sink", flag.ContinueOnError)
	listen := fs.String("listen", "127.0.0.1:0", "address")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	s := &sink{}
	srv := &fasthttp.Server{Handler: s.handle, DisableHeaderNamesNormalizing: false, NoDefaultServerHeader: true, NoDefaultDate: true}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	fmt.Println(ln.Addr())
	<-ctx.Done()
	_ = ln.Close()
	return <-done
}

func (s *sink) handle(rc *fasthttp.RequestCtx) {
	path := string(rc.Path())
	switch {
	case path == "/report":
		s.answer(rc)
	case path == "/reset":
		s.mu.Lock()
		s.report = sinkReport{LatencyUS: s.report.LatencyUS[:0]}
		s.latency = rc.QueryArgs().GetBool("latency")
		s.mu.Unlock()
	case path == "/slow":
		time.Sleep(time.Second) // the slow function of the row on neighbours
	case path == "/apart":
		s.mu.Lock()
		s.report.Apart++
		s.mu.Unlock()
	default:
		s.count(rc.Request.Header.Peek(sentHeader))
	}
}

func (s *sink) count(sent []byte) {
	now := time.Now().UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.report.Deliveries == 0 {
		s.report.First = now
	}
	s.report.Deliveries++
	s.report.Last = now
	if s.latency {
		if t, err := strconv.ParseInt(string(sent), 10, 64); err == nil {
			s.report.LatencyUS = append(s.report.LatencyUS, (now-t)/1000)
		}
	}
}

func (s *sink) answer(rc *fasthttp.RequestCtx) {
	s.mu.Lock()
	r := s.report
	if rc.QueryArgs().GetBool("latency") {
		r.LatencyUS = slices.Sorted(slices.Values(r.LatencyUS))
	} else {
		r.LatencyUS = nil
	}
	s.mu.Unlock()
	b, err := json.Marshal(r)
	if err != nil {
		rc.Error(err.Error(), fasthttp.StatusInternalServerError)
		return
	}
	rc.SetBody(b)
}
