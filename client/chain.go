package client

import (
	"context"
	"fmt"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// Step is something that happened in a chain.
type Step struct {
	// Depth is 0 for deliveries of the first event, 1 for those of its replies, and so on.
	Depth int
	// Run is one attempt or the end of one delivery.
	Run event.Run
}

// pending is an event whose deliveries are not all over.
type pending struct {
	source, id string
	depth      int
	// seen are the ids of the runs already reported.
	seen map[string]bool
}

// FollowChain reports every delivery of an event and of the events that came
// out of it, until all of them are over or ctx ends.
func (c *Client) FollowChain(ctx context.Context, source, id string, fn func(Step)) error {
	open := []*pending{{source: source, id: id, seen: map[string]bool{}}}
	wait := newPoll(20*time.Millisecond, 250*time.Millisecond)
	for len(open) > 0 {
		var next []*pending
		progress := false
		for _, p := range open {
			replies, over, moved, err := c.look(ctx, p, fn)
			if err != nil {
				return err
			}
			progress = progress || moved
			if !over {
				next = append(next, p)
			}
			next = append(next, replies...)
		}
		if open = next; len(open) == 0 {
			return nil
		}
		if err := wait.pause(ctx, progress); err != nil {
			return err
		}
	}
	return nil
}

// look reports what is new about one event; over means that every chosen link
// has a final outcome.
func (c *Client) look(ctx context.Context, p *pending, fn func(Step)) (replies []*pending, over, moved bool, err error) {
	ex, err := c.Explain(ctx, p.source, p.id)
	if IsNotFound(err) { // accepted, but the dispatcher has not come to it yet
		return nil, false, false, nil
	}
	if err != nil {
		return nil, false, false, err
	}
	if ex.Error != "" {
		return nil, false, false, fmt.Errorf("no function could be chosen for %s: %s", p.id, ex.Error)
	}
	over = true
	for _, l := range ex.Links {
		ended := false
		for _, r := range l.Deliveries {
			ended = ended || r.Outcome.Final()
			if p.seen[r.ID] {
				continue
			}
			p.seen[r.ID], moved = true, true
			fn(Step{Depth: p.depth, Run: r})
			for _, reply := range r.Replies {
				replies = append(replies, &pending{source: reply.Source, id: reply.ID, depth: p.depth + 1, seen: map[string]bool{}})
			}
		}
		if l.Chosen && !ended {
			over = false
		}
	}
	return replies, over, moved, nil
}

// poll waits between looks: shortly after progress, then longer and longer.
type poll struct{ min, max, next time.Duration }

func newPoll(low, high time.Duration) *poll { return &poll{min: low, max: high, next: low} }

func (p *poll) pause(ctx context.Context, progress bool) error {
	if progress {
		p.next = p.min
	}
	t := time.NewTimer(p.next)
	defer t.Stop()
	p.next = min(p.next*2, p.max)
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
