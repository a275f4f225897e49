package eventlog_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
)

// BenchmarkAppend appends 1 KiB JSON events, from 64 goroutines, one at a
// time. SIGNALBOX_BENCH_BROKERS names a broker other than the embedded one.
func BenchmarkAppend(b *testing.B) {
	for _, codec := range []string{"none", "lz4", "snappy", "zstd"} {
		b.Run(codec, func(b *testing.B) {
			l := benchLog(b, codec)
			msgs := make([]event.Message, 1000)
			for i := range msgs {
				msgs[i] = benchMessage(i)
			}
			b.SetParallelism(32)
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, err := l.Append(context.Background(), eventlog.Events, msgs[i%1000:i%1000+1]); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}

func benchLog(b *testing.B, codec string) *eventlog.Log {
	cfg := eventlog.DefaultConfig()
	if brokers := os.Getenv("SIGNALBOX_BENCH_BROKERS"); brokers != "" {
		cfg.Brokers = strings.Split(brokers, ",")
	} else {
		cfg = embeddedConfig(b)
		cfg.RetentionBytes = 8 << 30
	}
	cfg.Compression = codec
	cfg.TopicPrefix = fmt.Sprintf("bench%d.", os.Getpid())
	l, err := eventlog.Open(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close(context.Background()) })
	return l
}

// benchMessage compresses about as well as real JSON does.
func benchMessage(i int) event.Message {
	var buf bytes.Buffer
	buf.WriteString(`{"order":`)
	for n := 0; buf.Len() < 1000; n++ {
		fmt.Fprintf(&buf, `{"sku":"%08x","count":%d,"price":%d.%02d},`, uint32(i*2654435761+n*40503), n, (i*7+n)%997, n%100)
	}
	buf.WriteString(`0}`)
	e := &event.Event{ID: fmt.Sprint(i), Source: "/bench", Type: "com.example.order", DataContentType: "application/json", Data: buf.Bytes()}
	return e.Message()
}

// BenchmarkConsume hands records over and settles them at once.
func BenchmarkConsume(b *testing.B) {
	l := benchLog(b, "lz4")
	for from := 0; from < b.N; from += 1000 {
		var msgs []event.Message
		for i := from; i < min(b.N, from+1000); i++ {
			msgs = append(msgs, benchMessage(i))
		}
		if _, err := l.Append(b.Context(), eventlog.Events, msgs); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := &counter{left: b.N, done: cancel}
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	l.Consume(ctx, done)
	b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
}

// cpuTime is user and system time of this process, with the embedded broker
// if it is used.
func cpuTime() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

type counter struct {
	mu   sync.Mutex
	left int
	done func()
}

func (c *counter) Own(context.Context, int32) {}

func (c *counter) HandleParked(ctx context.Context, _ string, recs []event.Record, settle func(int64)) {
	c.Handle(ctx, recs, settle)
}

func (c *counter) Release(context.Context, int32) {}

func (c *counter) Handle(_ context.Context, recs []event.Record, settle func(int64)) {
	for _, r := range recs {
		settle(r.Offset)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left -= len(recs); c.left <= 0 {
		c.done()
	}
}
