package dispatcher

import (
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// The extensions by which an event says when it may be delivered; both are
// Timestamps (RFC 3339).
const (
	// extExpiry is when it is of no use any more (CloudEvents extension "Expiry Time").
	extExpiry = "expirytime"
	// extAfter is when the first attempt may be made.
	extAfter = "deliverafter"
)

// plan is what an event says of its own delivery. Zero times say nothing.
type plan struct{ after, expiry time.Time }

func planOf(ev *event.Event) plan {
	if len(ev.Extensions) == 0 {
		return plan{}
	}
	return plan{after: timeOf(ev, extAfter), expiry: timeOf(ev, extExpiry)}
}

// timeOf is the extension's time; zero when there is none, or it is no time.
func timeOf(ev *event.Event, name string) time.Time {
	v, ok := ev.Extension(name)
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return time.Time{}
	}
	return t
}

func (p *plan) expired(now time.Time) bool { return !p.expiry.IsZero() && !now.Before(p.expiry) }

func (p *plan) why() string { return "expired: its expirytime was " + p.expiry.Format(time.RFC3339) }
