package verify

import (
	"context"
	"errors"
	"sync"
	"time"
)

// source sends the events: one goroutine sets the pace, and senders post. All
// events of a key go through one sender, which has each accepted before it
// sends the next one, so that their order in the log is known.
type source struct {
	cfg     *Config
	plan    *plan
	history *history
	door    *door
	// started is what the times in the history count from.
	started time.Time
}

// senders bounds the requests in flight.
const senders = 64

// patience is how many events wait for one sender before the pace waits for it.
const patience = 16

// errGivenUp ends the requests of a source that has waited long enough.
var errGivenUp = errors.New("given up")

// run sends until sending ends or the number is reached, and returns when every
// event is accepted or given up: when ctx ends, or when nothing has moved for as
// long as Drain. The error is a refusal.
func (s *source) run(ctx, sending context.Context) error {
	give, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queues := make([]chan int, senders)
	var wg sync.WaitGroup
	for i := range queues {
		queues[i] = make(chan int, patience)
		wg.Go(func() {
			for n := range queues[i] {
				if err := s.deliver(give, n); err != nil {
					cancel(err)
				}
			}
		})
	}
	s.pace(sending, give, queues)
	for _, q := range queues {
		close(q)
	}
	stop := s.history.whenStill(s.cfg.Drain, func() { cancel(errGivenUp) })
	defer stop()
	wg.Wait()
	if err := context.Cause(give); err != nil && err != errGivenUp && ctx.Err() == nil {
		return err
	}
	return nil
}

// pace hands out the numbers of events at the rate that is asked for. Time in
// which the senders could not follow is not caught up with.
func (s *source) pace(sending, give context.Context, queues []chan int) {
	interval := time.Duration(float64(time.Second) / s.cfg.Rate)
	due := time.Now()
	t := time.NewTimer(0)
	defer t.Stop()
	for n := 0; s.cfg.Events == 0 || n < s.cfg.Events; n++ {
		if wait := time.Until(due); wait > 0 {
			t.Reset(wait)
			select {
			case <-t.C:
			case <-sending.Done():
				return
			case <-give.Done():
				return
			}
		} else if wait < -time.Second {
			due = time.Now()
		}
		if sending.Err() != nil {
			return
		}
		s.history.sending(n, due.Sub(s.started))
		due = due.Add(interval)
		select {
		case queues[s.queue(n)] <- n:
		case <-give.Done():
			s.history.giveUp(n, false)
			return
		}
	}
}

// queue is the sender of an event: one and the same for all events of a key.
func (s *source) queue(n int) int {
	if k := s.plan.key(n); k >= 0 {
		return k % senders
	}
	return n % senders
}

// deliver sends event n, always with the same id, until it is accepted, refused
// or given up.
func (s *source) deliver(ctx context.Context, n int) error {
	e := s.plan.event(n)
	const first, longest = 50 * time.Millisecond, 2 * time.Second
	for wait := first; ; wait = min(2*wait, longest) {
		if ctx.Err() != nil {
			s.history.giveUp(n, false)
			return nil
		}
		res := s.door.post(ctx, e)
		switch {
		case res.accepted:
			s.history.accept(n, time.Since(s.started))
			return nil
		case res.refused != nil:
			s.history.giveUp(n, false)
			return res.refused
		}
		t := time.NewTimer(max(wait, res.wait))
		select {
		case <-t.C:
			s.history.again(n, res.doubtful, res.throttled)
		case <-ctx.Done():
			t.Stop()
			s.history.giveUp(n, res.doubtful)
			return nil
		}
	}
}
