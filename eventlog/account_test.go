package eventlog

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func offsetsOf(recs []*kgo.Record) (offsets []int64) {
	for _, r := range recs {
		offsets = append(offsets, r.Offset)
	}
	return offsets
}

func records(from, to int64) (recs []*kgo.Record) {
	for o := from; o < to; o++ {
		recs = append(recs, &kgo.Record{Offset: o})
	}
	return recs
}

func begun(offset int64, metadata string) *account {
	a := newAccount("t", 0, 100, func() {})
	a.begin(offset, metadata)
	return a
}

// heir is whoever owns the stream after a crash.
func heir(t *testing.T, a *account) *account {
	t.Helper()
	s, ok := a.state()
	if !ok {
		t.Fatal("nothing to commit")
	}
	return begun(s.offset, s.metadata)
}

func TestWhatWasSettledBeforeIsNotForgottenByAnEarlyCommit(t *testing.T) {
	a := begun(10, encodeProgress(10, []span{{12, 14}, {16, 20}}))
	a.touch(time.Now())
	a = heir(t, a) // nothing was handed over in between
	if got := offsetsOf(a.take(records(10, 13))); !slices.Equal(got, []int64{10, 11}) {
		t.Fatalf("handed over %v", got)
	}
	a.settle(11)
	a = heir(t, a) // half of it was
	if got := offsetsOf(a.take(records(10, 22))); !slices.Equal(got, []int64{10, 14, 15, 20, 21}) {
		t.Errorf("handed over %v", got)
	}
}

func TestSettlingAfterTheEndDoesNothing(t *testing.T) {
	a := begun(0, "")
	a.take(records(0, 3))
	a.settle(0)
	a.close()
	a.settle(1)
	if s, ok := a.state(); !ok || s.offset != 1 || a.unsettled() != 2 {
		t.Errorf("offset %d, %d unsettled", s.offset, a.unsettled())
	}
}

func TestOldProgressIsToldAgain(t *testing.T) {
	a := begun(7, "")
	now := time.Now()
	a.touch(now)
	s, ok := a.state()
	if !ok || s.offset != 7 {
		t.Fatalf("%+v, %v", s, ok)
	}
	a.committed(s, now)
	a.touch(now.Add(-time.Hour))
	if _, ok := a.state(); ok {
		t.Error("told again though it is not old")
	}
	a.touch(now.Add(time.Hour))
	if s, ok := a.state(); !ok || s.offset != 7 || a.progress() != 7 {
		t.Errorf("%+v, %v", s, ok)
	}
}

func TestAGapAtTheEndIsPassed(t *testing.T) {
	a := begun(0, "")
	a.take(records(0, 2))
	a.pass(9)
	a.settle(0)
	a.settle(1)
	if s, _ := a.state(); s.offset != 9 {
		t.Errorf("offset %d, want 9", s.offset)
	}
}

func TestOneThatIsOpenForLongLeavesRoomForOthers(t *testing.T) {
	a := newAccount("t", 0, 1000, func() {})
	a.opens = 3
	a.begin(0, "")
	stopped := make(chan struct{})
	close(stopped)
	a.take(records(0, 1)) // stays
	for o := int64(1); o < 1000; o++ {
		if !a.waitForRoom(stopped) {
			t.Fatalf("no room for %d", o)
		}
		a.take(records(o, o+1))
		a.settle(o)
	}
	if a.waitForRoom(stopped) {
		t.Error("the window has no end")
	}
	a.settle(0)
	a.take(records(1000, 1003))
	if a.waitForRoom(stopped) {
		t.Error("room for a fourth")
	}
	a.settle(1001)
	if !a.waitForRoom(stopped) {
		t.Error("no room though one was settled")
	}
}
