package eventlogtest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/twmb/franz-go/pkg/kgo"
)

func (s suite) testRead(t *testing.T) {
	cfg := s.fresh(t, 1)
	l := open(t, cfg)
	mustAppend(t, l, messages("r", 0, 5)...)
	middle := waitNextMilli(t)
	at := mustAppend(t, l, messages("r", 5, 10)...)
	for name, c := range map[string]struct {
		from eventlog.From
		want []string
	}{
		"earliest":               {eventlog.Earliest(), ids("r", 0, 10)},
		"latest":                 {eventlog.Latest(), nil},
		"since a time":           {eventlog.Since(middle), ids("r", 5, 10)},
		"since the future":       {eventlog.Since(middle.Add(time.Hour)), nil},
		"the last three":         {eventlog.Last(3), ids("r", 7, 10)},
		"more than there is":     {eventlog.Last(100), ids("r", 0, 10)},
		"an exact position":      {eventlog.FromPositions(at[2]), ids("r", 7, 10)},
		"a position at the end":  {eventlog.FromPositions(event.Position{Offset: 10}), nil},
		"a position far ahead":   {eventlog.FromPositions(event.Position{Offset: 1000}), nil},
		"a partition not there":  {eventlog.FromPositions(event.Position{Partition: 7}), nil},
		"a position before zero": {eventlog.FromPositions(event.Position{Offset: -5}), ids("r", 0, 10)},
	} {
		t.Run("from "+name, func(t *testing.T) { equal(t, values(t, l, c.from), c.want) })
	}
	t.Run("a partition that is not there is not found", func(t *testing.T) {
		seven := int32(7)
		err := l.Read(within(t), eventlog.Events, eventlog.Earliest(), eventlog.ReadOptions{Partition: &seven}, nil)
		if !errors.Is(err, eventlog.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("stops when told", func(t *testing.T) {
		n := 0
		err := l.Read(within(t), eventlog.Events, eventlog.Earliest(), eventlog.ReadOptions{}, func(event.Record) error {
			n++
			return eventlog.ErrStop
		})
		if n != 1 || err != nil {
			t.Errorf("%d records, %v", n, err)
		}
	})
	t.Run("one record by position", func(t *testing.T) {
		for _, pos := range at {
			if r, err := l.At(within(t), eventlog.Events, pos); err != nil || r.Position != pos {
				t.Errorf("%v: got %v, %v", pos, r.Position, err)
			}
		}
		for _, pos := range []event.Position{{Offset: 10}, {Offset: 1 << 40}, {Offset: -1}, {Partition: 1}, {Partition: -1}} {
			if _, err := l.At(within(t), eventlog.Events, pos); !errors.Is(err, eventlog.ErrNotFound) {
				t.Errorf("%v: got %v, want ErrNotFound", pos, err)
			}
		}
	})
	t.Run("follows what is appended later", func(t *testing.T) { follows(t, l) })
	t.Run("passes over transactions that were aborted", func(t *testing.T) {
		transactions(t, cfg)
		// The broker answers before the markers stand in the log, and only then
		// does the end move past them.
		want, got := []string{"committed-0"}, values(t, l, eventlog.Last(4))
		for ctx := within(t); !slices.Equal(got, want) && ctx.Err() == nil; {
			got = values(t, l, eventlog.Last(4))
		}
		equal(t, got, want)
	})
	t.Run("what was truncated is gone", func(t *testing.T) {
		if err := l.TruncateBefore(within(t), eventlog.Events, at[3]); err != nil {
			t.Fatal(err)
		}
		if got := values(t, l, eventlog.Earliest()); got[0] != "r-8" {
			t.Errorf("begins with %s", got[0])
		}
		if _, err := l.At(within(t), eventlog.Events, at[2]); !errors.Is(err, eventlog.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}

// waitNextMilli waits for the clock to pass a millisecond, the grain of the
// log's time, and returns the new one.
func waitNextMilli(t testing.TB) time.Time {
	<-time.After(5 * time.Millisecond)
	return time.Now().Truncate(time.Millisecond)
}

func follows(t *testing.T, l *eventlog.Log) {
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	got := make(chan string, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- l.Read(ctx, eventlog.Events, eventlog.Last(2), eventlog.ReadOptions{Follow: true}, func(r event.Record) error {
			got <- string(r.Message.Value)
			return nil
		})
	}()
	next := func(want string) {
		t.Helper()
		select {
		case v := <-got:
			if v != want {
				t.Fatalf("got %s, want %s", v, want)
			}
		case err := <-ended:
			t.Fatalf("ended: %v", err)
		}
	}
	next("r-8")
	next("r-9")
	mustAppend(t, l, messages("r", 10, 12)...)
	next("r-10")
	next("r-11")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

// transactions writes one that is aborted and one that is committed, with one
// record each, followed by their markers: four offsets.
func transactions(t testing.TB, cfg eventlog.Config) {
	t.Helper()
	ctx := within(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.TransactionalID(cfg.TopicPrefix+"tx"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		m := message("", map[kgo.TransactionEndTry]string{kgo.TryAbort: "aborted-0", kgo.TryCommit: "committed-0"}[end])
		r := &kgo.Record{Topic: cfg.TopicPrefix + "events", Value: m.Value}
		for _, h := range m.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
}
