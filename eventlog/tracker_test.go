package eventlog

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// model is the tracker as one would write it without a thought for its cost.
type model struct {
	taken   []int64
	settled map[int64]bool
	next    int64
}

func (m *model) watermark() int64 {
	for _, o := range m.taken {
		if !m.settled[o] {
			return o
		}
	}
	return m.next
}

func (m *model) open() []int64 {
	var open []int64
	for _, o := range m.taken {
		if !m.settled[o] {
			open = append(open, o)
		}
	}
	return open
}

// unsettledIn are the records from base on that the ranges do not cover.
func (m *model) unsettledIn(base int64, ahead []span) []int64 {
	var left []int64
	for _, o := range m.taken {
		covered := slices.ContainsFunc(ahead, func(s span) bool { return s.from <= o && o < s.to })
		if o >= base && !covered {
			left = append(left, o)
		}
	}
	return left
}

func TestTrackerAgreesWithAModel(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		tr, m := newTracker(), &model{settled: map[int64]bool{}, next: -1}
		offset := rnd.Int64N(100)
		for range 400 {
			open := m.open()
			if rnd.IntN(2) == 0 || len(open) == 0 {
				if rnd.IntN(10) == 0 {
					offset += rnd.Int64N(50) // a gap
				}
				settled := rnd.IntN(8) == 0
				if !tr.take(offset, settled) {
					t.Fatalf("seed %d: take %d refused", seed, offset)
				}
				m.taken, m.settled[offset], m.next = append(m.taken, offset), settled, offset+1
				offset++
			} else {
				o := open[rnd.IntN(len(open))]
				if !tr.settle(o) || tr.settle(o) {
					t.Fatalf("seed %d: settle %d: want true once", seed, o)
				}
				m.settled[o] = true
			}
			check(t, seed, tr, m)
		}
	}
}

func check(t *testing.T, seed uint64, tr *tracker, m *model) {
	t.Helper()
	at := tr.watermark()
	if at != m.watermark() || tr.open != len(m.open()) {
		t.Fatalf("seed %d: watermark %d, open %d; want %d, %d", seed, at, tr.open, m.watermark(), len(m.open()))
	}
	back := decodeProgress(at, encodeProgress(at, tr.ahead(nil)))
	if got := m.unsettledIn(at, back); !slices.Equal(got, m.open()) {
		t.Fatalf("seed %d: a restart would repeat %v, want %v", seed, got, m.open())
	}
}

func TestTrackerRefusesWhatItDoesNotHave(t *testing.T) {
	tr := newTracker()
	for _, o := range []int64{10, 11, 15} {
		tr.take(o, false)
	}
	for _, o := range []int64{9, 12, 14, 16} {
		if tr.settle(o) {
			t.Errorf("settled %d, which was not taken", o)
		}
	}
	if tr.take(15, false) || tr.take(3, false) {
		t.Error("took an offset that lies behind")
	}
	if tr.watermark() != 10 {
		t.Errorf("watermark %d", tr.watermark())
	}
}

func TestProgressFitsKafkasMetadata(t *testing.T) {
	alternating, rare := newTracker(), newTracker()
	for o := range int64(100_000) {
		alternating.take(o, false)
		rare.take(o*1000, false)
	}
	for o := int64(1); o < 100_000; o += 2 {
		alternating.settle(o)
		rare.settle(o * 1000)
	}
	for name, tr := range map[string]*tracker{"alternating": alternating, "far apart": rare} {
		ahead := tr.ahead(nil)
		s := encodeProgress(0, ahead)
		back := decodeProgress(0, s)
		if len(s) > maxMetadata || len(back) == 0 || !slices.Equal(back, ahead[:len(back)]) {
			t.Errorf("%s: %d bytes, %d of %d ranges come back", name, len(s), len(back), len(ahead))
		}
	}
	// A whole window of the default size, settled in the worst pattern, fits.
	small := newTracker()
	for o := range int64(10_000) {
		small.take(o, false)
	}
	for o := int64(1); o < 10_000; o += 2 {
		small.settle(o)
	}
	if ahead := small.ahead(nil); len(decodeProgress(0, encodeProgress(0, ahead))) != len(ahead) {
		t.Error("a full window of alternating records does not fit")
	}
}

func FuzzDecodeProgress(f *testing.F) {
	f.Add(int64(0), "")
	f.Add(int64(5), encodeProgress(5, []span{{6, 9}, {12, 13}}))
	f.Add(int64(5), "sb1rgICAgICAgICAgAE")
	f.Add(int64(1<<62), "sb1b////")
	f.Add(int64(9), "kgo-member-id")
	f.Fuzz(func(t *testing.T, base int64, metadata string) {
		last := base
		for _, s := range decodeProgress(base, metadata) {
			if s.from < last || s.to <= s.from {
				t.Fatalf("range %v after %d", s, last)
			}
			last = s.to
		}
		if !strings.HasPrefix(metadata, progressMark) && last != base {
			t.Fatal("read metadata that is not ours")
		}
	})
}

func BenchmarkTracker(b *testing.B) {
	tr := newTracker()
	const window = 10_000
	for o := range int64(window) {
		tr.take(o, false)
	}
	b.ReportAllocs()
	for i := int64(0); b.Loop(); i++ {
		// The oldest but one: never the head, so that the window stays full.
		tr.take(window+i, false)
		tr.settle(i ^ 1)
	}
}

func BenchmarkEncodeProgress(b *testing.B) {
	tr := newTracker()
	for o := range int64(10_000) {
		tr.take(o, false)
	}
	for o := int64(1); o < 10_000; o += 3 {
		tr.settle(o)
	}
	var spans []span
	b.ReportAllocs()
	for b.Loop() {
		spans = tr.ahead(spans)
		encodeProgress(0, spans)
	}
}
