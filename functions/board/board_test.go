package board

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/resource"
)

func version(name, version string) *resource.Function {
	return &resource.Function{Metadata: resource.Metadata{Name: name}, Spec: resource.FunctionSpec{Version: version}}
}

func woken(b *Board) bool {
	select {
	case <-b.Woken():
		return true
	default:
		return false
	}
}

func TestWhoeverAsksIsNoticedAndWakesWhereThereIsNoURL(t *testing.T) {
	b, fn := New(), version("f", "1")
	if _, err := b.URL(fn); !errors.Is(err, functions.ErrNotReady) || !strings.Contains(err.Error(), "f@1") || woken(b) {
		t.Errorf("%v: want not ready, and nobody woken", err)
	}
	for _, place := range []*Place{{URL: "http://f", Asked: &atomic.Bool{}}, {Err: NotReady(Of(fn), "starts"), Asked: &atomic.Bool{}}} {
		b.Publish(map[ID]*Place{Of(fn): place})
		for i := range 2 {
			url, err := b.URL(fn)
			if url != place.URL || err != place.Err || !place.Asked.Load() {
				t.Errorf("%q, %v, asked %v", url, err, place.Asked.Load())
			}
			if got := woken(b); got != (place.Err != nil && i == 0) {
				t.Errorf("call %d of %+v woke %v", i, place, got)
			}
		}
	}
}

func TestStatusAsksForNothing(t *testing.T) {
	b, fn := New(), version("f", "")
	place := &Place{Status: functions.Status{State: functions.StateIdle}, Asked: &atomic.Bool{}}
	b.Publish(map[ID]*Place{Of(fn): place})
	if s, ok := b.Status(fn); !ok || s.State != functions.StateIdle || place.Asked.Load() {
		t.Errorf("%v %v, asked %v", s, ok, place.Asked.Load())
	}
	if _, ok := b.Status(version("f", "1")); ok {
		t.Error("another version has the status")
	}
}

func TestOnlyTheNewestPlanIsTakenOnce(t *testing.T) {
	b, one, two := New(), version("f", "1"), version("f", "2")
	b.Reconcile([]*resource.Function{one}, nil)
	b.Reconcile([]*resource.Function{two}, []*resource.Function{one})
	if p := b.Take(); !woken(b) || len(p.InUse) != 1 || p.InUse[0] != two || p.Others[0] != one {
		t.Errorf("%+v", p)
	}
	if p := b.Take(); p != nil || woken(b) {
		t.Errorf("%+v again", p)
	}
}
