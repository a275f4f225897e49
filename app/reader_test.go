package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	logbroker "github.com/signalbox-dev/signalbox/eventlog/embedded"
	"github.com/signalbox-dev/signalbox/gateway"
)

// Several processes append to one partition, and their clocks differ: the times of a
// partition are not in order.
func TestPagesComeToAnEndWhereTimesAreNotInOrder(t *testing.T) {
	broker, err := logbroker.Start(logbroker.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	cfg := eventlog.DefaultConfig()
	cfg.Brokers, cfg.Embedded, cfg.Partitions = []string{broker.Addr()}, true, 2
	log, err := eventlog.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close(t.Context())
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	const each, limit = 20, 3
	begin := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	var recs []*kgo.Record
	for partition := range int32(2) {
		for n := range each {
			at := begin.Add(time.Duration(n) * time.Millisecond)
			if n%7 == 0 { // by a process whose clock is ahead
				at = at.Add(200 * time.Millisecond)
			}
			m := (&event.Event{ID: fmt.Sprint(partition, "-", n), Source: "/s", Type: "t"}).Message()
			r := &kgo.Record{Topic: cfg.TopicPrefix + "events", Partition: partition, Value: m.Value, Timestamp: at}
			for _, h := range m.Headers {
				r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
			}
			recs = append(recs, r)
		}
	}
	if err := cl.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}

	seen, reader := map[string]int{}, &logReader{log}
	q := gateway.Query{Since: begin, Limit: limit}
	for pages := 1; ; pages++ {
		p, err := reader.Events(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for i := range p.Items {
			seen[p.Items[i].Event.ID]++
			if i > 0 && p.Items[i].Timestamp.Before(p.Items[i-1].Timestamp) {
				t.Errorf("%s stands behind what is younger", p.Items[i].Event.ID)
			}
		}
		if q.Cursor = p.Next; q.Cursor == "" {
			break
		}
		if pages > 2*each {
			t.Fatalf("there is no end: page %d goes on at %s", pages, q.Cursor)
		}
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	if len(seen) != 2*each {
		t.Errorf("%d events of %d", len(seen), 2*each)
	}
}
