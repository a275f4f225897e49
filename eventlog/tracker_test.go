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

func (m *model) held() (n int) {
	at := m.watermark()
	for _, o := range m.taken {
		if o >= at {
			n++
		}
	}
	return n
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
					offset += rnd.Int64N(1 << rnd.IntN(10)) // a gap
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
	if at != m.watermark() || tr.open != len(m.open()) || tr.held() != m.held() {
		t.Fatalf("seed %d: watermark %d, open %d, held %d; want %d, %d, %d", seed, at, tr.open, tr.held(), m.watermark(), len(m.open()), m.held())
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
}

func TestProgressTellsAsMuchAsFits(t *testing.T) {
	for name, c := range map[string]struct {
		open func(offset int64) bool // of a full window
		want int                     // records that come again without being open
	}{
		"one slow record":                        {func(o int64) bool { return o == 0 }, 0},
		"a slow record in a hundred":             {func(o int64) bool { return o%100 == 0 }, 0},
		"every other record in a quarter":        {func(o int64) bool { return o < 24_000 && o%2 == 0 }, 75_448},
		"every other record":                     {func(o int64) bool { return o%2 == 0 }, (100_000 - maxProgress*8) / 2},
		"nothing but the last":                   {func(o int64) bool { return o < 99_999 }, 0},
		"every other record behind a long range": {func(o int64) bool { return o == 0 || o > 90_000 && o%2 == 0 }, (10_000 - 2*1533) / 2},
	} {
		t.Run(name, func(t *testing.T) {
			tr, open := newTracker(), 0
			for o := range int64(100_000) {
				tr.take(o, false)
			}
			for o := range int64(100_000) {
				if c.open(o) {
					open++
				} else {
					tr.settle(o)
				}
			}
			again := 100_000 - int(tr.watermark())
			for _, s := range decodeProgress(tr.watermark(), encodeProgress(tr.watermark(), tr.ahead(nil))) {
				again -= int(s.to - s.from)
			}
			if again -= open; again > c.want+10 || again < c.want-10 {
				t.Errorf("%d settled records come again, want %d", again, c.want)
			}
		})
	}
}

func TestAWindowOfRecordsTakesLittleRoom(t *testing.T) {
	tr := newTracker()
	for o := range int64(100_000) {
		tr.take(o, false)
	}
	if n := len(tr.ring); n > 2048 || tr.held() != 100_000 {
		t.Errorf("%d words for %d records in a row", n, tr.held())
	}
	for o := range int64(100_000) {
		if o != 7 {
			tr.settle(o)
		}
	}
	if tr.held() != 99_993 {
		t.Errorf("holds %d from the one that is open on", tr.held())
	}
	tr.settle(7)
	if tr.held() != 0 || tr.size != 0 || tr.all != 0 {
		t.Errorf("holds %d in %d words, all %d", tr.held(), tr.size, tr.all)
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
	const window = 100_000
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
