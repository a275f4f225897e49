package event

import (
	"strings"
	"testing"
)

// usual is an event of 1 KiB as the benchmarks of the whole system send it.
func usual() *Event {
	return &Event{
		ID: "b6f2c1d0-7d1e-4f2a-9a5b-0f1e2d3c4b5a", Source: "https://shop.example.com/orders/eu", Type: "com.example.order.created", Subject: "order/123456",
		Time: "2026-01-31T12:00:00.123456789Z", DataContentType: "application/json",
		Extensions: []Attribute{{"partitionkey", "customer-4711"}, {ExtTraceParent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
		Data:       []byte(`{"items":["` + strings.Repeat("x", 1000) + `"]}`),
	}
}

// usualHTTP is the event as a request brings it.
func usualHTTP(e *Event) func(yield func(name, value []byte)) {
	var all [][2][]byte
	e.VisitHTTPHeaders(func(name, value string) {
		all = append(all, [2][]byte{[]byte(name), []byte(value)})
	})
	return func(yield func(name, value []byte)) {
		for i := range all {
			yield(all[i][0], all[i][1])
		}
	}
}

var sink any

func hotPaths() map[string]func() {
	e := usual()
	web, m, run := usualHTTP(e), e.Message(), fullRun()
	buf, used := make([]byte, 0, 4096), Message{}
	text := string(e.AppendJSON(nil))
	return map[string]func(){
		"ParseHTTP": func() {
			if got, err := ParseHTTP("application/json", web, e.Data); err != nil || len(got.Extensions) != 2 {
				panic("not parsed")
			}
		},
		"FromMessage": func() {
			if got, err := FromMessage(m); err != nil || len(got.Extensions) != 2 {
				panic("not parsed")
			}
		},
		"Message":          func() { sink = e.Message().Headers[0].Key == "" },
		"Validate":         func() { sink = e.Validate() },
		"AppendJSON":       func() { buf = e.AppendJSON(buf[:0]) },
		"ParseJSON":        func() { _, _ = parseJSON(text) },
		"VisitHTTPHeaders": func() { e.VisitHTTPHeaders(func(string, string) {}) },
		"Run.Message":      func() { sink = len(run.Message().Headers) == 0 },
		"AppendMessage": func() {
			used.Headers = used.Headers[:0]
			buf = run.AppendMessage(&used, buf[:0])
		},
		"Derive": func() { sink = Derive(e, e, Hop{Link: "link", Version: "v1", Began: now, Now: now}) == nil },
	}
}

func benchmark(b *testing.B, name string) {
	run := hotPaths()[name]
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
}

func BenchmarkParseHTTP(b *testing.B)        { benchmark(b, "ParseHTTP") }
func BenchmarkFromMessage(b *testing.B)      { benchmark(b, "FromMessage") }
func BenchmarkMessage(b *testing.B)          { benchmark(b, "Message") }
func BenchmarkValidate(b *testing.B)         { benchmark(b, "Validate") }
func BenchmarkAppendJSON(b *testing.B)       { benchmark(b, "AppendJSON") }
func BenchmarkParseJSON(b *testing.B)        { benchmark(b, "ParseJSON") }
func BenchmarkVisitHTTPHeaders(b *testing.B) { benchmark(b, "VisitHTTPHeaders") }
func BenchmarkRunMessage(b *testing.B)       { benchmark(b, "Run.Message") }
func BenchmarkAppendMessage(b *testing.B)    { benchmark(b, "AppendMessage") }
func BenchmarkDerive(b *testing.B)           { benchmark(b, "Derive") }
