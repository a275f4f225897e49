package dispatcher_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/dispatcher/dispatchertest"
	"github.com/signalbox-dev/signalbox/event"
)

// TestRevisionIsToldWhenItIsNews also looks at what is told again: at the start
// of owning a partition, and when half a day has gone by.
func TestRevisionIsToldWhenItIsNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told wordLog
		revision := uint64(0)
		b := newBed(t, nil, func(b *bed) {
			b.parts.Chooser = dispatchertest.Choose(func(*event.Event) (dispatcher.Choice, error) {
				return dispatcher.Choice{Revision: revision}, nil
			})
			b.parts.Observer.Choosing = func(rec *event.Record, revision uint64, began time.Time) {
				told.add("%s=%d", rec.Position, revision)
				if !began.IsZero() {
					told.add("began")
				}
			}
		})
		next, offset := 0, int64(0)
		send := func(n int) {
			for range n {
				b.Handle(b.part, records(offset, newEvent(fmt.Sprint(next))), b.settle)
				next, offset = next+1, offset+1
			}
		}
		send(3)
		revision = 7
		send(3)
		time.Sleep(11 * time.Hour)
		send(1)
		time.Sleep(time.Hour)
		send(2)
		revision = 8
		send(1)
		if got, want := told.String(), "3:0=0 began 3:3=7 3:7=7 3:9=8"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
		b.stop()
	})
}
