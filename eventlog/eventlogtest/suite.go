// Package eventlogtest is the conformance suite of package eventlog: the same
// promises against the embedded broker and against Apache Kafka.
package eventlogtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
)

// patience is how long the suite waits for what must come.
const patience = 60 * time.Second

// Run runs the suite. config returns a configuration for a running broker; the
// suite chooses topic prefixes and groups of its own.
func Run(t *testing.T, config func(testing.TB) eventlog.Config) {
	s := suite{config: config}
	for _, c := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"append", s.testAppend},
		{"read", s.testRead},
		{"consume", s.testConsume},
		{"failure", s.testFailure},
		{"group", s.testGroup},
		{"parked", s.testParked},
		{"cursors", s.testCursors},
		{"history", s.testHistory},
		{"tap", s.testTap},
	} {
		t.Run(c.name, c.run)
	}
}

type suite struct {
	config func(testing.TB) eventlog.Config
}

var prefixes atomic.Int64

// fresh is a configuration with topics and a group nobody used before.
func (s suite) fresh(t testing.TB, partitions int) eventlog.Config {
	cfg := s.config(t)
	cfg.TopicPrefix = fmt.Sprintf("t%d-%d.", time.Now().UnixNano(), prefixes.Add(1))
	cfg.Group = cfg.TopicPrefix + "group"
	cfg.Partitions = partitions
	return cfg
}

// open opens a log and closes it with the test.
func open(t testing.TB, cfg eventlog.Config) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		l.Close(ctx)
	})
	return l
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// message is an event whose id is also its value.
func message(key, id string) event.Message {
	e := &event.Event{ID: id, Source: "/eventlogtest", Type: "com.example.test", Subject: key, Data: []byte(id)}
	return e.Message()
}

func messages(key string, from, to int) []event.Message {
	var m []event.Message
	for i := from; i < to; i++ {
		m = append(m, message(key, fmt.Sprintf("%s-%d", key, i)))
	}
	return m
}

func ids(key string, from, to int) []string {
	var s []string
	for i := from; i < to; i++ {
		s = append(s, fmt.Sprintf("%s-%d", key, i))
	}
	return s
}

func mustAppend(t testing.TB, l *eventlog.Log, msgs ...event.Message) []event.Position {
	t.Helper()
	at, err := l.Append(within(t), eventlog.Events, msgs)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return at
}

// values reads a topic without following it.
func values(t testing.TB, l *eventlog.Log, from eventlog.From) []string {
	t.Helper()
	var got []string
	err := l.Read(within(t), eventlog.Events, from, eventlog.ReadOptions{}, func(r event.Record) error {
		got = append(got, string(r.Message.Value))
		return nil
	})
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return got
}

func equal(t testing.TB, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
}

// inbox is a handler that keeps what it gets and leaves settling to the test.
// Release waits for what is open to be settled.
type inbox struct {
	mu      sync.Mutex
	got     []delivery
	parked  []delivery
	events  []string      // Own and Release, as they came
	open    map[int32]int // handed over and not settled, by partition
	changed chan struct{} // closed at the next change
	// auto settles at once, later from another goroutine; block and
	// blockParked are waited for before a batch is taken.
	auto        bool
	later       bool
	block       func(ctx context.Context, recs []event.Record)
	blockParked func(ctx context.Context, function string, recs []event.Record)
}

type delivery struct {
	event.Record
	function string
	settle   func(int64)
}

func (d delivery) done() { d.settle(d.Offset) }

func newInbox() *inbox {
	return &inbox{changed: make(chan struct{}), open: make(map[int32]int)}
}

// settleOn settles at once what comes from now on.
func (b *inbox) settleOn() {
	b.mu.Lock()
	b.auto = true
	b.mu.Unlock()
}

// change does what f does and wakes who waits.
func (b *inbox) change(f func()) {
	b.mu.Lock()
	f()
	close(b.changed)
	b.changed = make(chan struct{})
	b.mu.Unlock()
}

// Own implements eventlog.Handler.
func (b *inbox) Own(_ context.Context, partition int32) {
	b.change(func() {
		b.events = append(b.events, fmt.Sprint("own ", partition))
		b.open[partition] = 0
	})
}

// Handle implements eventlog.Handler.
func (b *inbox) Handle(ctx context.Context, recs []event.Record, settle func(int64)) {
	if b.block != nil {
		b.block(ctx, recs)
	}
	b.take(&b.got, "", recs, settle)
}

// HandleParked implements eventlog.Handler.
func (b *inbox) HandleParked(ctx context.Context, function string, recs []event.Record, settle func(int64)) {
	if b.blockParked != nil {
		b.blockParked(ctx, function, recs)
	}
	b.take(&b.parked, function, recs, settle)
}

func (b *inbox) take(into *[]delivery, function string, recs []event.Record, settle func(int64)) {
	partition := recs[0].Partition
	counted := func(offset int64) {
		settle(offset)
		b.change(func() { b.open[partition]-- })
	}
	auto := false
	b.change(func() {
		for _, r := range recs {
			*into = append(*into, delivery{r, function, counted})
		}
		b.open[partition] += len(recs)
		auto = b.auto
	})
	all := func() {
		for _, r := range recs {
			counted(r.Offset)
		}
	}
	switch {
	case auto:
		all()
	case b.later:
		go all()
	}
}

// Release implements eventlog.Handler.
func (b *inbox) Release(ctx context.Context, partition int32) {
	b.change(func() { b.events = append(b.events, fmt.Sprint("release ", partition)) })
	for {
		b.mu.Lock()
		open, changed := b.open[partition], b.changed
		b.mu.Unlock()
		if open == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// until waits until enough says so of all that came.
func (b *inbox) until(t testing.TB, enough func([]delivery) bool) []delivery {
	t.Helper()
	return b.untilOf(t, &b.got, 0, enough)
}

// untilParked is the same for what was parked.
func (b *inbox) untilParked(t testing.TB, enough func([]delivery) bool) []delivery {
	t.Helper()
	return b.untilOf(t, &b.parked, 0, enough)
}

// untilOf asks once there are at least so many. While more of them come it is patient.
func (b *inbox) untilOf(t testing.TB, of *[]delivery, least int, enough func([]delivery) bool) []delivery {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		b.mu.Lock()
		var got []delivery
		there, changed := len(*of) >= least, b.changed
		if there {
			got = slices.Clone(*of)
		}
		b.mu.Unlock()
		if there && enough(got) {
			return got
		}
		select {
		case <-changed:
			if !there {
				late.Reset(patience)
			}
		case <-late.C:
			t.Fatalf("waited in vain; got %d: %v", len(got), valuesOf(got))
		}
	}
}

func (b *inbox) wait(t testing.TB, n int) []delivery {
	t.Helper()
	return b.untilOf(t, &b.got, n, func([]delivery) bool { return true })
}

func valuesOf(ds []delivery) []string {
	var s []string
	for _, d := range ds {
		s = append(s, string(d.Message.Value))
	}
	return s
}

// consuming is a Consume on its way.
type consuming struct {
	cancel context.CancelFunc
	ended  chan error
}

func consume(t testing.TB, l *eventlog.Log, h eventlog.Handler) *consuming {
	ctx, cancel := context.WithCancel(context.Background())
	c := &consuming{cancel, make(chan error, 1)}
	go func() { c.ended <- l.Consume(ctx, h) }()
	t.Cleanup(func() { c.stop(t) })
	return c
}

// stop ends it and returns its error; the second time nil.
func (c *consuming) stop(t testing.TB) error {
	t.Helper()
	if c.ended == nil {
		return nil
	}
	c.cancel()
	select {
	case err := <-c.ended:
		c.ended = nil
		return err
	case <-time.After(patience):
		t.Fatal("Consume does not return")
	}
	return nil
}

func (c *consuming) mustStop(t testing.TB) {
	t.Helper()
	if err := c.stop(t); err != nil {
		t.Fatalf("consume: %v", err)
	}
}

// network is a cable that can be cut.
type network struct {
	mu    sync.Mutex
	off   bool
	conns map[net.Conn]bool
}

func plug(cfg *eventlog.Config) *network {
	n := &network{conns: make(map[net.Conn]bool)}
	cfg.Dial = n.dial
	return n
}

func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.off {
		return nil, errors.New("the cable is cut")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		n.conns[conn] = true
	}
	return conn, err
}

func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.off = true
	for c := range n.conns {
		c.Close()
	}
	clear(n.conns)
}

func (n *network) mend() {
	n.mu.Lock()
	n.off = false
	n.mu.Unlock()
}

func errorNames(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not name %q", err, w)
		}
	}
}
