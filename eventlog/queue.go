package eventlog

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// queue is what was fetched for one partition and not handed over yet. The
// poll loop fills it and never waits: when it is full the fetching of this
// partition is paused, until it is half empty again.
type queue struct {
	c  *consumer
	id int32

	qmu      sync.Mutex
	records  []*kgo.Record
	bytes    int
	expected int64 // the next offset, or a later one; -1 before the first
	paused   bool
	wake     chan struct{} // cap 1
}

func (q *queue) init(c *consumer, id int32) {
	q.c, q.id, q.expected, q.wake = c, id, -1, make(chan struct{}, 1)
}

func (q *queue) expect(offset int64) {
	q.qmu.Lock()
	q.expected = offset
	q.qmu.Unlock()
}

// offer adds what a poll brought. It refuses records that lie before those it
// has seen: the log went back (an unclean leader, a broker that lost data).
func (q *queue) offer(recs []*kgo.Record, logStart int64) bool {
	q.qmu.Lock()
	defer q.qmu.Unlock()
	first := recs[0].Offset
	if first < q.expected {
		return false
	}
	if q.expected >= 0 && logStart > q.expected {
		q.c.retired(q.id, q.expected, min(first, logStart))
	}
	q.expected = recs[len(recs)-1].Offset + 1
	q.records = append(q.records, recs...)
	for _, r := range recs {
		q.bytes += len(r.Key) + len(r.Value)
	}
	if !q.paused && (len(q.records) >= q.c.log.cfg.QueueRecords || q.bytes >= q.c.log.cfg.QueueBytes) {
		// Under the lock, so that a resume cannot come before it.
		q.paused = true
		q.c.pauseFetch(q.id)
	}
	signal(q.wake)
	return true
}

// next waits for records and returns at most limit of them; nil when stopped.
func (q *queue) next(stopping <-chan struct{}, limit int) []*kgo.Record {
	for {
		select {
		case <-stopping:
			return nil
		default:
		}
		if recs := q.some(limit); len(recs) > 0 {
			return recs
		}
		select {
		case <-q.wake:
		case <-stopping:
			return nil
		}
	}
}

func (q *queue) some(limit int) []*kgo.Record {
	q.qmu.Lock()
	defer q.qmu.Unlock()
	n := min(limit, len(q.records))
	recs := q.records[:n:n]
	for _, r := range recs {
		q.bytes -= len(r.Key) + len(r.Value)
	}
	q.records = q.records[n:]
	if len(q.records) == 0 {
		q.records = nil
	}
	if q.paused && len(q.records) <= q.c.log.cfg.QueueRecords/2 && q.bytes <= q.c.log.cfg.QueueBytes/2 {
		q.paused = false
		q.c.resumeFetch(q.id)
	}
	return recs
}
