package dispatcher

import (
	"time"
)

// gate says how much a function takes now: a bound of calls in flight that
// follows its answers (additive increase, multiplicative decrease), and a
// breaker. Its lane's mutex guards it.
//
//	open ------ putOffLimit refusals, or BreakerAfter failures in a row ----> closed
//	closed ---- its time is over --------------------------------------------> one probe
//	probe ----- an answer that is no failure ---------------------------------> open
//	probe ----- another failure: closed for longer ---------------------------> closed
type gate struct {
	// limit is the bound of calls in flight; 0 is not set yet.
	limit float64
	// closedUntil is when a probe may be made; zero is open.
	closedUntil time.Time
	// probing: one call is made to see whether the function is back.
	probing bool
	// refusals and failures count calls in a row; closings since the last success.
	refusals, failures, closings int
	// last is the delivery that failed last: one that fails again and again
	// says nothing of the others.
	last string
	// changed is when the limit was cut or the gate closed: what was called
	// before says nothing new.
	changed time.Time
}

// putOffLimit is how many refusals in a row close the gate.
const putOffLimit = 3

// bound is how many calls may be in flight.
func (g *gate) bound(concurrency int) int {
	switch {
	case g.probing:
		return 1
	case g.limit == 0:
		return concurrency
	}
	return max(1, min(concurrency, int(g.limit)))
}

// passes reports whether calls may start now; it begins the probe when a
// closed gate's time is over.
func (g *gate) passes(now func() time.Time) bool {
	if g.closedUntil.IsZero() {
		return true
	}
	if now().Before(g.closedUntil) {
		return false
	}
	g.closedUntil, g.probing = time.Time{}, true
	return true
}

// good notes an answer that shows the function to be there.
func (g *gate) good(concurrency int) {
	if g.limit == 0 && g.refusals == 0 && g.failures == 0 && !g.probing {
		return // the usual case
	}
	g.refusals, g.failures, g.closings, g.probing = 0, 0, 0, false
	if g.limit > 0 {
		if g.limit += 1 / g.limit; g.limit >= float64(concurrency) {
			g.limit = 0
		}
	}
}

// refused notes a call, begun at start, that the function did not take: it
// halves the bound, and closes the gate when that keeps happening or the
// function says for how long (wait).
func (g *gate) refused(start, now time.Time, wait time.Duration, c *closing, concurrency int) {
	g.refusals++
	fresh := !start.Before(g.changed)
	if fresh {
		limit := g.limit
		if limit == 0 {
			limit = float64(concurrency)
		}
		g.limit = max(1, limit/2)
	}
	switch {
	case wait > 0:
		g.shut(now, now.Add(wait))
	case g.probing || (fresh && g.refusals >= putOffLimit):
		g.shut(now, now.Add(c.next(g.closings)))
	case fresh:
		g.changed = now
	}
}

// failed notes a call for a delivery, begun at start, that counts as an attempt and failed.
func (g *gate) failed(delivery string, start, now time.Time, c *closing) {
	if delivery != g.last {
		g.failures++
	}
	g.last = delivery
	if g.probing || (g.failures >= c.after && !start.Before(g.changed)) {
		g.shut(now, now.Add(c.next(g.closings)))
	}
}

func (g *gate) shut(now, until time.Time) {
	if until.After(g.closedUntil) {
		g.closedUntil = until
	}
	g.closings++
	g.changed, g.probing = now, false
}

// closing is how long a gate closes: with full jitter over an exponential
// that begins at initial, but at least half of that.
type closing struct {
	after        int
	initial, max time.Duration
	random       func() float64
}

func (c *closing) next(n int) time.Duration {
	full := backoff(c.initial, c.max, n+1, 1)
	return full/2 + time.Duration(c.random()*float64(full/2))
}
