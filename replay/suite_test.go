package replay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// world is everything beside the player, and outlives it: the log, the
// cursors, what was parked, what went out live.
type world struct {
	t  *testing.T
	mu sync.Mutex
	// events by partition; start is the oldest offset that is left.
	events [][]event.Record
	start  []int64
	// settled is how far the live stream's progress was committed.
	settled []int64
	cursors map[string]map[int32]Cursor
	calls   map[string]int
	// live and parked are event ids by link, in the order of delivery.
	live, parked map[string][]string
	replays      map[string]int // parked deliveries by replay
	duplicates   map[string]bool
	behind       bool
	// failing returns an error for what should fail now: commit, park, names, load, read.
	failing func(what string) error
	// parkDelay is how long an acknowledgement takes.
	parkDelay time.Duration
	set       resource.Set
	finished  map[string]resource.ReplayStatus
}

func newWorld(t *testing.T, partitions int) *world {
	return &world{
		t: t, events: make([][]event.Record, partitions), start: make([]int64, partitions), settled: make([]int64, partitions),
		cursors: map[string]map[int32]Cursor{}, calls: map[string]int{}, live: map[string][]string{}, parked: map[string][]string{},
		replays: map[string]int{}, duplicates: map[string]bool{}, failing: func(string) error { return nil }, finished: map[string]resource.ReplayStatus{},
	}
}

func (w *world) fails(what string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[what]++
	return w.failing(what)
}

// emit appends an event and returns its record.
func (w *world) emit(partition int32, typ string) event.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	offset := int64(len(w.events[partition]))
	id := fmt.Sprintf("%d:%d", partition, offset)
	r := event.Record{
		Position: event.Position{Partition: partition, Offset: offset}, Timestamp: time.Now(),
		Event: &event.Event{ID: id, Source: "/t", Type: typ}, Message: event.Message{Key: []byte("k")},
	}
	w.events[partition] = append(w.events[partition], r)
	return r
}

// Extents implements Log.
func (w *world) Extents(context.Context) (map[int32]Extent, error) {
	if err := w.fails("extents"); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	m := map[int32]Extent{}
	for p := range w.events {
		m[int32(p)] = Extent{w.start[p], int64(len(w.events[p]))}
	}
	return m, nil
}

// Since implements Log.
func (w *world) Since(_ context.Context, at time.Time) (map[int32]int64, error) {
	if err := w.fails("since"); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	m := map[int32]int64{}
	for p, recs := range w.events {
		i := slices.IndexFunc(recs, func(r event.Record) bool { return !r.Timestamp.Before(at) })
		if i < 0 {
			i = len(recs)
		}
		m[int32(p)] = max(int64(i), w.start[p])
	}
	return m, nil
}

// Read implements Log.
func (w *world) Read(_ context.Context, partition int32, from int64, fn func(event.Record) bool) error {
	if err := w.fails("read"); err != nil {
		return err
	}
	w.mu.Lock()
	recs := slices.Clone(w.events[partition][max(from, w.start[partition]):])
	w.mu.Unlock()
	for _, r := range recs {
		if !fn(r) {
			return nil
		}
	}
	return nil
}

// Next implements Stream.
func (w *world) Next(partition int32) (int64, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.settled[partition], true
}

// Names implements Cursors.
func (w *world) Names(context.Context) ([]string, error) {
	if err := w.fails("names"); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.cursors)), nil
}

// Load implements Cursors.
func (w *world) Load(_ context.Context, name string) (map[int32]Cursor, error) {
	if err := w.fails("load"); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.cursors[name]), nil
}

// Commit implements Cursors.
func (w *world) Commit(ctx context.Context, name string, at map[int32]Cursor) error {
	if err := errors.Join(ctx.Err(), w.fails("commit")); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cursors[name] == nil {
		w.cursors[name] = map[int32]Cursor{}
	}
	maps.Copy(w.cursors[name], at)
	return nil
}

// Drop implements Cursors.
func (w *world) Drop(_ context.Context, name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.cursors, name)
	return nil
}

// Choose implements Chooser.
func (w *world) Choose(_ context.Context, link string, rec *event.Record) (Choice, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.set.Links {
		if l.Metadata.Name == link && slices.Contains(l.Spec.Types, rec.Event.Type) {
			fn := &resource.Function{Metadata: resource.Metadata{Name: l.Spec.Function}}
			return Choice{Target: resource.Target{Link: l, Function: fn}, Revision: w.set.Revision}, true, nil
		}
	}
	return Choice{}, false, nil
}

// Park implements Parker.
func (w *world) Park(p *event.Parked, partition int32, _, _ string, done func(error)) {
	if err := w.fails("park"); err != nil {
		done(err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if pos, err := event.ParsePosition(p.Position); err != nil || pos.Partition != partition || p.Accepted.IsZero() {
		w.t.Errorf("parked at %d: %+v", partition, p)
	}
	if p.Reason == event.ParkReplay {
		w.replays[p.Replay]++
	} else {
		w.parked[p.Link] = append(w.parked[p.Link], p.Event.ID)
	}
	delay := w.parkDelay
	if delay == 0 {
		done(nil)
		return
	}
	time.AfterFunc(delay, func() { done(nil) })
}

// Behind implements Parker.
func (w *world) Behind(string, int32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.behind
}

// Lag implements Parker.
func (w *world) Lag(context.Context, string) (int64, error) { return 1 << 40, nil }

// Duplicates implements Dedup.
func (w *world) Duplicates(_ context.Context, recs []event.Record, dup []bool) error {
	if err := w.fails("dedup"); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range recs {
		dup[i] = w.duplicates[recs[i].Event.ID]
	}
	return nil
}

// Finish implements Finisher.
func (w *world) Finish(_ context.Context, r *resource.Replay, s resource.ReplayStatus) error {
	if err := w.fails("finish"); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finished[r.Metadata.Name] = s
	return nil
}

// process is a player that owns all partitions.
type process struct {
	*Player
	w      *world
	stop   context.CancelFunc
	own    context.Context
	lose   context.CancelFunc
	done   chan struct{}
	at     []int64 // where the live stream goes on
	stream []turn
}

func (w *world) begin() *process {
	w.t.Helper()
	return w.beginWith(func(*Config, *Parts) {})
}

func (w *world) beginWith(change func(*Config, *Parts)) *process {
	w.t.Helper()
	cfg := DefaultConfig()
	parts := Parts{Log: w, Stream: w, Cursors: w, Chooser: w, Parker: w, Dedup: w, Finisher: w, Filter: filterByType, Logger: slog.New(slog.DiscardHandler)}
	change(&cfg, &parts)
	p, err := New(cfg, parts)
	if err != nil {
		w.t.Fatal(err)
	}
	x := &process{Player: p, w: w, done: make(chan struct{}), at: slices.Clone(w.settled)}
	for range w.events {
		x.stream = append(x.stream, newTurn())
	}
	var ctx context.Context
	ctx, x.stop = context.WithCancel(context.Background())
	x.own, x.lose = context.WithCancel(context.Background())
	go func() {
		defer close(x.done)
		_ = p.Run(ctx)
	}()
	p.Update(w.set)
	for i := range w.events {
		p.Own(x.own, int32(i))
	}
	return x
}

// crash ends the process without a hand-over.
func (x *process) crash() {
	x.lose()
	x.endStream()
	x.stop()
	<-x.done
}

// endStream waits until the live stream stands still.
func (x *process) endStream() {
	for i := range x.stream {
		x.stream[i].take()
		x.at[i] = 1 << 60
		x.stream[i].give()
	}
}

// release ends the process cleanly.
func (x *process) release() {
	for i := range x.w.events {
		x.Release(context.Background(), int32(i))
	}
	x.crash()
}

// use puts a set in force: here, and for choosing.
func (x *process) use(links []*resource.Link, replays ...*resource.Replay) {
	x.w.use(links, replays...)
	x.Update(x.w.set)
}

func (w *world) use(links []*resource.Link, replays ...*resource.Replay) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set = resource.Set{Revision: w.set.Revision + 1, Links: links, Replays: replays}
	for _, l := range links {
		if l.Metadata.Revision == 0 {
			l.Metadata.Revision = w.set.Revision
		}
	}
}

// consume brings the live stream up to the end of a partition, and settles it.
func (x *process) consume(partition int32) {
	x.stream[partition].take()
	defer x.stream[partition].give()
	for {
		x.w.mu.Lock()
		recs := x.w.events[partition]
		i := x.at[partition]
		links := x.w.set.Links
		x.w.mu.Unlock()
		if i >= int64(len(recs)) {
			return
		}
		for _, l := range links {
			if !slices.Contains(l.Spec.Types, recs[i].Event.Type) {
				continue
			}
			skip, err := x.Skip(x.own, l, recs[i].Position)
			if err != nil {
				return
			}
			if !skip {
				x.w.mu.Lock()
				x.w.live[l.Metadata.Name] = append(x.w.live[l.Metadata.Name], recs[i].Event.ID)
				x.w.mu.Unlock()
			}
		}
		x.at[partition] = i + 1
		x.w.mu.Lock()
		x.w.settled[partition] = i + 1
		x.w.mu.Unlock()
	}
}

func filterByType(expr string) (func(*event.Event) bool, error) {
	return func(ev *event.Event) bool { return ev.Type == expr }, nil
}

func link(name string, types ...string) *resource.Link {
	uid := resource.NewUID(time.Now())
	return &resource.Link{Metadata: resource.Metadata{Name: name, UID: uid}, Spec: resource.LinkSpec{Function: "f-" + name, Types: types}}
}

// with is a new version of a link.
func with(l *resource.Link, change func(*resource.LinkSpec)) *resource.Link {
	c := *l
	c.Metadata.Revision = 0
	change(&c.Spec)
	return &c
}

func paused(l *resource.Link) *resource.Link {
	return with(l, func(s *resource.LinkSpec) { s.Paused = true })
}
func resumed(l *resource.Link) *resource.Link {
	return with(l, func(s *resource.LinkSpec) { s.Paused = false })
}

func (w *world) got(link string) (live, parked string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.live[link], " "), strings.Join(w.parked[link], " ")
}

func (w *world) wants(link, live, parked string) {
	w.t.Helper()
	if l, p := w.got(link); l != live || p != parked {
		w.t.Errorf("%s: live %q, parked %q; want %q and %q", link, l, p, live, parked)
	}
}

func (w *world) count(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[what]
}

// virtual runs a test in virtual time.
func virtual(t *testing.T, fn func(t *testing.T)) { synctest.Test(t, fn) }

// pass lets time go by, and then what became due happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
