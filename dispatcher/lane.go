package dispatcher

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// defaultConcurrency is what FunctionSpec.Concurrency 0 stands for.
const defaultConcurrency = 64

// laneKey names a lane: one function in one version.
type laneKey struct{ name, version string }

func keyOf(t resource.Target) laneKey {
	return laneKey{t.Function.Metadata.Name, t.Function.Spec.Version}
}

func (k laneKey) String() string {
	if k.version == "" {
		return k.name
	}
	return k.name + "@" + k.version
}

// lane holds the deliveries of one function. At most QueueSize of the live
// stream wait in it, and as many from the parked topic (and as many more as
// were in flight and failed); then push refuses. Links take turns, each in
// order, with what is repeated first.
type lane struct {
	d    *Dispatcher
	key  laneKey
	name string

	mu     sync.Mutex
	links  map[string]*linkQueue
	first  *linkQueue // the ring of startable links, taken from first, added after last
	last   *linkQueue
	queued int
	later  retries
	// waiting counts queued and later, of the live stream [0] and parked [1].
	waiting [2]int
	timer   *time.Timer
	wakeAt  time.Time // what timer is set to; zero when it is not
	gate    gate
	// troubled is set while the gate knows of a failure: only then a success is told to it.
	troubled atomic.Bool
	// running workers serve the lane, at most concurrency, which the newest
	// version of the function that was seen says.
	running      int
	starting     int // of those running, the ones that were started and took nothing yet
	concurrency  int
	revision     uint64
	halted       int              // dead letters that cannot be written: nothing starts
	space        [2]chan struct{} // by origin; closed when there is room again, nil when nobody waits
	taken        int              // since measure was called
	brisk        atomic.Bool      // it works off what waits in good time
	used         bool             // since the last sweep
	leased       int              // deliveries under leases
	retired      bool
	waitsForSlot bool // guarded by slots.mu
	// inFlight and weight are running and the function's weight for slots.
	inFlight, weight atomic.Int32
	// enough bounds the calls in flight, as thrift found out; 0 is no bound.
	enough  int
	pace    pace
	thrifty thrifty

	endpoints atomic.Pointer[[]*endpoint]
}

func newLane(d *Dispatcher, k laneKey) *lane {
	l := &lane{d: d, key: k, name: k.String(), links: map[string]*linkQueue{}}
	l.weight.Store(1)
	l.brisk.Store(true)
	return l
}

// load is the lane's share of the slots for its weight, with more calls beside
// those in flight.
func (l *lane) load(more int32) float64 {
	return float64(l.inFlight.Load()+more) / float64(l.weight.Load())
}

// admission is what push says.
type admission uint8

const (
	admitted admission = iota
	// laneGone: the lane is retired, or the delivery's session has ended.
	laneGone
	// laneFull: there is no room; the channel is closed when there is.
	laneFull
	// laneClosed: the function takes nothing for longer than ParkAfter.
	laneClosed
)

func origin(dl *delivery) int {
	if dl.live() {
		return 0
	}
	return 1
}

// push adds a delivery at the end of its link's queue.
func (l *lane) push(dl *delivery) (a admission, space <-chan struct{}) {
	l.mu.Lock()
	if l.retired || dl.p.session.ended.Load() {
		l.mu.Unlock()
		return laneGone, nil
	}
	parks := dl.live() && l.d.parts.Parking != nil
	if parks && l.closedFor() > l.d.cfg.ParkAfter {
		l.mu.Unlock()
		return laneClosed, nil
	}
	if from := origin(dl); l.waiting[from] >= l.d.cfg.QueueSize {
		defer l.mu.Unlock()
		if l.space[from] == nil {
			l.space[from] = make(chan struct{})
		}
		return laneFull, l.space[from]
	}
	l.add(dl)
	start := l.claimWorker()
	l.mu.Unlock()
	if start {
		l.d.workers.start(l)
	}
	return admitted, nil
}

// force adds a delivery whatever the room; false when the lane is gone.
func (l *lane) force(dl *delivery) bool {
	l.mu.Lock()
	if l.retired || dl.p.session.ended.Load() {
		l.mu.Unlock()
		return false
	}
	l.add(dl)
	start := l.claimWorker()
	l.mu.Unlock()
	if start {
		l.d.workers.start(l)
	}
	return true
}

// add queues dl, now or when it is due.
func (l *lane) add(dl *delivery) {
	l.used = true
	l.learn(dl)
	l.waiting[origin(dl)]++
	if !dl.due.IsZero() && dl.due.After(l.d.parts.Now()) {
		l.later.push(dl)
		l.arm()
		return
	}
	l.queued++
	dl.link.pushBack(dl)
	l.list(dl.link)
}

// closedFor is how much longer the gate is closed. l.mu is held.
func (l *lane) closedFor() time.Duration {
	if l.gate.closedUntil.IsZero() {
		return 0
	}
	return l.gate.closedUntil.Sub(l.d.parts.Now())
}

// learn finds the delivery's link queue and takes over the limits of the
// newest versions of its function and link.
func (l *lane) learn(dl *delivery) {
	fn, link := dl.target.Function, dl.target.Link
	if rev := fn.Metadata.Revision; rev >= l.revision {
		l.revision, l.concurrency = rev, fn.Spec.Concurrency
		if l.concurrency == 0 {
			l.concurrency = defaultConcurrency
		}
		l.weight.Store(int32(max(1, fn.Spec.Weight)))
	}
	q := l.links[link.Metadata.Name]
	if q == nil {
		q = &linkQueue{}
		l.links[link.Metadata.Name] = q
	}
	if rev := link.Metadata.Revision; rev >= q.revision {
		q.revision, q.limit, q.permits.rate = rev, dl.spec.Concurrency, dl.spec.Rate
	}
	dl.link = q
}

// list puts a startable link at the end of the ring.
func (l *lane) list(q *linkQueue) {
	l.askPermits(q)
	if q.listed || !q.startable() {
		return
	}
	q.listed, q.next = true, nil
	if l.last == nil {
		l.first, l.last = q, q
		return
	}
	l.last.next = q
	l.last = q
}

// claimWorker reports whether one more worker should serve the lane, and counts it.
func (l *lane) claimWorker() bool {
	if l.first == nil || l.halted > 0 || !l.opens() || l.running >= l.bound() || !l.d.slots.take(l) {
		return false
	}
	l.running++
	l.starting++
	l.inFlight.Store(int32(l.running))
	return true
}

// opens reports whether the gate and the number of leases let calls start; if
// not, the lane is woken when they do. l.mu is held.
func (l *lane) opens() bool {
	if l.leased >= l.d.cfg.MaxLeases {
		return false
	}
	if l.gate.closedUntil.IsZero() || l.gate.passes(l.d.parts.Now) {
		return true
	}
	l.arm()
	return false
}

// wake starts as many workers as have something to do, and says how many.
func (l *lane) wake() int {
	l.mu.Lock()
	n := 0
	for n < l.queued && l.claimWorker() {
		n++
	}
	l.mu.Unlock()
	for range n {
		l.d.workers.start(l)
	}
	return n
}

// serve makes calls until there is nothing left to start.
func (l *lane) serve(w *worker) {
	for dl := l.take(nil, 0); dl != nil; {
		link, s := dl.link, dl.p.session
		w.took = 0
		if s.acquire() {
			l.attempt(w, dl)
			s.release()
		} else {
			l.d.forsake(dl)
		}
		dl = l.take(link, w.took)
	}
	l.d.slots.give()
}

// take gives back the place of a call on link done, if any, that took so long,
// and returns the next delivery to start; nil sends the worker away.
func (l *lane) take(done *linkQueue, took time.Duration) *delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	if done == nil {
		l.starting--
	} else {
		done.running--
		l.pace.note(took)
		l.list(done)
	}
	for l.halted == 0 && l.first != nil && l.opens() && l.running <= l.bound() && !l.d.slots.yields(l) {
		q := l.first
		if l.first = q.next; l.first == nil {
			l.last = nil
		}
		q.listed, q.next = false, nil
		if !q.startable() {
			continue // its deliveries were abandoned, or its limit was lowered
		}
		dl := q.pop()
		q.running++
		q.permits.use()
		l.list(q)
		l.queued--
		l.taken++
		l.waiting[origin(dl)]--
		l.makeRoom()
		return dl
	}
	l.pace.ranDry = l.pace.ranDry || l.first == nil
	l.running--
	l.inFlight.Store(int32(l.running))
	return nil
}

// makeRoom wakes those that wait for room, once a quarter of it is free:
// waking them for each place would cost a context switch a delivery.
func (l *lane) makeRoom() {
	for from, space := range l.space {
		if space != nil && l.waiting[from] <= l.d.cfg.QueueSize*3/4 {
			close(space)
			l.space[from] = nil
		}
	}
}

// retry keeps a delivery until it is due.
func (l *lane) retry(dl *delivery, due time.Time) {
	l.mu.Lock()
	if dl.p.session.ended.Load() {
		l.mu.Unlock()
		l.d.forsake(dl)
		return
	}
	dl.due = due
	l.waiting[origin(dl)]++
	l.later.push(dl)
	l.arm()
	l.mu.Unlock()
}

// crowded reports whether so many parked deliveries wait that others behind
// them in the log are held up.
func (l *lane) crowded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting[1] >= l.d.cfg.QueueSize/2
}

// arm sets the timer to when something is to be done next: a retry that is
// due, or a gate that opens.
func (l *lane) arm() {
	var next time.Time
	if len(l.later) > 0 {
		next = l.later[0].due
	}
	if at := l.gate.closedUntil; !at.IsZero() && (next.IsZero() || at.Before(next)) {
		next = at
	}
	if next.IsZero() || (!l.wakeAt.IsZero() && !next.Before(l.wakeAt)) {
		return
	}
	l.wakeAt = next
	wait := max(0, next.Sub(l.d.parts.Now()))
	if l.timer == nil {
		l.timer = time.AfterFunc(wait, l.due)
		return
	}
	l.timer.Reset(wait)
}

// due moves the retries that are due to the front of their links' queues, and
// lets a probe through a gate whose time is over.
func (l *lane) due() {
	l.mu.Lock()
	l.wakeAt = time.Time{}
	now := l.d.parts.Now()
	l.gate.passes(l.d.parts.Now)
	for dl := l.later.popDue(now); dl != nil; dl = l.later.popDue(now) {
		l.queued++
		dl.since = now
		dl.link.pushFront(dl)
		l.list(dl.link)
	}
	l.arm()
	l.mu.Unlock()
	l.wake()
}

// remove takes out the waiting deliveries that match: those of each link in
// order, then those that waited for a retry.
func (l *lane) remove(match func(*delivery) bool) []*delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	var taken []*delivery
	for _, q := range l.links {
		taken = append(taken, q.take(match)...)
	}
	l.queued -= len(taken)
	taken = append(taken, l.later.take(match)...)
	for _, dl := range taken {
		l.waiting[origin(dl)]--
	}
	if len(l.later) == 0 && l.gate.closedUntil.IsZero() && l.timer != nil {
		l.timer.Stop()
		l.wakeAt = time.Time{}
	}
	l.makeRoom()
	return taken
}

// halt stops the lane until resume: nothing starts.
func (l *lane) halt() {
	l.mu.Lock()
	l.halted++
	l.mu.Unlock()
}

func (l *lane) resume() {
	l.mu.Lock()
	l.halted--
	l.mu.Unlock()
	l.wake()
}

// retire ends the lane if nothing happened since the last time it was asked.
func (l *lane) retire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.used || l.running > 0 || l.queued > 0 || l.leased > 0 || len(l.later) > 0 || !l.gate.closedUntil.IsZero() {
		l.used = false
		return false
	}
	for _, q := range l.links {
		if q.permits.asking {
			return false
		}
	}
	l.retired = true
	return true
}

func (l *lane) stat() LaneStat {
	l.mu.Lock()
	defer l.mu.Unlock()
	return LaneStat{
		Function: l.name, Queued: l.queued, Retrying: len(l.later), Running: l.running, Leased: l.leased,
		Limit: l.bound(), Closed: l.closedFor() > 0, Halted: l.halted > 0,
	}
}
