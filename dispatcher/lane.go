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

// lane holds the deliveries of one function. At most QueueSize of them wait
// (and as many more as were in flight and failed); then push refuses, which
// blocks the partition. Links take turns, each in order, with
// what is repeated first.
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
	timer  *time.Timer
	wakeAt time.Time // what timer is set to; zero when it is not
	// running workers serve the lane, at most concurrency, which the newest
	// version of the function that was seen says.
	running     int
	concurrency int
	revision    uint64
	halted      int           // dead letters that cannot be written: nothing starts
	space       chan struct{} // closed when there is room again; nil when nobody waits
	used        bool          // since the last sweep
	retired     bool

	endpoints atomic.Pointer[[]*endpoint]
}

func newLane(d *Dispatcher, k laneKey) *lane {
	return &lane{d: d, key: k, name: k.String(), links: map[string]*linkQueue{}}
}

// push adds a delivery. It refuses, with a channel that is closed when there
// is room again, while the lane is full; and without one when the lane is
// retired or the delivery's session has ended.
func (l *lane) push(dl *delivery) (space <-chan struct{}, ok bool) {
	l.mu.Lock()
	if l.retired || dl.p.session.ended.Load() {
		l.mu.Unlock()
		return nil, false
	}
	if l.queued+len(l.later) >= l.d.cfg.QueueSize {
		defer l.mu.Unlock()
		if l.space == nil {
			l.space = make(chan struct{})
		}
		return l.space, false
	}
	l.used = true
	l.learn(dl)
	l.queued++
	dl.link.pushBack(dl)
	l.list(dl.link)
	start := l.claimWorker()
	l.mu.Unlock()
	if start {
		l.d.workers.start(l)
	}
	return nil, true
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
	}
	q := l.links[link.Metadata.Name]
	if q == nil {
		q = &linkQueue{}
		l.links[link.Metadata.Name] = q
	}
	if rev := link.Metadata.Revision; rev >= q.revision {
		q.revision, q.limit = rev, dl.spec.Concurrency
	}
	dl.link = q
}

// list puts a startable link at the end of the ring.
func (l *lane) list(q *linkQueue) {
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
	if l.first == nil || l.halted > 0 || l.running >= l.concurrency {
		return false
	}
	l.running++
	return true
}

// wake starts as many workers as have something to do.
func (l *lane) wake() {
	l.mu.Lock()
	n := 0
	for n < l.queued && l.claimWorker() {
		n++
	}
	l.mu.Unlock()
	for range n {
		l.d.workers.start(l)
	}
}

// serve makes calls until there is nothing left to start.
func (l *lane) serve(w *worker) {
	for dl := l.take(nil); dl != nil; {
		link := dl.link
		if s := dl.p.session; s.acquire() {
			l.attempt(w, dl)
			s.release()
		} else {
			l.d.abandon(dl)
		}
		dl = l.take(link)
	}
}

// take gives back the place of a call on link done, if any, and returns the
// next delivery to start; nil sends the worker away.
func (l *lane) take(done *linkQueue) *delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	if done != nil {
		done.running--
		l.list(done)
	}
	for l.halted == 0 && l.running <= l.concurrency && l.first != nil {
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
		l.list(q)
		l.queued--
		l.makeRoom()
		return dl
	}
	l.running--
	return nil
}

// makeRoom wakes those that wait for room, once a quarter of the lane is free:
// waking them for each place would cost a context switch a delivery.
func (l *lane) makeRoom() {
	if l.space != nil && l.queued+len(l.later) <= l.d.cfg.QueueSize*3/4 {
		close(l.space)
		l.space = nil
	}
}

// retry keeps a delivery until it is due.
func (l *lane) retry(dl *delivery, due time.Time) {
	l.mu.Lock()
	if dl.p.session.ended.Load() {
		l.mu.Unlock()
		l.d.abandon(dl)
		return
	}
	dl.due = due
	l.later.push(dl)
	l.arm()
	l.mu.Unlock()
}

// arm sets the timer to the first retry that is due.
func (l *lane) arm() {
	if len(l.later) == 0 || (!l.wakeAt.IsZero() && !l.later[0].due.Before(l.wakeAt)) {
		return
	}
	l.wakeAt = l.later[0].due
	wait := max(0, l.wakeAt.Sub(l.d.parts.Now()))
	if l.timer == nil {
		l.timer = time.AfterFunc(wait, l.due)
		return
	}
	l.timer.Reset(wait)
}

// due moves the retries that are due to the front of their links' queues.
func (l *lane) due() {
	l.mu.Lock()
	l.wakeAt = time.Time{}
	now := l.d.parts.Now()
	for dl := l.later.popDue(now); dl != nil; dl = l.later.popDue(now) {
		l.queued++
		dl.link.pushFront(dl)
		l.list(dl.link)
	}
	l.arm()
	l.mu.Unlock()
	l.wake()
}

// abandon drops what the session has waiting.
func (l *lane) abandon(s *session) {
	l.mu.Lock()
	lists := []*delivery{l.later.take(s)}
	for _, q := range l.links {
		taken, n := q.take(s)
		l.queued -= n
		lists = append(lists, taken)
	}
	if len(l.later) == 0 && l.timer != nil {
		l.timer.Stop()
		l.wakeAt = time.Time{}
	}
	l.makeRoom()
	l.mu.Unlock()
	for _, dl := range lists {
		for dl != nil {
			next := dl.next
			l.d.abandon(dl)
			dl = next
		}
	}
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
	if l.used || l.running > 0 || l.queued > 0 || len(l.later) > 0 {
		l.used = false
		return false
	}
	l.retired = true
	return true
}

func (l *lane) stat() LaneStat {
	l.mu.Lock()
	defer l.mu.Unlock()
	return LaneStat{Function: l.name, Queued: l.queued, Retrying: len(l.later), Running: l.running, Halted: l.halted > 0}
}
