package dispatcher_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/dispatcher/dispatchertest"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// bed is a dispatcher with its parts and one partition.
type bed struct {
	*dispatcher.Dispatcher
	t      testing.TB
	cfg    dispatcher.Config
	parts  dispatcher.Parts
	log    *dispatchertest.Log
	claims *dispatchertest.Claims
	// part is the partition's context, lose ends it.
	part context.Context
	lose context.CancelFunc
	stop func() error

	mu      sync.Mutex
	settled map[int64]int
	change  chan struct{}
}

// newBed starts a dispatcher that delivers every event to the targets; change
// may change it before.
func newBed(t testing.TB, targets []resource.Target, change func(*bed)) *bed {
	t.Helper()
	b := &bed{
		t: t, cfg: dispatcher.DefaultConfig(), log: &dispatchertest.Log{}, claims: &dispatchertest.Claims{},
		settled: map[int64]int{},
	}
	b.parts = dispatcher.Parts{
		Deduper:   b.claims,
		Chooser:   dispatchertest.Always(targets...),
		Endpoints: dispatchertest.URLs{},
		Log:       b.log,
		Logger:    slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(b)
	}
	d, err := dispatcher.New(b.cfg, b.parts)
	if err != nil {
		t.Fatal(err)
	}
	b.Dispatcher = d
	b.part, b.lose = context.WithCancel(context.Background())
	run, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(run) }()
	b.stop = sync.OnceValue(func() error {
		b.lose()
		cancel()
		return <-done
	})
	t.Cleanup(func() { b.stop() })
	return b
}

func (b *bed) settle(offset int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settled[offset]++
	if b.settled[offset] > 1 {
		b.t.Errorf("offset %d settled %d times", offset, b.settled[offset])
	}
	if b.change != nil {
		close(b.change)
		b.change = nil
	}
}

// waitSettled waits until n records are settled.
func (b *bed) waitSettled(n int) {
	b.t.Helper()
	b.waitSettledWithin(n, 20*time.Second)
}

func (b *bed) waitSettledWithin(n int, limit time.Duration) {
	b.t.Helper()
	late := time.After(limit)
	for {
		b.mu.Lock()
		got := len(b.settled)
		if b.change == nil {
			b.change = make(chan struct{})
		}
		change := b.change
		b.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-change:
		case <-late:
			b.t.Fatalf("%d records settled, want %d; lanes %+v; runs %+v", got, n, b.Lanes(), b.log.Runs())
		}
	}
}

// waitRuns waits until n run records are written.
func (b *bed) waitRuns(n int) {
	b.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		changed := b.log.Changed()
		if len(b.log.Runs()) >= n {
			return
		}
		select {
		case <-changed:
		case <-limit:
			b.t.Fatalf("%d runs, want %d", len(b.log.Runs()), n)
		}
	}
}

func (b *bed) settledCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.settled)
}

// send hands over the events as records of partition 3 from offset 0 on.
func (b *bed) send(evs ...*event.Event) { b.Handle(b.part, records(0, evs...), b.settle) }

func records(first int64, evs ...*event.Event) []event.Record {
	recs := make([]event.Record, len(evs))
	for i, ev := range evs {
		recs[i] = event.Record{
			Position:  event.Position{Partition: 3, Offset: first + int64(i)},
			Event:     ev,
			Timestamp: time.Now(),
		}
	}
	return recs
}

func newEvent(id string) *event.Event {
	return &event.Event{ID: id, Source: "/test", Type: "com.example.test", DataContentType: "application/json", Data: []byte(`{"n":1}`)}
}

func newEvents(n int) []*event.Event {
	evs := make([]*event.Event, n)
	for i := range evs {
		evs[i] = newEvent("e" + strconv.Itoa(i))
	}
	return evs
}

// serve answers with h on a real loopback address.
func serve(t testing.TB, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func fast() resource.Delivery {
	return resource.Delivery{
		Attempts: 3, Timeout: resource.Duration(5 * time.Second),
		Backoff: resource.Backoff{Initial: resource.Duration(time.Millisecond), Max: resource.Duration(2 * time.Millisecond)},
	}
}

func one(url string) []resource.Target {
	return []resource.Target{dispatchertest.Target("link", "fn", url, fast())}
}

// pipes connects clients to handlers by host name over net.Pipe, so that time
// in a synctest bubble stands still while a call is made.
type pipes struct {
	mu    sync.Mutex
	hosts map[string]http.HandlerFunc
}

func (p *pipes) dial(_ context.Context, _, addr string) (net.Conn, error) {
	p.mu.Lock()
	h := p.hosts[addr]
	p.mu.Unlock()
	if h == nil {
		return nil, &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}
	}
	client, server := net.Pipe()
	go servePipe(server, h)
	return client, nil
}

func servePipe(c net.Conn, h http.HandlerFunc) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		req.Body = io.NopCloser(newReader(body))
		rec := httptest.NewRecorder()
		h(rec, req)
		res := rec.Result()
		res.ContentLength = int64(rec.Body.Len())
		if res.Write(c) != nil {
			return
		}
	}
}

// wordLog collects words from several goroutines.
type wordLog struct {
	mu    sync.Mutex
	words []string
}

func (l *wordLog) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.words = append(l.words, fmt.Sprintf(format, args...))
}

func (l *wordLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.words, " ")
}
