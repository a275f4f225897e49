package eventlogtest

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// smallLimit is the max.message.bytes of an operator's topic.
const smallLimit = 20_000

// administer connects as an operator.
func administer(t *testing.T, cfg eventlog.Config) *kadm.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

// noise is a message that does not compress.
func noise(size int) event.Message {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rand.Uint32()) // #nosec G404 -- for tests
	}
	return event.Message{Value: b}
}

// smallOnes appends many records at a time, each far below the limit and all together over it.
func smallOnes(t *testing.T, l *eventlog.Log, each func(error)) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			_, err := l.Append(within(t), eventlog.Events, []event.Message{noise(2000)})
			mu.Lock()
			defer mu.Unlock()
			each(err)
		})
	}
	wg.Wait()
}

func (s suite) smallTopic(t *testing.T) {
	cfg := s.fresh(t, 1)
	limit := strconv.Itoa(smallLimit)
	resp, err := administer(t, cfg).CreateTopic(within(t), 1, -1, map[string]*string{"max.message.bytes": &limit}, cfg.TopicPrefix+"events")
	if err = errors.Join(err, resp.Err); err != nil {
		t.Fatal(err)
	}
	l := open(t, cfg)
	smallOnes(t, l, func(err error) {
		if err != nil {
			t.Errorf("a small record among many: %v", err)
		}
	})
	if _, err := l.Append(within(t), eventlog.Events, []event.Message{noise(smallLimit)}); !errors.Is(err, eventlog.ErrTooLarge) {
		t.Errorf("a record over the limit: %v", err)
	}
}

func (s suite) shrunkTopic(t *testing.T) {
	cfg := s.fresh(t, 1)
	l := open(t, cfg)
	mustAppend(t, l, message("a", "before"))
	limit := strconv.Itoa(smallLimit)
	_, err := administer(t, cfg).AlterTopicConfigs(within(t), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, cfg.TopicPrefix+"events")
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t)
	for err = errors.New("not yet"); !errors.Is(err, eventlog.ErrTooLarge); {
		if ctx.Err() != nil {
			t.Fatal("a record over the new limit is taken, or nobody knows why not")
		}
		if _, err = l.Append(ctx, eventlog.Events, []event.Message{noise(5 * smallLimit)}); err != nil && !errors.Is(err, eventlog.ErrTooLarge) && !errors.Is(err, eventlog.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	taken := 0
	smallOnes(t, l, func(err error) {
		if err == nil {
			taken++
		} else if !errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("a small record among many: %v", err)
		}
	})
	if _, err := l.Append(within(t), eventlog.Events, []event.Message{noise(2000)}); err != nil {
		t.Errorf("a small record alone: %v (%d among many were taken)", err, taken)
	}
}
