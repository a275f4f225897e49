package eventlog

import (
	"sync"
	"sync/atomic"
)

// tail is how far this process is behind one parked stream: the partition of a
// function's parked topic.
type tail struct {
	// parking counts the calls of Park that have no answer yet.
	parking atomic.Int64
	// end lies behind the newest record that is known of; 0 when there is none.
	end atomic.Int64
	// at lies behind the newest record for which the handler's call has
	// returned; -1 while this process does not read the stream.
	at atomic.Int64
}

func newTail() *tail {
	t := &tail{}
	t.at.Store(-1)
	return t
}

// grow notes that records are known of up to an offset.
func (t *tail) grow(end int64) {
	for {
		old := t.end.Load()
		if end <= old || t.end.CompareAndSwap(old, end) {
			return
		}
	}
}

// behind asks parking first: an answer moves the end before it is counted.
func (t *tail) behind() bool {
	return t.parking.Load() > 0 || t.at.Load() < t.end.Load() && t.end.Load() > 0
}

type tailKey struct {
	function  string
	partition int32
}

// tails are the tails of all parked streams this process has to do with. They
// outlive an ownership: what is being parked when a partition leaves and comes
// back must not be forgotten.
type tails struct {
	mu sync.RWMutex
	of map[tailKey]*tail
	// looked says of a partition that everything that was parked there when it
	// was assigned is known.
	looked map[int32]bool
}

func (t *tails) init() {
	t.of = make(map[tailKey]*tail)
	t.looked = make(map[int32]bool)
}

func (t *tails) tail(function string, partition int32) *tail {
	k := tailKey{function, partition}
	t.mu.RLock()
	one := t.of[k]
	t.mu.RUnlock()
	if one != nil {
		return one
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if one = t.of[k]; one == nil {
		one = newTail()
		t.of[k] = one
	}
	return one
}

// has says that records are known of.
func (t *tails) has(function string, partition int32) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	one := t.of[tailKey{function, partition}]
	return one != nil && one.end.Load() > 0
}

func (t *tails) setLooked(partition int32) {
	t.mu.Lock()
	t.looked[partition] = true
	t.mu.Unlock()
}

func (t *tails) hasLooked(partition int32) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.looked[partition]
}

// forget ends what was known of a partition's streams by owning it.
func (t *tails) forget(partition int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.looked, partition)
	for k, one := range t.of {
		if k.partition == partition {
			one.at.Store(-1)
		}
	}
}

// ParkedBehind reports whether deliveries of a function at a partition that
// this process owns may still lie between the log and the handler: true from
// the call of Park until everything parked there was handed over and the
// handler's call has returned, and while that is not known, as right after the
// partition was assigned. What others parked counts from when it is found,
// within Config.ParkedInterval. It does not block, and costs two lookups.
func (l *Log) ParkedBehind(function string, partition int32) bool {
	t := &l.tails
	t.mu.RLock()
	defer t.mu.RUnlock()
	if !t.looked[partition] {
		return true
	}
	one := t.of[tailKey{function, partition}]
	return one != nil && one.behind()
}
