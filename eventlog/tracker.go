package eventlog

import "sort"

// tracker keeps, for one partition, which of the records taken are settled.
// Offsets are taken in rising order, with gaps where the log has them
// (transaction markers, aborted records, compaction); they are settled in any
// order. It is a ring: taking and settling cost the same at any size, and
// nothing is allocated while it does not grow. Not safe for concurrent use.
type tracker struct {
	ring []entry // length is a power of two
	head int     // index of the oldest record that is not settled
	n    int     // records from there to the newest taken
	open int     // those of them that are not settled
	next int64   // where the log goes on behind the newest taken; -1 before the first
}

type entry struct {
	offset  int64
	settled bool
}

func newTracker() *tracker { return &tracker{ring: make([]entry, 64), next: -1} }

func (t *tracker) at(i int) *entry { return &t.ring[(t.head+i)&(len(t.ring)-1)] }

// take adds a record; settled ones need no settling any more. It reports
// false for an offset that lies before what was taken.
func (t *tracker) take(offset int64, settled bool) bool {
	if offset < t.next {
		return false
	}
	t.next = offset + 1
	if settled && t.n == 0 {
		return true
	}
	if t.n == len(t.ring) {
		t.grow()
	}
	*t.at(t.n) = entry{offset, settled}
	t.n++
	if !settled {
		t.open++
	}
	return true
}

func (t *tracker) grow() {
	ring := make([]entry, 2*len(t.ring))
	for i := range t.n {
		ring[i] = *t.at(i)
	}
	t.ring, t.head = ring, 0
}

// settle marks a record; it reports false when the offset is not one of those
// that were taken and are open.
func (t *tracker) settle(offset int64) bool {
	i, ok := t.find(offset)
	if !ok || t.at(i).settled {
		return false
	}
	t.at(i).settled = true
	t.open--
	for t.n > 0 && t.at(0).settled {
		t.head = (t.head + 1) & (len(t.ring) - 1)
		t.n--
	}
	return true
}

// find looks where the offset is when there are no gaps, and searches before
// that place when there are.
func (t *tracker) find(offset int64) (int, bool) {
	if t.n == 0 || offset < t.at(0).offset || offset >= t.next {
		return 0, false
	}
	i := t.n - 1
	if d := offset - t.at(0).offset; d < int64(t.n) {
		i = int(d)
	}
	if t.at(i).offset == offset {
		return i, true
	}
	i = sort.Search(i, func(i int) bool { return t.at(i).offset >= offset })
	return i, t.at(i).offset == offset
}

// watermark is the offset to commit: every record before it is settled. -1
// means that nothing was taken yet.
func (t *tracker) watermark() int64 {
	if t.n == 0 {
		return t.next
	}
	return t.at(0).offset
}

// ahead are the settled records beyond the watermark, as ranges in rising
// order. A gap between two settled records belongs to their range.
func (t *tracker) ahead(into []span) []span {
	into = into[:0]
	inside := false
	for i := range t.n {
		e := t.at(i)
		switch {
		case !e.settled:
			inside = false
		case inside:
			into[len(into)-1].to = e.offset + 1
		default:
			into = append(into, span{e.offset, e.offset + 1})
			inside = true
		}
	}
	return into
}

// span is a range of offsets, from inclusive, to exclusive.
type span struct{ from, to int64 }
