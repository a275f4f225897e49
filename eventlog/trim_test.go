package eventlog_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
)

// holder settles the first records and keeps the others until it is told to let go.
type holder struct {
	mu    sync.Mutex
	first int
	held  []func()
	free  bool
}

func (h *holder) Handle(_ context.Context, recs []event.Record, settle func(int64)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range recs {
		if h.first--; h.first >= 0 {
			settle(r.Offset)
			continue
		}
		h.held = append(h.held, func() { settle(r.Offset) })
	}
	if h.free {
		h.settleLocked()
	}
}

func (h *holder) Own(context.Context, int32) {}

func (h *holder) HandleParked(ctx context.Context, _ string, recs []event.Record, settle func(int64)) {
	h.Handle(ctx, recs, settle)
}

func (h *holder) Release(context.Context, int32) {}

func (h *holder) letGo() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.free = true
	h.settleLocked()
}

func (h *holder) settleLocked() {
	for _, settle := range h.held {
		settle()
	}
	h.held = nil
}

func TestTheEmbeddedLogRefusesEventsBeforeItLosesAny(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.Partitions = 2
	cfg.RetentionBytes = 8 << 20
	cfg.CommitInterval = 5 * time.Millisecond
	l, err := eventlog.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	h := &holder{first: 50}
	ctx, cancel := context.WithCancel(t.Context())
	var consuming sync.WaitGroup
	consuming.Go(func() { l.Consume(ctx, h) })
	defer consuming.Wait()
	defer cancel()

	appended := fill(t, l)
	if bytes := appended * 10 << 10; bytes < 4<<20 || bytes > 6<<20 {
		t.Errorf("refused after %d bytes, want about five eighths of 8 MiB", bytes)
	}
	if n := count(t, l); n < appended-50 {
		t.Fatalf("%d of %d records are left, 50 are settled", n, appended)
	}
	if _, err := l.AppendReplies(t.Context(), tenKiB()); err != nil {
		t.Errorf("a reply is refused too: %v; what the log holds could never be settled", err)
	}
	h.letGo()
	for ctx := t.Context(); ; {
		_, err := l.Append(ctx, eventlog.Events, tenKiB())
		if err == nil {
			break
		}
		if !errors.Is(err, eventlog.ErrBacklog) {
			t.Fatal(err)
		}
	}
	for range 1000 { // twice the share, all of it settled at once
		if _, err := l.Append(t.Context(), eventlog.Events, tenKiB()); err != nil && !errors.Is(err, eventlog.ErrBacklog) {
			t.Fatal(err)
		}
	}
	if n := count(t, l); n > 700 {
		t.Errorf("%d records of 10 KiB are left in a share of 5 MiB", n)
	}
}

// tenKiB cannot be compressed.
func tenKiB() []event.Message {
	value := make([]byte, 10<<10)
	rand.Read(value)
	return []event.Message{{Value: value}}
}

func fill(t *testing.T, l *eventlog.Log) (n int) {
	for n < 2000 {
		_, err := l.Append(t.Context(), eventlog.Events, tenKiB())
		if errors.Is(err, eventlog.ErrBacklog) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	t.Fatalf("%d records of 10 KiB were taken", n)
	return n
}

func count(t *testing.T, l *eventlog.Log) (n int) {
	err := l.Read(t.Context(), eventlog.Events, eventlog.Earliest(), eventlog.ReadOptions{}, func(event.Record) error { n++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWhatIsParkedCountsAndIsNeverTrimmedBeforeItIsSettled(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.Partitions = 2
	cfg.RetentionBytes = 8 << 20
	cfg.CommitInterval = 5 * time.Millisecond
	l, err := eventlog.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	h := &holder{}
	ctx, cancel := context.WithCancel(t.Context())
	var consuming sync.WaitGroup
	consuming.Go(func() { l.Consume(ctx, h) })
	defer consuming.Wait()
	defer cancel()

	parkSome(t, l, 600) // of 10 KiB: more than events may take
	for refused := false; !refused; {
		_, err := l.Append(t.Context(), eventlog.Events, tenKiB())
		if refused = errors.Is(err, eventlog.ErrBacklog); err != nil && !refused {
			t.Fatal(err)
		}
	}
	if n := countParked(t, l); n != 600 {
		t.Fatalf("%d of 600 parked records are left, none is settled", n)
	}
	h.letGo()
	for {
		_, err := l.Append(t.Context(), eventlog.Events, tenKiB())
		if err == nil {
			break
		}
		if !errors.Is(err, eventlog.ErrBacklog) {
			t.Fatal(err)
		}
	}
	for n := 600; n > 300; n = countParked(t, l) {
		parkSome(t, l, 10) // who appends has the sizes looked at
	}
}

func parkSome(t *testing.T, l *eventlog.Log, n int) {
	errs := make(chan error, n)
	for range n {
		l.Park("f", 1, tenKiB()[0], func(_ event.Position, err error) { errs <- err })
	}
	for range n {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

func countParked(t *testing.T, l *eventlog.Log) (n int) {
	err := l.Read(t.Context(), eventlog.Parked("f"), eventlog.Earliest(), eventlog.ReadOptions{}, func(event.Record) error { n++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}
