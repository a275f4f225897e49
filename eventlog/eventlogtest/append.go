package eventlogtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
)

func (s suite) testAppend(t *testing.T) {
	cfg := s.fresh(t, 4)
	cfg.MaxMessageBytes = 64 << 10
	cfg.MaxBufferedRecords = 500
	l := open(t, cfg)

	t.Run("a batch of one key stands in one partition, in order", func(t *testing.T) {
		at := mustAppend(t, l, messages("k", 0, 10)...)
		for i, pos := range at {
			if pos.Partition != l.PartitionOf(eventlog.Events, []byte("k")) || pos.Offset != at[0].Offset+int64(i) {
				t.Fatalf("positions %v: want consecutive ones of the key's partition", at)
			}
		}
	})
	t.Run("keys go where Kafka's own clients put them", func(t *testing.T) {
		// Values of org.apache.kafka.common.utils.Utils.murmur2, sign bit off, modulo 4.
		for key, want := range map[string]int32{"21": 0, "foobar": 2, "a-little-bit-long-string": 0, "abc": 3} {
			if got := l.PartitionOf(eventlog.Events, []byte(key)); got != want {
				t.Errorf("key %q: partition %d, want %d", key, got, want)
			}
		}
		if got := l.PartitionOf(eventlog.Events, nil); got != -1 {
			t.Errorf("no key: partition %d, want -1", got)
		}
	})
	t.Run("a record comes back as it was", func(t *testing.T) {
		m := message("", "whole")
		m.Headers = append(m.Headers, event.Header{Key: "traceparent", Value: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")},
			event.Header{Key: "tracestate", Value: []byte("v=1")})
		pos := mustAppend(t, l, m)[0]
		r, err := l.At(within(t), eventlog.Events, pos)
		if err != nil {
			t.Fatal(err)
		}
		if r.Position != pos || string(r.Message.Value) != "whole" || len(r.Message.Headers) != len(m.Headers) || r.Message.Key != nil {
			t.Errorf("got %+v", r)
		}
		if r.Event == nil || r.Event.ID != "whole" || r.TraceParent != string(m.Headers[len(m.Headers)-2].Value) || r.TraceState != "v=1" {
			t.Errorf("parsed: %+v, fault %v, trace %q %q", r.Event, r.Fault, r.TraceParent, r.TraceState)
		}
		if age := time.Since(r.Timestamp); age < -time.Minute || age > time.Minute {
			t.Errorf("timestamp %v", r.Timestamp)
		}
	})
	t.Run("no messages are no work", func(t *testing.T) {
		if at, err := l.Append(t.Context(), eventlog.Events, nil); at != nil || err != nil {
			t.Errorf("got %v, %v", at, err)
		}
	})
	t.Run("async tells the position", func(t *testing.T) {
		got := make(chan error, 1)
		l.AppendAsync(eventlog.Runs, message("", "run"), func(pos event.Position, err error) {
			if err == nil && pos.Offset < 0 {
				err = fmt.Errorf("position %v", pos)
			}
			got <- err
		})
		if err := <-got; err != nil {
			t.Error(err)
		}
	})
	t.Run("telemetry comes whole, in whatever memory it is written", func(t *testing.T) { telemetry(t, l) })
	for name, msgs := range map[string][]event.Message{
		"a record that is too large":           {message("", "small"), {Value: make([]byte, 65<<10)}},
		"a batch that never fits the buffer":   make([]event.Message, 501),
		"a record that is too large by header": {{Headers: []event.Header{{Key: "h", Value: make([]byte, 65<<10)}}}},
	} {
		t.Run(name+" is refused as a whole", func(t *testing.T) {
			before := l.Stats().Produced
			if _, err := l.Append(within(t), eventlog.Events, msgs); !errors.Is(err, eventlog.ErrTooLarge) {
				t.Errorf("got %v, want ErrTooLarge", err)
			}
			if now := l.Stats().Produced; now != before {
				t.Errorf("%d records were appended", now-before)
			}
		})
	}
	t.Run("the largest event still fits as a dead letter", func(t *testing.T) {
		m := event.Message{Value: make([]byte, 63<<10)}
		if _, err := l.Append(within(t), eventlog.Events, []event.Message{m}); err != nil {
			t.Fatal(err)
		}
		m.Headers = []event.Header{{Key: "signalbox_deadletter", Value: make([]byte, 512<<10)}}
		if _, err := l.Append(within(t), eventlog.Dead, []event.Message{m}); err != nil {
			t.Error(err)
		}
	})
	t.Run("a context that is over appends nothing", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.Append(ctx, eventlog.Events, messages("x", 0, 1)); !errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("other prefixes do not see it", func(t *testing.T) {
		other := open(t, s.fresh(t, 1))
		if got := values(t, other, eventlog.Earliest()); len(got) > 0 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("a second start finds its topics", func(t *testing.T) {
		if again := open(t, cfg); again.Partitions(eventlog.Events) != 4 {
			t.Errorf("%d partitions", again.Partitions(eventlog.Events))
		}
	})
}

// telemetry appends in waves, each in memory of the one before, from several
// goroutines at a time.
func telemetry(t *testing.T, l *eventlog.Log) {
	const waves, writers, each = 10, 4, 15
	run := func(i int) *event.Run {
		return &event.Run{ID: fmt.Sprint("run-", i), Function: fmt.Sprint("f", i), EventSource: "/telemetry", EventID: strings.Repeat("x", i%40), Reason: strings.Repeat("y", i%200)}
	}
	for wave := range waves {
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					l.AppendTelemetry(eventlog.Runs, run((wave*writers+w)*each+i).AppendMessage)
				}
			})
		}
		wg.Wait()
		for l.Stats().BufferedRecords > 0 {
			<-time.After(time.Millisecond)
		}
	}
	got := map[string]event.Message{}
	err := l.Read(within(t), eventlog.Runs, eventlog.Earliest(), eventlog.ReadOptions{}, func(r event.Record) error {
		if id, _ := r.Message.Header("ce_id"); strings.HasPrefix(string(id), "run-") {
			got[string(id)] = r.Message
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != waves*writers*each {
		t.Errorf("%d records, want %d", len(got), waves*writers*each)
	}
	for i := range waves * writers * each {
		r := run(i)
		if m := got[r.ID]; !reflect.DeepEqual(m, r.Message()) {
			t.Errorf("record %s is %v, want %v", r.ID, m, r.Message())
		}
	}
}
