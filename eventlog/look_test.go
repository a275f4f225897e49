package eventlog

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/signalbox-dev/signalbox/eventlog/embedded"
)

// A topic may be deleted and made anew between two looks. Where its offsets are taken for those
// of the one before, its first deliveries are passed over.
func TestATopicIsReadOnceItIsKnownWhichItIs(t *testing.T) {
	l := &Log{cfg: Config{TopicPrefix: "t."}, log: slog.New(slog.DiscardHandler)}
	l.tails.init()
	l.parked.of = map[string]*parkTopic{}
	c := &consumer{log: l}
	p := c.newPartition(0, nil)
	defer p.cancel()
	topics := map[string]int32{"f": 1}
	look := func(end int64) error {
		ends := map[topicPartition]listedEnd{{"t.parked.f", 0}: {offset: end}}
		return c.lookAt(p, topics, kadm.OffsetResponses{}, ends)
	}
	made := l.parkTopic("f")
	if err := look(10); !errors.Is(err, errNotListed) || p.stream("f") != nil {
		t.Errorf("a topic that was not listed: %v, and it is read", err)
	}
	if l.tails.hasLooked(0) {
		t.Error("what is parked passes for known")
	}
	made.id.Store(&topicID{1})
	if err := look(0); err != nil || p.stream("f") == nil {
		t.Fatalf("a topic that was listed: %v, and it is not read", err)
	}
	s := p.stream("f")
	s.tail.end.Store(10)
	s.tail.at.Store(10)
	made.id.Store(nil) // this process made it anew
	if err := look(30); !errors.Is(err, errNotListed) || s.tail.end.Load() != 10 {
		t.Errorf("%v, and the stream goes on to %d, of whichever topic", err, s.tail.end.Load())
	}
	made.id.Store(&topicID{2})
	if err := look(0); err != nil || s.tail.at.Load() != 0 {
		t.Errorf("%v, and another topic is read from %d", err, s.tail.at.Load())
	}
}

// A look may list one topic and be told the end of the next one by that name: what is read
// is of the topic that is meant, or nothing.
func TestATopicThatWasMadeAnewIsNotReadForTheOneBefore(t *testing.T) {
	b, err := embedded.Start(embedded.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	cfg := DefaultConfig()
	cfg.Brokers, cfg.Embedded, cfg.Partitions = []string{b.Addr()}, true, 1
	l, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	topic := Parked("f")
	create := func() topicID {
		t.Helper()
		if _, err := l.adm.CreateTopic(t.Context(), 1, 1, nil, l.topicName(topic)); err != nil {
			t.Fatal(err)
		}
		id, err := l.idOf(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	read := func(of topicID) error {
		_, _, err := l.fetchOf(t.Context(), topic, of, 0, 0, 1<<10)
		return err
	}
	first := create()
	if err := read(first); err != nil {
		t.Fatal(err)
	}
	if _, err := l.adm.DeleteTopic(t.Context(), l.topicName(topic)); err != nil {
		t.Fatal(err)
	}
	second := create()
	if err := read(first); !errors.Is(err, errMadeAnew) {
		t.Errorf("the first one: %v, want errMadeAnew", err)
	}
	for name, id := range map[string]topicID{"the second one": second, "whichever there is": {}} {
		if err := read(id); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAListingFromBeforeATopicWasFoundToBeAnotherSaysNothing(t *testing.T) {
	one, two, three := topicID{1}, topicID{2}, topicID{3}
	at := func(s int64) time.Time { return time.Unix(1_800_000_000+s, 0) }
	p := &parkTopic{}
	p.known(1, one, at(0))
	p.renewed(two, at(2))
	for _, step := range []struct {
		listed topicID
		when   time.Time
		want   topicID
	}{{one, at(1), two}, {three, at(3), three}} {
		if p.known(1, step.listed, step.when); *p.id.Load() != step.want {
			t.Errorf("listed at %s: %v, want %v", step.when, *p.id.Load(), step.want)
		}
	}
}
