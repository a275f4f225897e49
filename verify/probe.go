package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// probes are events that go to every function before anything counts: the
// links are in force once a whole round of them has arrived. Their keys differ,
// so that a round reaches every partition, and with it every dispatcher.
type probes struct {
	mu sync.Mutex
	// missing are the probes of the current round that did not come yet, by id and function.
	missing map[probe]bool
	// complete is closed when none is missing.
	complete chan struct{}
	// reached are the functions that were called at all.
	reached map[int]bool
}

type probe struct {
	id   string
	link int
}

// probesPerRound is enough for partitions in the usual numbers: ten are all hit
// but once in a thousand rounds.
const probesPerRound = 96

// begin starts a round; its channel is closed when all of it has arrived.
func (p *probes) begin(events []*event.Event, links int) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.missing, p.complete = map[probe]bool{}, make(chan struct{})
	if p.reached == nil {
		p.reached = map[int]bool{}
	}
	for _, e := range events {
		for link := range links {
			p.missing[probe{e.ID, link}] = true
		}
	}
	return p.complete
}

// seen takes a probe; false means that the event is none.
func (p *probes) seen(e *event.Event, link int) bool {
	if !strings.HasSuffix(e.Type, ".probe") || !strings.HasSuffix(e.Source, "/probe") {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reached == nil { // of a run that was here before
		return true
	}
	p.reached[link] = true
	k := probe{e.ID, link}
	if !p.missing[k] {
		return true
	}
	delete(p.missing, k)
	if len(p.missing) == 0 {
		close(p.complete)
	}
	return true
}

// state says how far the current round came.
func (p *probes) state() (reached, missing int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.reached), len(p.missing)
}

// await sends rounds of probes until one of them arrives as a whole.
func (r *Runner) await(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.ReadyTimeout)
	defer cancel()
	links := r.plan.functions + 1
	for round := 0; ; round++ {
		events := make([]*event.Event, probesPerRound)
		for i := range events {
			events[i] = r.plan.probe(round, i)
		}
		complete := r.probes.begin(events, links)
		for _, e := range events {
			if res := r.door.post(ctx, e); res.refused != nil {
				return res.refused
			}
		}
		// A round that began before the links were in force never ends.
		t := time.NewTimer(min(time.Second<<min(round, 4), r.cfg.ReadyTimeout))
		select {
		case <-complete:
			t.Stop()
			return nil
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return r.notReached(ctx, url, links)
		}
	}
}

func (r *Runner) notReached(ctx context.Context, url string, links int) error {
	if context.Cause(ctx) == context.Canceled {
		return errors.New("interrupted before an event was sent")
	}
	reached, missing := r.probes.state()
	if reached == 0 {
		return fmt.Errorf("no event reached the functions at %s within %s: can the deployment reach that address (see --listen and --callback-url)?", url, r.cfg.ReadyTimeout)
	}
	return fmt.Errorf("%d of %d functions were called within %s, and %d deliveries of the last %d probes are missing: the links are not in force everywhere", reached, links, r.cfg.ReadyTimeout, missing, probesPerRound)
}
