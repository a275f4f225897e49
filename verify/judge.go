package verify

import (
	"maps"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// maxFindings bounds the examples that are kept of each kind.
const maxFindings = 10

// findings keeps the first examples of each kind of trouble.
type findings struct {
	plan  *plan
	list  []Finding
	count map[string]int
}

func (f *findings) add(what string, r ref, why string) {
	if f.count == nil {
		f.count = map[string]int{}
	}
	if f.count[what]++; f.count[what] > maxFindings {
		return
	}
	x := Finding{What: what, Event: f.plan.id(r.n), Source: f.plan.source(), Function: r.link, Why: why}
	if r.link == f.plan.replyLink() {
		x.Reply, x.Function = true, r.cause
	}
	f.list = append(f.list, x)
}

// judge counts what was lost, doubled and out of order, into rep. The history stays as it is.
func (h *history) judge(rep *Report) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &h.counts
	found := findings{plan: h.plan, list: append([]Finding{}, h.findings.list...)}
	rep.Events.Sent, rep.Events.Resent, rep.Events.Throttled = len(h.events), c.resent, c.throttled
	for n := range h.events {
		h.judgeEvent(n, rep, &found)
	}
	h.judgeOrder(rep, &found)
	rep.Deliveries.Redelivered, rep.Deliveries.Copied = h.doubledEvents.redelivered, h.doubledEvents.copied
	rep.Replies.Redelivered, rep.Replies.Copied = h.doubledReplies.redelivered, h.doubledReplies.copied
	rep.Calls, rep.Unexpected, rep.Foreign, rep.Changed, rep.DeadPlanned = c.calls, c.unexpected, c.foreign, c.changed, c.deadPlanned
	rep.Faults = maps.Clone(h.faultsMet)
	rep.Latency, rep.Admission = percentiles(slices.Clone(h.took)), percentiles(slices.Clone(h.admitted))
	rep.Findings = found.list
}

// judgeEvent counts one event and its deliveries. Those of an event that was not
// accepted are nobody's debt.
func (h *history) judgeEvent(n int, rep *Report, found *findings) {
	delivered, missing := false, "lost"
	if rep.Interrupted {
		missing = "outstanding"
	}
	for k := range h.plan.fanout {
		d := h.at(n, k)
		delivered = delivered || d.delivered
		if h.events[n].fate != accepted {
			continue
		}
		r := ref{link: h.plan.link(n, k), n: n}
		rep.Deliveries.add(d, r, missing, found)
		if reply := h.reply(n, k); reply != nil && !d.ended() {
			rep.Replies.add(reply, ref{link: h.plan.replyLink(), n: n, cause: r.link}, missing, found)
		}
	}
	switch h.events[n].fate {
	case accepted:
		rep.Events.Accepted++
	case unsent:
		rep.Events.Unsent++
	default:
		rep.Events.Unknown++
		if delivered {
			rep.Events.UnknownDelivered++
		}
	}
}

// add counts a delivery; missing is what one is called that did not come.
func (t *Tally) add(d *delivery, r ref, missing string, found *findings) {
	t.Expected++
	switch {
	case d.delivered:
		t.Delivered++
	case d.dead:
		t.Dead++
	default:
		t.Lost++
		found.add(missing, r, "")
	}
}

// judgeOrder counts the deliveries that overtook one: for each link and key, a
// first success must begin after the first successes of all earlier events
// were answered. Events that were not accepted have no place in the order, nor
// have dead letters.
func (h *history) judgeOrder(rep *Report, found *findings) {
	if h.plan.keys == 0 {
		return
	}
	type place struct {
		answered int64
		n        int
	}
	latest := make([]place, h.plan.functions*h.plan.keys)
	for n := range h.events {
		if h.events[n].fate != accepted {
			continue
		}
		for k := range h.plan.fanout {
			d, link := h.at(n, k), h.plan.link(n, k)
			if !d.delivered {
				continue
			}
			last := &latest[link*h.plan.keys+int(h.events[n].key)]
			if d.begun < last.answered {
				// n began too soon or the earlier one too late: either way they crossed.
				rep.Deliveries.Reordered++
				if rep.Order == resource.OrderKey {
					found.add("reordered", ref{link: link, n: n}, "called before "+h.plan.id(last.n)+" of the same key had succeeded")
				}
			}
			if d.answered > last.answered {
				*last = place{d.answered, n}
			}
		}
	}
}

// percentiles sorts the times, which are in microseconds.
func percentiles(took []uint32) Latency {
	if len(took) == 0 {
		return Latency{}
	}
	slices.Sort(took)
	at := func(share float64) Millis {
		i := min(int(share*float64(len(took))), len(took)-1)
		return Millis(time.Duration(took[i]) * time.Microsecond)
	}
	return Latency{P50: at(0.5), P90: at(0.9), P99: at(0.99), P999: at(0.999), Max: at(1)}
}
