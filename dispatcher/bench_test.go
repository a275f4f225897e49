package dispatcher_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/dispatcher/dispatchertest"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// nowhere is a Log and a Deduper that keep nothing.
type nowhere struct{}

func (nowhere) AppendEvents(context.Context, []dispatcher.Outgoing) error { return nil }
func (nowhere) DeadLetter(context.Context, *event.DeadLetter) error       { return nil }
func (nowhere) Run(*event.Run)                                            {}
func (nowhere) Claim(_ context.Context, _ []event.Record, v []event.Verdict) error {
	clear(v)
	return nil
}

// sink answers 200 with nothing.
func sink(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &fasthttp.Server{Handler: func(*fasthttp.RequestCtx) {}, NoDefaultDate: true}
	go s.Serve(l)
	b.Cleanup(func() { s.Shutdown() })
	return "http://" + l.Addr().String() + "/"
}

// BenchmarkDeliver delivers events of 1 KiB to n functions in one sink of this
// process. ns/op and allocs/op are for one event with its n deliveries, sink
// included; cpu-ns/delivery is the process's user and system time.
func BenchmarkDeliver(b *testing.B) {
	for _, n := range []int{1, 5, 20} {
		b.Run(fmt.Sprint("functions=", n), func(b *testing.B) {
			url := sink(b)
			var targets []resource.Target
			for i := range n {
				name := fmt.Sprint("fn", i)
				targets = append(targets, dispatchertest.Target("link-"+name, name, url, resource.Delivery{}))
			}
			bd := newBed(b, targets, func(b *bed) { b.parts.Log, b.parts.Deduper = nowhere{}, nowhere{} })
			ev := newEvent("0b7e3f0c-9a51-4a52-a1c3-0f8b5c5a1c11")
			ev.Subject, ev.Time = "images/1.jpg", "2026-11-21T04:00:00Z"
			ev.Data = []byte(`{"a":"` + strings.Repeat("x", 1016) + `"}`)
			deliverAll(b, bd, ev, n)
		})
	}
}

func deliverAll(b *testing.B, bd *bed, ev *event.Event, n int) {
	const batch, window = 100, 4096
	recs := make([]event.Record, batch)
	var settled atomic.Int64
	free := make(chan struct{}, window)
	settle := func(int64) { settled.Add(1); <-free }
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime(b)
	for sent := 0; sent < b.N; {
		k := min(batch, b.N-sent)
		for i := range recs[:k] {
			free <- struct{}{}
			recs[i] = event.Record{Position: event.Position{Offset: int64(sent + i)}, Event: ev, TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}
		}
		bd.Handle(bd.part, recs[:k], settle)
		sent += k
	}
	for range window {
		free <- struct{}{}
	}
	b.StopTimer()
	if got := settled.Load(); got != int64(b.N) {
		b.Fatalf("%d settled, want %d", got, b.N)
	}
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N*n), "cpu-ns/delivery")
}

// cpuTime is what the process has used, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkBareCall is fasthttp alone: the same request with as many calls in
// flight as n functions have, which is what a delivery would cost if the
// dispatcher cost nothing.
func BenchmarkBareCall(b *testing.B) {
	for _, n := range []int{1, 5, 20} {
		b.Run(fmt.Sprint("functions=", n), func(b *testing.B) {
			url := sink(b)
			body := []byte(strings.Repeat("x", 1024))
			client := &fasthttp.Client{MaxConnsPerHost: 10000}
			b.ReportAllocs()
			b.SetParallelism(64 * n / runtime.GOMAXPROCS(0))
			cpu := cpuTime(b)
			b.RunParallel(func(pb *testing.PB) { bareCalls(b, pb, client, url, body) })
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/delivery")
		})
	}
}

func bareCalls(b *testing.B, pb *testing.PB, client *fasthttp.Client, url string, body []byte) {
	var req fasthttp.Request
	var resp fasthttp.Response
	for pb.Next() {
		req.Reset()
		req.SetRequestURI(url)
		req.Header.SetMethod("POST")
		req.Header.SetContentType("application/json")
		for _, h := range [...]string{"ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-time", "traceparent"} {
			req.Header.Set(h, "0b7e3f0c-9a51-4a52-a1c3-0f8b5c5a1c11")
		}
		req.SetBodyRaw(body)
		if err := client.DoTimeout(&req, &resp, 30*time.Second); err != nil {
			b.Error(err)
			return
		}
	}
}

// BenchmarkNothingChosen takes events for which nothing is chosen: what every
// event costs beside its deliveries. ns/op is for one event.
func BenchmarkNothingChosen(b *testing.B) {
	bd := newBed(b, nil, func(b *bed) {
		b.parts.Log, b.parts.Deduper = nowhere{}, nowhere{}
		b.parts.Observer.Choosing = func(*event.Record, uint64, time.Time) {}
	})
	recs := records(0, newEvents(256)...)
	b.ReportAllocs()
	b.ResetTimer()
	for sent := 0; sent < b.N; sent += len(recs) {
		bd.Handle(bd.part, recs, func(int64) {})
	}
}
