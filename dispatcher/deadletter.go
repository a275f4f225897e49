package dispatcher

import (
	"context"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/failpoint"
)

// writeDeadLetter returns true once the dead letter is durable. It tries until
// then, or until the session is over (and its grace too, for what was in
// flight): then it is false and nothing may be settled. Meanwhile the lane
// stands still, since what it would deliver might have to be written too; l is
// nil for a record that is refused as a whole, which holds up its partition.
func (d *Dispatcher) writeDeadLetter(s *session, l *lane, letter *event.DeadLetter) bool {
	ctx := s.grace
	if l == nil {
		ctx = s.ctx // the partition's goroutine must not outlive it
	}
	for n := 1; ; n++ {
		err := d.tryDeadLetter(ctx, letter)
		if err == nil {
			if n > 1 {
				d.log.Info("dead letters can be written again", "function", letter.Function, "link", letter.Link)
			}
			if f := d.parts.Observer.DeadLettered; f != nil {
				f(letter)
			}
			return true
		}
		if n == 1 {
			d.log.Error("a dead letter cannot be written; its function waits until it can",
				"function", letter.Function, "link", letter.Link, "position", letter.Position, "error", err)
			if l != nil {
				l.halt()
				defer l.resume()
			}
		}
		if !d.pause(ctx, n) {
			return false
		}
	}
}

func (d *Dispatcher) tryDeadLetter(ctx context.Context, letter *event.DeadLetter) error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.AppendTimeout)
	defer cancel()
	failpoint.Hit(failpoint.DispatcherDeadBefore)
	err := d.parts.Log.DeadLetter(ctx, letter)
	failpoint.Hit(failpoint.DispatcherDeadAfter)
	if err != nil {
		d.writeFailed("dead letter", err)
	}
	return err
}
