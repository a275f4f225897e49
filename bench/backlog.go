package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/signalbox-dev/signalbox/e2e/freeport"
)

// smallBody is the data of the events that a large backlog is made of.
const smallBody = `{"bench":true}`

// park posts n events while their one function is away, and waits until all of
// them are parked. It fills in the memory that took.
func (cfg config) park(ctx context.Context, sys *system, p parts, l *load, n int64, out *sample) error {
	watch, stop := context.WithCancel(ctx)
	peak := make(chan int64, 1)
	go func() { peak <- sys.watchRSS(watch) }()
	err := l.count(ctx, n)
	if err == nil {
		err = sys.awaitSettled(ctx, p, 5*time.Minute)
	}
	stop()
	out.peak = <-peak
	return err
}

// watchRSS returns the most resident memory until ctx ends, in bytes.
func (s *system) watchRSS(ctx context.Context) (most int64) {
	for ctx.Err() == nil {
		if now, err := s.rss(); err == nil {
			most = max(most, now)
		}
		wait(ctx, 50*time.Millisecond)
	}
	return most
}

// awaitSettled waits until every event has its outcome or is parked.
func (s *system) awaitSettled(ctx context.Context, p parts, bound time.Duration) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(p["KAFKA_BROKERS"], ",")...))
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for {
		left, err := unsettled(ctx, adm, s.name)
		if err == nil && left == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d events neither done nor parked within %s: %w (log: %s)", left, bound, err, s.log.Name())
		}
		wait(ctx, 100*time.Millisecond)
	}
}

// unsettled counts the events that the group has not committed.
func unsettled(ctx context.Context, adm *kadm.Client, name string) (left int64, err error) {
	topic := name + ".events"
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	done, err := adm.FetchOffsetsForTopics(ctx, name+".dispatcher", topic)
	if err != nil {
		return 0, err
	}
	ends.Each(func(end kadm.ListedOffset) {
		at, _ := done.Lookup(topic, end.Partition)
		left += end.Offset - max(0, at.At)
	})
	return left, nil
}

// drain measures how fast parked deliveries are made once their function is there.
func (cfg config) drain(ctx context.Context, s setup, p parts) (sample, error) {
	var out sample
	addr, err := freeport.Addr()
	if err != nil {
		return out, err
	}
	s.apart = "http://" + addr + "/0" // nobody listens yet
	sys, err := s.start(ctx, cfg, p)
	if err != nil {
		return out, err
	}
	defer sys.stop()
	l := newLoad(sys.addr, benchType)
	l.keys = s.keys
	if err := cfg.park(ctx, sys, p, l, cfg.parked, &out); err != nil {
		return out, err
	}
	before, err := sys.cpu()
	if err != nil {
		return out, err
	}
	self, err := os.Executable()
	if err != nil {
		return out, err
	}
	back := time.Now()
	sink, err := startProcess(ctx, true, self, "sink", "-listen", addr)
	if err != nil {
		return out, err
	}
	sys.sink.stop()
	sys.sink = sink
	r, err := sys.settled(ctx, cfg.parked, 5*time.Minute)
	if err != nil {
		return out, err
	}
	after, err := sys.cpu()
	if err != nil {
		return out, err
	}
	if out.rss, err = sys.rss(); err != nil {
		return out, err
	}
	out.wait = time.Unix(0, r.First).Sub(back).Seconds()
	out.rate = float64(r.Deliveries) / time.Duration(r.Last-r.First).Seconds()
	out.cpuUS = float64((after - before).Microseconds()) / float64(r.Deliveries)
	return out, nil
}

func (cfg config) writeDrain(ctx context.Context, p parts, b *strings.Builder) error {
	rows, err := cfg.each(ctx, p, []setup{
		{name: "order: none", sample: 0.01},
		{name: "order: key", sample: 0.01, order: "key", keys: orderKeys},
	}, cfg.drain)
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "\n## A function that comes back\n\n%d deliveries are parked while it refuses connections; from its return on:\n\n", cfg.parked)
	b.WriteString("| link | s to the first call | deliveries/s | CPU us per delivery | RSS after MB |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		_, first := r.of(func(s sample) float64 { return s.wait })
		_, rate := r.of(rateOf)
		low, cpu := r.of(cpuOf)
		_, rss := r.of(rssOf)
		fmt.Fprintf(b, "| %s | %.1f | %.0f | %.1f (%.1f) | %.0f |\n", r.setup.name, first, rate, cpu, low, rss)
	}
	return nil
}

// hoard measures memory with a backlog behind a function that refuses
// connections; the rate is that of accepting the events.
func (cfg config) hoard(ctx context.Context, s setup, p parts) (sample, error) {
	var out sample
	sys, err := s.start(ctx, cfg, p)
	if err != nil {
		return out, err
	}
	defer sys.stop()
	if out.idle, err = sys.rss(); err != nil {
		return out, err
	}
	l := newLoad(sys.addr, benchType)
	l.body = []byte(smallBody)
	begun := time.Now()
	if err := cfg.park(ctx, sys, p, l, s.backlog, &out); err != nil {
		return out, err
	}
	out.rate = float64(s.backlog) / time.Since(begun).Seconds()
	out.rss, err = sys.rss()
	return out, err
}

// writeBacklog takes one round: it is long, and memory does not vary as time does.
func (cfg config) writeBacklog(ctx context.Context, p parts, b *strings.Builder) error {
	cfg.rounds = 1
	rows, err := cfg.each(ctx, p, []setup{
		{name: "a hundredth", sample: 0.01, apart: refusing, backlog: cfg.backlog / 100},
		{name: "all", sample: 0.01, apart: refusing, backlog: cfg.backlog},
	}, cfg.hoard)
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "\n## Memory with a backlog\n\nEvents of %d bytes of data are accepted as fast as they can be and parked, since their function refuses connections. One round.\n\n", len(smallBody))
	b.WriteString("| events parked | events/s accepted and parked | RSS idle MB | RSS at most MB | RSS after MB |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		s := r.samples[0]
		fmt.Fprintf(b, "| %d | %.0f | %.0f | %.0f | %.0f |\n", r.setup.backlog, s.rate, float64(s.idle)/1e6, float64(s.peak)/1e6, float64(s.rss)/1e6)
	}
	return nil
}
