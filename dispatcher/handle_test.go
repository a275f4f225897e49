package dispatcher_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/dispatcher/dispatchertest"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// counter is a function that counts its calls by event id.
func counter(calls *wordLog) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) { calls.add("%s", r.Header.Get("Ce-Id")) }
}

func TestNewNamesEveryFault(t *testing.T) {
	_, err := dispatcher.New(dispatcher.Config{}, dispatcher.Parts{})
	for _, want := range []string{"Dedup", "MaxHops", "QueueSize", "MaxReplyBytes", "AppendTimeout", "Parts.Deduper", "Parts.Chooser", "Parts.Endpoints", "Parts.Log"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
}

func TestRecordThatIsNoEventIsADeadLetterAndStopsNothing(t *testing.T) {
	var calls wordLog
	b := newBed(t, one(serve(t, counter(&calls))), nil)
	recs := records(0, newEvent("a"), nil, newEvent("b"), nil)
	recs[1].Fault = errors.New("no marker")
	recs[1].Message = event.Message{Key: []byte("k"), Value: []byte("v")}
	b.Handle(b.part, recs, b.settle)
	b.waitSettled(4)
	dl := b.log.Dead()
	if len(dl) != 2 || dl[0].Reason != "no marker" || string(dl[0].Raw.Value) != "v" || dl[0].Event != nil || dl[0].Position != "3:1" {
		t.Errorf("dead letters %+v", dl)
	}
	if got := calls.String(); len(got) != 3 {
		t.Errorf("called for %q, want a and b", got)
	}
}

func TestDuplicatesAreDroppedAndRedeliveriesAreNot(t *testing.T) {
	var calls wordLog
	var dropped atomic.Int64
	b := newBed(t, one(serve(t, counter(&calls))), func(b *bed) {
		b.parts.Observer.Duplicate = func(rec *event.Record) { dropped.Add(1) }
	})
	b.send(newEvent("a"), newEvent("a"))
	b.waitSettled(2)
	again := make(chan int64, 2)
	b.Handle(b.part, records(0, newEvent("a")), func(o int64) { again <- o })
	<-again
	b.stop()
	if got := calls.String(); got != "a a" || dropped.Load() != 1 {
		t.Errorf("called for %q with %d dropped, want a twice (once again after a crash) and 1", got, dropped.Load())
	}
}

func TestClaimsThatFail(t *testing.T) {
	for _, c := range []struct {
		mode dispatcher.DedupMode
		want time.Duration
	}{{dispatcher.DedupDeliver, 0}, {dispatcher.DedupHold, time.Minute}} {
		t.Run(string(c.mode), func(t *testing.T) {
			var start time.Time
			var failed atomic.Int64
			virtual(t, resource.Delivery{}, func(http.ResponseWriter, *http.Request) {}, func(b *bed) {
				start = time.Now()
				b.cfg.Dedup = c.mode
				b.claims.Fail = func() bool { return time.Since(start) < time.Minute }
				b.parts.Observer.Claimed = func(_ int, _ time.Duration, err error) {
					if err != nil {
						failed.Add(1)
					}
				}
			}, func(t *testing.T, b *bed) {
				b.send(newEvents(3)...)
				b.waitSettledVirtual(3)
				if took := time.Since(start); took < c.want || took > c.want+b.cfg.RetryMax || failed.Load() == 0 {
					t.Errorf("delivered after %s and %d failed claims, want soon after %s", took, failed.Load(), c.want)
				}
			})
		})
	}
}

func TestHoldSettlesNothingWhenThePartitionIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, nil, func(b *bed) {
			b.cfg.Dedup = dispatcher.DedupHold
			b.claims.Fail = func() bool { return true }
		})
		time.AfterFunc(time.Hour, b.lose)
		b.send(newEvents(3)...) // returns when the partition is lost
		b.stop()
		if n := b.settledCount(); n != 0 {
			t.Errorf("%d records settled, want none", n)
		}
	})
}

func TestHopLimit(t *testing.T) {
	var calls wordLog
	b := newBed(t, one(serve(t, counter(&calls))), func(b *bed) { b.cfg.MaxHops = 3 })
	at, over := newEvent("at"), newEvent("over")
	at.SetExtension(event.ExtHops, "3")
	over.SetExtension(event.ExtHops, "4")
	b.send(at, over)
	b.waitSettled(2)
	dl := b.log.Dead()
	if calls.String() != "at" || len(dl) != 1 || !strings.Contains(dl[0].Reason, "loop") || dl[0].Event.ID != "over" {
		t.Errorf("called for %q, dead letters %+v", calls.String(), dl)
	}
}

func TestChoosingThatFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails int64
		dead  int
	}{{"for a moment: delivered", 3, 0}, {"for good: a dead letter", 1 << 40, 1}} {
		t.Run(c.name, func(t *testing.T) {
			var tries atomic.Int64
			virtual(t, resource.Delivery{}, func(http.ResponseWriter, *http.Request) {}, func(b *bed) {
				always := b.parts.Chooser.(dispatchertest.Choose)
				b.parts.Chooser = dispatchertest.Choose(func(ev *event.Event) (dispatcher.Choice, error) {
					if tries.Add(1) <= c.fails {
						return dispatcher.Choice{}, errors.New("the policy broke")
					}
					return always(ev)
				})
			}, func(t *testing.T, b *bed) {
				b.send(newEvent("a"))
				b.waitSettledVirtual(1)
				dl := b.log.Dead()
				if len(dl) != c.dead || tries.Load() != 4 {
					t.Fatalf("%d dead letters after %d tries, want %d after 4", len(dl), tries.Load(), c.dead)
				}
				if c.dead == 1 && dl[0].Reason != "choosing functions: the policy broke" {
					t.Errorf("reason %q", dl[0].Reason)
				}
			})
		})
	}
}

func TestAChoiceThatCannotBeMadeIsADeadLetterAtOnce(t *testing.T) {
	var tries atomic.Int64
	var took time.Duration
	virtual(t, resource.Delivery{}, func(http.ResponseWriter, *http.Request) {}, func(b *bed) {
		b.parts.Chooser = dispatchertest.Choose(func(*event.Event) (dispatcher.Choice, error) {
			tries.Add(1)
			return dispatcher.Choice{Revision: 3}, fmt.Errorf("asked: %w", dispatcher.Final(errors.New("the policy broke")))
		})
	}, func(t *testing.T, b *bed) {
		start := time.Now()
		b.send(newEvent("a"))
		b.waitSettledVirtual(1)
		took = time.Since(start)
		dl := b.log.Dead()
		if len(dl) != 1 || dl[0].Reason != "choosing functions: asked: the policy broke" || dl[0].Revision != 3 {
			t.Fatalf("dead letters %+v", dl)
		}
	})
	if tries.Load() != 1 || took > time.Millisecond {
		t.Errorf("%d tries in %s, want 1 at once", tries.Load(), took)
	}
}

func TestNothingChosenSettlesAndDenialsAreRecorded(t *testing.T) {
	b := newBed(t, nil, func(b *bed) {
		b.parts.Chooser = dispatchertest.Choose(func(*event.Event) (dispatcher.Choice, error) {
			return dispatcher.Choice{Denied: []dispatcher.Denial{{Link: "l", Function: "f", Reason: "frozen"}}, Revision: 9}, nil
		})
	})
	b.send(newEvent("a"))
	b.waitSettled(1)
	runs := b.log.Runs()
	if len(runs) != 1 || runs[0].Outcome != event.Dropped || runs[0].Reason != "denied: frozen" || runs[0].Link != "l" || runs[0].Revision != 9 {
		t.Errorf("runs %+v", runs)
	}
}

func TestPausedLinkDropsAndTheOthersDeliver(t *testing.T) {
	var calls wordLog
	url := serve(t, counter(&calls))
	paused := dispatchertest.Target("paused", "fn", url, fast())
	paused.Link.Spec.Paused = true
	b := newBed(t, append(one(url), paused), nil)
	b.send(newEvent("a"))
	b.waitSettled(1)
	b.stop()
	if calls.String() != "a" || len(b.log.Runs()) != 2 {
		t.Errorf("called for %q, runs %+v", calls.String(), b.log.Runs())
	}
}
