package verify

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// tale writes a history by hand: two functions, both get every event, all of
// one key, and every delivery to function 0 is answered with an event.
type tale struct {
	t *testing.T
	h *history
}

func newTale(t *testing.T) *tale {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Functions, cfg.Fanout, cfg.Keys, cfg.Fail, cfg.Replies = 2, 2, 1, 0, 0
	return &tale{t, newHistory(newPlan(&cfg, "run"))}
}

// answering makes every delivery one that is answered with an event.

func (x *tale) answering() *tale { x.h.plan.replies = 1; return x }

func (x *tale) accepted(numbers ...int) {
	for _, n := range numbers {
		x.h.sending(n, 0)
		x.h.accept(n, 0)
	}
}

// call begins one, which the test ends or not.
func (x *tale) call(r ref, key string) *call {
	x.t.Helper()
	c, ok := x.h.begin(r, key, "1", true)
	if !ok {
		x.t.Fatalf("%+v is not expected", r)
	}
	return &c
}

func (x *tale) succeed(c *call) {
	x.h.answering(c)
	x.h.succeed(c, time.Now(), 0)
}

// delivered is a delivery that goes as it should.
func (x *tale) delivered(n int, links ...int) {
	for _, link := range links {
		x.succeed(x.call(ref{link: link, n: n}, "key"))
	}
}

func (x *tale) replied(n, link int, key string) {
	x.succeed(x.call(ref{link: 2, n: n, cause: link}, key))
}

func (x *tale) judged() *Report {
	rep := &Report{Order: resource.OrderKey}
	x.h.judge(rep)
	return rep
}

func TestTheCheckerJudgesHistories(t *testing.T) {
	key := func(link, n int) ref { return ref{link: link, n: n} }
	tests := []struct {
		name  string
		tale  func(x *tale)
		want  Tally // of the events
		reply Tally
		err   string // part of the verdict; "" is none
	}{
		{name: "all delivered in order is fine",
			tale: func(x *tale) { x.accepted(0, 1); x.delivered(0, 0, 1); x.delivered(1, 0, 1) },
			want: Tally{Expected: 4, Delivered: 4}},
		{name: "a delivery that never came is lost",
			tale: func(x *tale) { x.accepted(0, 1); x.delivered(0, 0, 1); x.delivered(1, 0) },
			want: Tally{Expected: 4, Delivered: 3, Lost: 1}, err: "1 of 4 deliveries were lost"},
		{name: "a call that was never answered with success does not deliver",
			tale: func(x *tale) { x.accepted(0); x.delivered(0, 0); x.call(key(1, 0), "key") },
			want: Tally{Expected: 2, Delivered: 1, Lost: 1}, err: "1 of 2 deliveries were lost"},
		{name: "an answer that was not sent to its end does not deliver",
			tale: func(x *tale) { x.accepted(0); x.delivered(0, 0); x.h.answering(x.call(key(1, 0), "key")) },
			want: Tally{Expected: 2, Delivered: 1, Lost: 1}, err: "lost"},
		{name: "calls repeated after failing answers are no duplicates",
			tale: func(x *tale) {
				x.accepted(0)
				x.call(key(0, 0), "key")
				x.h.answering(x.call(key(0, 0), "key"))
				x.delivered(0, 0, 1)
			},
			want: Tally{Expected: 2, Delivered: 2}},
		{name: "a call after a success is a redelivery",
			tale: func(x *tale) { x.accepted(0); x.delivered(0, 0, 1, 1) },
			want: Tally{Expected: 2, Delivered: 2, Redelivered: 1}},
		{name: "a redelivery counts when it begins, however it ends",
			tale: func(x *tale) { x.accepted(0); x.delivered(0, 0, 1); x.call(key(1, 0), "key") },
			want: Tally{Expected: 2, Delivered: 2, Redelivered: 1}},
		{name: "a success with another identity is a copy",
			tale: func(x *tale) { x.accepted(0); x.delivered(0, 0, 1); x.succeed(x.call(key(1, 0), "other")) },
			want: Tally{Expected: 2, Delivered: 2, Copied: 1}},
		{name: "two calls at a time that both succeed are one delivery too many",
			tale: func(x *tale) {
				x.accepted(0)
				x.delivered(0, 0)
				a, b := x.call(key(1, 0), "key"), x.call(key(1, 0), "key")
				x.succeed(a)
				x.succeed(b)
			},
			want: Tally{Expected: 2, Delivered: 2, Redelivered: 1}},
		{name: "a later event that succeeds first is reordered",
			tale: func(x *tale) { x.accepted(0, 1, 2); x.delivered(0, 0, 1); x.delivered(2, 0, 1); x.delivered(1, 0, 1) },
			want: Tally{Expected: 6, Delivered: 6, Reordered: 2}, err: "2 deliveries overtook"},
		{name: "an event called while the one before is under way is reordered",
			tale: func(x *tale) {
				x.accepted(0, 1)
				x.delivered(0, 1)
				first, second := x.call(key(0, 0), "a"), x.call(key(0, 1), "b")
				x.succeed(first)
				x.succeed(second)
				x.delivered(1, 1)
			},
			want: Tally{Expected: 4, Delivered: 4, Reordered: 1}, err: "overtook"},
		{name: "an event called as soon as the answer to the one before is on its way is in order",
			tale: func(x *tale) {
				x.accepted(0, 1)
				x.delivered(0, 1)
				first := x.call(key(0, 0), "a")
				x.h.answering(first)
				second := x.call(key(0, 1), "b")
				x.h.succeed(first, time.Now(), 0)
				x.succeed(second)
				x.delivered(1, 1)
			},
			want: Tally{Expected: 4, Delivered: 4}},
		{name: "a failing call of a later event breaks no order, nor does a redelivery",
			tale: func(x *tale) {
				x.accepted(0, 1)
				x.delivered(0, 1)
				x.call(key(0, 1), "b")
				x.delivered(0, 0)
				x.delivered(1, 0, 1)
				x.delivered(0, 0)
			},
			want: Tally{Expected: 4, Delivered: 4, Redelivered: 1}},
		{name: "a dead letter is not lost and has no place in the order",
			tale: func(x *tale) {
				x.accepted(0, 1)
				x.delivered(1, 0, 1)
				x.h.bury(key(0, 0), time.Now())
				x.h.bury(key(1, 0), time.Now())
			},
			want: Tally{Expected: 4, Delivered: 2, Dead: 2}},
		{name: "an event that was never accepted is nobody's debt",
			tale: func(x *tale) {
				x.accepted(0)
				x.delivered(0, 0, 1)
				x.h.sending(1, 0)
				x.h.giveUp(1, true)
				x.delivered(1, 0)
			},
			want: Tally{Expected: 2, Delivered: 2}},
		{name: "a delivery before its 202 counts",
			tale: func(x *tale) { x.h.sending(0, 0); x.delivered(0, 0, 1); x.h.accept(0, 0) },
			want: Tally{Expected: 2, Delivered: 2}},
		{name: "replies that came once are fine",
			tale: func(x *tale) {
				x.answering().accepted(0)
				x.delivered(0, 0, 1)
				x.replied(0, 0, "r0")
				x.replied(0, 1, "r1")
			},
			want: Tally{Expected: 2, Delivered: 2}, reply: Tally{Expected: 2, Delivered: 2}},
		{name: "a reply that never came is lost",
			tale: func(x *tale) { x.answering().accepted(0); x.delivered(0, 0, 1); x.replied(0, 1, "r") },
			want: Tally{Expected: 2, Delivered: 2}, reply: Tally{Expected: 2, Delivered: 1, Lost: 1}, err: "1 of 2 replies were lost"},
		{name: "a reply that entered the log twice is a copy",
			tale: func(x *tale) {
				x.answering().accepted(0)
				x.delivered(0, 0, 1)
				x.replied(0, 0, "r0")
				x.replied(0, 1, "r1")
				x.replied(0, 1, "r1 again")
			},
			want: Tally{Expected: 2, Delivered: 2}, reply: Tally{Expected: 2, Delivered: 2, Copied: 1}},
		{name: "a dead letter is owed no reply",
			tale: func(x *tale) {
				x.answering().accepted(0)
				x.delivered(0, 0)
				x.replied(0, 0, "r0")
				x.h.bury(key(1, 0), time.Now())
			},
			want: Tally{Expected: 2, Delivered: 1, Dead: 1}, reply: Tally{Expected: 1, Delivered: 1}},
		{name: "nothing accepted proves nothing",
			tale: func(x *tale) { x.h.sending(0, 0); x.h.giveUp(0, false) }, err: "no event was accepted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := newTale(t)
			tt.tale(x)
			rep := x.judged()
			if rep.Deliveries != tt.want || rep.Replies != tt.reply {
				t.Errorf("events %+v\nwant   %+v\nreplies %+v\nwant    %+v", rep.Deliveries, tt.want, rep.Replies, tt.reply)
			}
			switch err := rep.Err(); {
			case tt.err == "" && err != nil:
				t.Errorf("verdict %v, want none", err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("verdict %v, want %q in it", err, tt.err)
			}
			owed := tt.want.Lost + tt.reply.Lost
			if p := x.h.progress(); p.Owed != owed {
				t.Errorf("%d owed, want %d", p.Owed, owed)
			}
			select {
			case <-x.h.done():
				if owed > 0 {
					t.Error("done while something is owed")
				}
			default:
				if owed == 0 {
					t.Error("not done though nothing is owed")
				}
			}
		})
	}
}

func TestNothingIsReorderedUnlessOrderWasAskedFor(t *testing.T) {
	x := newTale(t)
	x.accepted(0, 1)
	x.delivered(1, 0, 1)
	x.delivered(0, 0, 1)
	rep := &Report{Order: resource.OrderNone}
	x.h.judge(rep)
	if rep.Deliveries.Reordered != 2 || rep.Err() != nil || len(rep.Findings) != 0 {
		t.Errorf("%d reordered, verdict %v, findings %v: want them counted and no more", rep.Deliveries.Reordered, rep.Err(), rep.Findings)
	}
}

func TestEventsAtTheDoorAreCountedByWhatIsKnownOfThem(t *testing.T) {
	x := newTale(t)
	for n := range 5 {
		x.h.sending(n, 0)
	}
	x.h.again(0, true, false) // a 503, then a 202
	x.h.accept(0, 0)
	x.h.again(1, false, true) // a 429, then a 202
	x.h.accept(1, 0)
	x.h.again(2, true, false) // a 503, then refused connections until the end
	x.h.giveUp(2, false)
	x.h.giveUp(3, true)
	x.delivered(3, 1)
	x.h.giveUp(4, false)
	got := x.judged().Events
	want := EventCounts{Sent: 5, Accepted: 2, Unknown: 2, UnknownDelivered: 1, Unsent: 1, Resent: 3, Throttled: 1}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestTimesCountFromWhenAnEventWasDue(t *testing.T) {
	x := newTale(t)
	for n := range 100 {
		due := time.Duration(n) * time.Hour / 1000
		x.h.sending(n, due)
		x.h.accept(n, due+time.Duration(n+1)*time.Millisecond)
	}
	ms := func(n int) Millis { return Millis(time.Duration(n) * time.Millisecond) }
	if got, want := x.judged().Admission, (Latency{P50: ms(51), P90: ms(91), P99: ms(100), P999: ms(100), Max: ms(100)}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestDoneIsTold(t *testing.T) {
	x := newTale(t).answering()
	x.accepted(0)
	done := x.h.done()
	x.delivered(0, 0, 1)
	x.replied(0, 0, "a")
	select {
	case <-done:
		t.Fatal("told with a reply still owed")
	default:
	}
	x.replied(0, 1, "b")
	<-done
}

func TestWhatIsNotForAFunctionIsUnexpected(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Functions, cfg.Fanout = 4, 2
	h := newHistory(newPlan(&cfg, "run"))
	h.sending(0, 0)
	for _, r := range []ref{{link: 2, n: 0}, {link: 0, n: 1}, {link: 0, n: -1}, {link: 4, n: 0, cause: 9}, {link: 4, n: 0, cause: -1}} {
		if _, ok := h.begin(r, "k", "1", true); ok {
			t.Errorf("%+v is taken", r)
		}
	}
	if _, ok := h.begin(ref{link: 1, n: 0}, "k", "1", false); !ok {
		t.Error("a delivery is not taken")
	}
	rep := &Report{}
	h.judge(rep)
	if rep.Unexpected != 5 || rep.Changed != 1 {
		t.Errorf("%d unexpected, %d changed: want 5 and 1", rep.Unexpected, rep.Changed)
	}
}

func TestOnlySomeExamplesAreKept(t *testing.T) {
	x := newTale(t)
	for n := range 100 {
		x.accepted(n)
		x.delivered(n, 0, 0)
	}
	rep := x.judged()
	count := func(what string) int {
		return len(slices.DeleteFunc(slices.Clone(rep.Findings), func(f Finding) bool { return f.What != what }))
	}
	if count("lost") != maxFindings || count("redelivered") != maxFindings || rep.Deliveries.Lost != 100 {
		t.Errorf("%d examples of %d lost, %d of redelivered; want %d each", count("lost"), rep.Deliveries.Lost, count("redelivered"), maxFindings)
	}
	if again := x.judged(); len(again.Findings) != len(rep.Findings) {
		t.Errorf("judging twice gives %d findings, then %d", len(rep.Findings), len(again.Findings))
	}
}

func TestStillIsTheTimeSinceSomethingMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTale(t)
		begun := time.Now()
		told := make(chan time.Duration)
		stop := x.h.whenStill(10*time.Second, func() { told <- time.Since(begun) })
		defer stop()
		time.Sleep(6 * time.Second)
		x.accepted(0)
		time.Sleep(6 * time.Second)
		x.delivered(0, 0)
		x.delivered(0, 0) // a duplicate moves nothing
		time.Sleep(6 * time.Second)
		x.delivered(0, 0)
		if got, want := <-told, 22*time.Second; got != want {
			t.Errorf("told after %s, want %s", got, want)
		}
	})
}

func TestStillIsNotToldOnceItIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := newTale(t).h.whenStill(time.Second, func() { t.Error("told") })
		stop()
		time.Sleep(time.Minute)
	})
}
