package eventlog

import (
	"math/bits"
	"sort"
)

// tracker keeps, for one partition, which of the records taken are settled.
// Offsets are taken in rising order, with gaps where the log has them
// (transaction markers, aborted records, compaction); they are settled in any
// order. It is a ring of words, each for 64 offsets of which at least one was
// taken: taking and settling cost the same at any size, nothing is allocated
// while it does not grow, and 100,000 records in a row are 38 KB. Not safe for
// concurrent use.
type tracker struct {
	ring []word // length is a power of two
	head int    // index of the word with the oldest record that is not settled
	size int    // words in use; the first has an open record
	open int    // records that are not settled
	all  int    // records in the words in use, settled or not
	next int64  // where the log goes on behind the newest taken; -1 before the first
}

// word is 64 offsets in a row; bit i is offset base+i.
type word struct {
	base  int64
	taken uint64
	open  uint64 // of those taken
}

func newTracker() *tracker { return &tracker{ring: make([]word, 4), next: -1} }

func (t *tracker) at(i int) *word { return &t.ring[(t.head+i)&(len(t.ring)-1)] }

// take adds a record; settled ones need no settling any more. It reports
// false for an offset that lies before what was taken.
func (t *tracker) take(offset int64, settled bool) bool {
	if offset < t.next {
		return false
	}
	t.next = offset + 1
	if settled && t.size == 0 {
		return true
	}
	base, bit := offset&^63, uint64(1)<<(offset&63)
	if t.size == 0 || t.at(t.size-1).base != base {
		t.push(base)
	}
	w := t.at(t.size - 1)
	w.taken |= bit
	t.all++
	if !settled {
		w.open |= bit
		t.open++
	}
	return true
}

func (t *tracker) push(base int64) {
	if t.size == len(t.ring) {
		ring := make([]word, 2*len(t.ring))
		for i := range t.size {
			ring[i] = *t.at(i)
		}
		t.ring, t.head = ring, 0
	}
	*t.at(t.size) = word{base: base}
	t.size++
}

// pass goes on behind a gap.
func (t *tracker) pass(next int64) { t.next = max(t.next, next) }

// settle marks a record; it reports false when the offset is not one of those
// that were taken and are open.
func (t *tracker) settle(offset int64) bool {
	w := t.find(offset &^ 63)
	bit := uint64(1) << (offset & 63)
	if w == nil || w.open&bit == 0 {
		return false
	}
	w.open &^= bit
	t.open--
	for t.size > 0 && t.at(0).open == 0 {
		t.all -= bits.OnesCount64(t.at(0).taken)
		t.head = (t.head + 1) & (len(t.ring) - 1)
		t.size--
	}
	return true
}

// find looks where the word is when there are no gaps, and searches before
// that place when there are.
func (t *tracker) find(base int64) *word {
	if t.size == 0 || base < t.at(0).base {
		return nil
	}
	i := t.size - 1
	if d := (base - t.at(0).base) >> 6; d < int64(i) {
		i = int(d)
	}
	if w := t.at(i); w.base == base {
		return w
	}
	i = sort.Search(i, func(i int) bool { return t.at(i).base >= base })
	if w := t.at(i); w.base == base {
		return w
	}
	return nil
}

// held is how many records there are from the oldest that is not settled to
// the newest taken.
func (t *tracker) held() int {
	if t.size == 0 {
		return 0
	}
	w := t.at(0)
	before := uint64(1)<<bits.TrailingZeros64(w.open) - 1
	return t.all - bits.OnesCount64(w.taken&before)
}

// watermark is the offset to commit: every record before it is settled. -1
// means that nothing was taken yet.
func (t *tracker) watermark() int64 {
	if t.size == 0 {
		return t.next
	}
	w := t.at(0)
	return w.base + int64(bits.TrailingZeros64(w.open))
}

// ahead are the settled records beyond the watermark, as ranges in rising
// order, as many as can be of use to encodeProgress. A gap between two settled
// records belongs to their range.
func (t *tracker) ahead(into []span) []span {
	into = into[:0]
	far := t.watermark() + maxBits
	inside := false // the newest record before is settled
	for i := range t.size {
		w := t.at(i)
		if len(into) > maxRuns && w.base > far {
			break
		}
		taken := w.taken
		if i == 0 {
			taken &^= uint64(1)<<bits.TrailingZeros64(w.open) - 1
		}
		for taken != 0 {
			// A run of settled records, then one of open records.
			from := bits.TrailingZeros64(taken)
			upTo := bits.TrailingZeros64(w.open & taken) // 64 when there is none
			if settled := taken & (uint64(1)<<upTo - 1); settled != 0 {
				if !inside {
					into = append(into, span{from: w.base + int64(from)})
				}
				into[len(into)-1].to = w.base + int64(64-bits.LeadingZeros64(settled))
				inside = true
			}
			taken &^= uint64(1)<<upTo - 1
			if taken == 0 {
				break
			}
			inside = false
			nextSettled := bits.TrailingZeros64(taken &^ w.open)
			taken &^= uint64(1)<<nextSettled - 1
		}
	}
	return into
}

// span is a range of offsets, from inclusive, to exclusive.
type span struct{ from, to int64 }
