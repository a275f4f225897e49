package dispatcher

import (
	"context"

	"github.com/signalbox-dev/signalbox/event"
)

// writeDeadLetter returns true once the dead letter is durable. It tries until
// then, or until the session is over and its grace too: then it is false and
// nothing may be settled. Meanwhile the lane, if there is one, stands still:
// what it would deliver might have to be written too.
func (d *Dispatcher) writeDeadLetter(s *session, l *lane, letter *event.DeadLetter) bool {
	for n := 1; ; n++ {
		err := d.tryDeadLetter(s, letter)
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
		if !d.pause(s.grace, n) {
			return false
		}
	}
}

func (d *Dispatcher) tryDeadLetter(s *session, letter *event.DeadLetter) error {
	ctx, cancel := context.WithTimeout(s.grace, d.cfg.AppendTimeout)
	defer cancel()
	err := d.parts.Log.DeadLetter(ctx, letter)
	if err != nil {
		d.writeFailed("dead letter", err)
	}
	return err
}
