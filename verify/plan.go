package verify

import (
	"fmt"
	"strconv"

	"github.com/signalbox-dev/signalbox/event"
)

// Fault is a way in which a call fails on purpose.
type Fault string

// The faults.
const (
	// FaultReset resets the connection before anything is answered.
	FaultReset Fault = "reset"
	// FaultSlow answers in two halves with a pause between: late, but a success.
	FaultSlow Fault = "slow"
	// FaultCut breaks the connection in the middle of an answer of success.
	FaultCut Fault = "cut"
	// Fault5xx answers 500, 502, 503 or 504.
	Fault5xx Fault = "5xx"
	// Fault429 answers 429, one time in four with a Retry-After of a second.
	Fault429 Fault = "429"
	// FaultTimeout does not answer until the caller has hung up.
	FaultTimeout Fault = "timeout"
)

// Faults lists every kind of fault.
func Faults() []Fault {
	return []Fault{FaultReset, FaultSlow, FaultCut, Fault5xx, Fault429, FaultTimeout}
}

// maxFaults bounds the faults that one delivery meets, far below the links'
// attempts: a dead letter that was not planned is the deployment's doing.
const maxFaults = 3

// plan says what is sent to whom, and what happens to each call. All of it
// follows from the seed and the numbers alone: not from time or from the
// order of the calls, so that a run can be repeated. It is immutable.
type plan struct {
	run                     string
	seed                    uint64
	functions, fanout, keys int
	size                    int
	fail, replies, poison   float64
	faults                  []Fault
}

func newPlan(c *Config, run string) *plan {
	return &plan{
		run: run, seed: c.Seed, functions: c.Functions, fanout: c.Fanout, keys: c.Keys, size: c.Size,
		fail: c.Fail, replies: c.Replies, poison: c.Poison, faults: c.Faults,
	}
}

// The questions that draw answers, each independent of the others.
const (
	drawKey uint64 = iota + 1
	drawPoison
	drawReply
	drawFault
	drawKind
	drawData
	drawVariant
)

// draw is a number that looks random and is always the same for the same
// arguments (the finalizer of splitmix64 over each).
func (p *plan) draw(what uint64, args ...int) uint64 {
	x := mix(p.seed + what*0x9e3779b97f4a7c15)
	for _, a := range args {
		x = mix(x ^ uint64(a)*0xbf58476d1ce4e5b9 ^ 0x9e3779b97f4a7c15)
	}
	return x
}

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// happens draws with the given probability.
func (p *plan) happens(share float64, what uint64, args ...int) bool {
	return float64(p.draw(what, args...)>>11)/(1<<53) < share
}

// ref names one delivery: of event n to a link, or, when link is that of the
// replies, of the reply that the function of link cause gave to n.
type ref struct{ link, n, cause int }

// replyLink is the number of the link that gets all replies, behind the others.
func (p *plan) replyLink() int { return p.functions }

// slot is the place of a link among those that event n goes to.
func (p *plan) slot(n, link int) (k int, ok bool) {
	k = (link - n%p.functions + p.functions) % p.functions
	return k, link < p.functions && k < p.fanout
}

// link is the link at a slot of event n.
func (p *plan) link(n, k int) int { return (n + k) % p.functions }

// key is the number of an event's key; -1 is none.
func (p *plan) key(n int) int {
	if p.keys == 0 {
		return -1
	}
	return int(p.draw(drawKey, n) % uint64(p.keys))
}

// poisoned: the delivery is refused for good.
func (p *plan) poisoned(r ref) bool {
	return r.link != p.replyLink() && p.happens(p.poison, drawPoison, r.link, r.n)
}

// answers: the function of link answers n with an event.
func (p *plan) answers(link, n int) bool {
	return link != p.replyLink() && p.happens(p.replies, drawReply, link, n) && !p.poisoned(ref{link: link, n: n})
}

// fault is what the call'th call (from 1) of a delivery meets; "" is nothing.
func (p *plan) fault(r ref, call int) Fault {
	if call > maxFaults || !p.happens(p.fail, drawFault, r.link, r.n, r.cause, call) {
		return ""
	}
	return p.faults[p.draw(drawKind, r.link, r.n, r.cause, call)%uint64(len(p.faults))]
}

func (p *plan) variant(r ref, call int) uint64 {
	return p.draw(drawVariant, r.link, r.n, r.cause, call)
}

// The names that the events of a run have. Types are those of one run, so that
// nobody else's links get its events.
func (p *plan) source() string      { return "/signalbox/verify/" + p.run }
func (p *plan) replySource() string { return p.source() + "/reply" }
func (p *plan) probeType() string   { return "signalbox.verify." + p.run + ".probe" }
func (p *plan) replyType() string   { return "signalbox.verify." + p.run + ".reply" }
func (p *plan) typeOf(n int) string {
	return "signalbox.verify." + p.run + "." + strconv.Itoa(n%p.functions)
}

// types are those of the events that go to a link.
func (p *plan) types(link int) []string {
	if link == p.replyLink() {
		return []string{p.replyType(), p.probeType()}
	}
	types := []string{p.probeType()}
	for t := range p.functions {
		if _, ok := p.slot(t, link); ok {
			types = append(types, p.typeOf(t))
		}
	}
	return types
}

func (p *plan) id(n int) string { return p.run + "-" + strconv.Itoa(n) }

// event is event number n.
func (p *plan) event(n int) *event.Event {
	e := &event.Event{ID: p.id(n), Source: p.source(), Type: p.typeOf(n), DataContentType: "application/json", Data: p.data(n)}
	if k := p.key(n); k >= 0 {
		e.Subject = "key-" + strconv.Itoa(k)
	}
	return e
}

// data is a JSON document that no other event has.
func (p *plan) data(n int) []byte {
	const hex = "0123456789abcdef"
	b := make([]byte, 0, p.size+64)
	b = append(strconv.AppendInt(append(b, `{"event":`...), int64(n), 10), `,"filler":"`...)
	for i := 0; len(b) < p.size-2; i++ {
		for x, j := p.draw(drawData, n, i), 0; j < 16 && len(b) < p.size-2; j++ {
			b = append(b, hex[x>>(4*j)&15])
		}
	}
	return append(b, `"}`...)
}

// reply is what the function of link answers event n with. Its id is the same
// each time; the one under which it enters the log is the deployment's.
func (p *plan) reply(link, n int) *event.Event {
	return &event.Event{
		ID: p.id(n) + "-" + strconv.Itoa(link), Source: p.replySource(), Type: p.replyType(),
		DataContentType: "application/json", Data: fmt.Appendf(nil, `{"event":%d,"link":%d}`, n, link),
	}
}

// probe is an event that goes to every function before anything counts.
func (p *plan) probe(round, i int) *event.Event {
	id := fmt.Sprintf("%s-probe-%d-%d", p.run, round, i)
	return &event.Event{ID: id, Source: p.source() + "/probe", Type: p.probeType(), Subject: id}
}
