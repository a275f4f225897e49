package eventlog

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// account is what was handed over of one stream of records (a partition of the
// events topic, or of a parked topic) and what of it is settled: from it
// progress is committed.
type account struct {
	topic   string
	id      int32
	window  int           // records from the oldest that is not settled on, at most
	opens   int           // those of them that are not settled, at most; 0 is as many
	settled func()        // called for each record settled
	room    chan struct{} // cap 1: the window has room again

	mu      sync.Mutex // guards what is below
	tracker *tracker
	begun   bool
	skip    []span // settled before the last crash or hand-over
	changes uint64 // counts what a commit would tell
	saved   uint64 // changes as of the last commit
	spans   []span // scratch
	closed  bool   // nothing is settled any more
	kept    int64  // the offset of the last commit; -1 before the first
	keptAt  time.Time

	deleted int64 // up to where the log was told to forget; the looker's own
}

func newAccount(topic string, id int32, window int, settled func()) *account {
	return &account{
		topic: topic, id: id, window: window, settled: settled,
		room: make(chan struct{}, 1), tracker: newTracker(), kept: -1,
	}
}

// begin tells where the group stands; offset is -1 without a commit. Only the
// first call counts.
func (a *account) begin(offset int64, metadata string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun {
		return false
	}
	a.begun = true
	if offset >= 0 && a.tracker.next < 0 {
		a.tracker.next = offset
		a.skip = decodeProgress(offset, metadata)
	}
	return true
}

// next is where the handing over goes on; false while that is not known.
func (a *account) next() (int64, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(0, a.tracker.next), a.begun
}

// waitForRoom blocks while the window is full; false when stopped meanwhile.
func (a *account) waitForRoom(stopping <-chan struct{}) bool {
	for {
		a.mu.Lock()
		fits := a.fits()
		a.mu.Unlock()
		if fits {
			return true
		}
		select {
		case <-a.room:
		case <-stopping:
			return false
		}
	}
}

// fits reports whether the window has room. a.mu is held.
func (a *account) fits() bool {
	return a.tracker.held() < a.window && (a.opens == 0 || a.tracker.open < a.opens)
}

// take enters recs and returns those that are to be handled: neither markers
// of transactions nor records settled before. It works in place.
func (a *account) take(recs []*kgo.Record) []*kgo.Record {
	open := recs[:0]
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range recs {
		settled := r.Attrs.IsControl() || a.skipped(r.Offset)
		a.tracker.take(r.Offset, settled) // none comes that goes back
		if settled {
			a.changes++
		} else {
			open = append(open, r)
		}
	}
	return open
}

func (a *account) skipped(offset int64) bool {
	for len(a.skip) > 0 && a.skip[0].to <= offset {
		a.skip = a.skip[1:]
	}
	return len(a.skip) > 0 && a.skip[0].from <= offset
}

// pass goes on behind a gap.
func (a *account) pass(next int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if next > a.tracker.next {
		a.tracker.pass(next)
		a.changes++
	}
}

// settle is given to the handler.
func (a *account) settle(offset int64) {
	a.mu.Lock()
	if a.closed || !a.tracker.settle(offset) {
		a.mu.Unlock()
		return
	}
	a.changes++
	room := a.fits()
	a.mu.Unlock()
	if room {
		signal(a.room)
	}
	a.settled()
}

// signal wakes the one that waits on c, now or later.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// close makes settling do nothing from here on.
func (a *account) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
}

// state is what can be committed, and its version for committed; false when
// it is as at the last commit.
func (a *account) state() (s commitState, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := a.tracker.watermark()
	if at < 0 || a.changes == a.saved {
		return commitState{}, false
	}
	a.spans = a.tracker.ahead(a.spans)
	for _, s := range a.skip { // not met yet
		if s.to > a.tracker.next {
			a.spans = append(a.spans, span{max(s.from, a.tracker.next), s.to})
		}
	}
	return commitState{account: a, offset: at, metadata: encodeProgress(at, a.spans), version: a.changes}, true
}

func (a *account) committed(s commitState, now time.Time) {
	a.mu.Lock()
	a.saved, a.kept, a.keptAt = s.version, s.offset, now
	a.mu.Unlock()
}

// touch makes the next commit tell about this stream again when the last one
// was before a time: the broker forgets what it has not heard of for long.
func (a *account) touch(before time.Time) {
	a.mu.Lock()
	if a.keptAt.Before(before) && a.changes == a.saved {
		a.changes++
	}
	a.mu.Unlock()
}

// progress is the committed offset; -1 before the first commit.
func (a *account) progress() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.kept
}

func (a *account) unsettled() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tracker.open
}
