package container

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/functions/settings"
	"github.com/signalbox-dev/signalbox/resource"
)

// BenchmarkCall compares calls of a function by its own address with calls through
// the front: cpu-us/op is the CPU time of client, front and function together.
func BenchmarkCall(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &fasthttp.Server{Handler: func(*fasthttp.RequestCtx) {}}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	defer func() {
		_ = server.Shutdown()
		<-served
	}()
	f := newFake(b, nil)
	r, _ := run(b, quick(f, b.TempDir()))
	g := newGroup(r, "thumbs", &revision{name: "thumbs", spec: (*resource.Container)(nil).WithDefaults(), settings: settings.Settings{}})
	p := newReplica(g, g.want)
	p.up, p.state = newUpstream(ln.Addr().String()), stateReady
	g.replicas = []*replica{p}
	r.groups.Store(&map[string]*group{"thumbs": g})
	body := make([]byte, 1024)
	for name, url := range map[string]string{"direct": "http://" + ln.Addr().String() + "/", "front": g.url} {
		b.Run(name, func(b *testing.B) {
			client := &fasthttp.Client{}
			defer client.CloseIdleConnections()
			before := cpuTime(b)
			b.ReportAllocs()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				var req fasthttp.Request
				var resp fasthttp.Response
				req.SetRequestURI(url)
				req.Header.SetMethod("POST")
				req.SetBody(body)
				for pb.Next() {
					if err := client.Do(&req, &resp); err != nil || resp.StatusCode() != 200 {
						b.Errorf("got %d, %v", resp.StatusCode(), err)
						return
					}
				}
			})
			b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/1000/float64(b.N), "cpu-us/op")
		})
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
