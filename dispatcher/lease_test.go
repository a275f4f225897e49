package dispatcher_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// lender is a function that asks for a lease each time.
type lender struct {
	order
	lease  string
	mu     sync.Mutex
	tokens []event.DeliveryToken
	// first is called with the token before the first call is answered.
	first func(event.DeliveryToken)
}

func newLender(lease string) *lender {
	return &lender{lease: lease, order: order{status: func(string, int) int { return 202 }}}
}

func (l *lender) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, err := event.ParseDeliveryToken(r.Header.Get("Signalbox-Delivery"))
	if err != nil {
		panic(err)
	}
	l.mu.Lock()
	l.tokens = append(l.tokens, token)
	first := l.first
	l.first = nil
	l.mu.Unlock()
	if first != nil {
		first(token)
	}
	w.Header().Set("Signalbox-Lease", l.lease)
	l.order.ServeHTTP(w, r)
}

// token is that of the n-th call.
func (l *lender) token(n int) event.DeliveryToken {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tokens[n-1]
}

func (l *lender) all() []event.DeliveryToken {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.tokens)
}

// report appends what the function says to its lease stream, as a gateway does.
func (y *yard) report(c event.Completion) {
	c.Time = time.Now()
	y.parking.Append(event.LeaseStream(c.Delivery.Function), c.Delivery.Position.Partition, c.Message())
}

func (y *yard) done(token event.DeliveryToken, replies ...*event.Event) {
	y.report(event.Completion{Delivery: token, Status: 200, Replies: replies})
}

func inLending(t *testing.T, targets []resource.Target, lease string, f func(*testing.T, *yard, *lender)) {
	t.Helper()
	fn := newLender(lease)
	inYard(t, targets, map[string]http.HandlerFunc{"fn": fn.ServeHTTP}, nil, func(t *testing.T, y *yard) { f(t, y, fn) })
}

// quick repeats at once what fails.
var quick = resource.Delivery{Attempts: 3, Backoff: resource.Backoff{Initial: resource.Duration(time.Millisecond), Max: resource.Duration(time.Millisecond)}}

// outcomes are those of all runs, such as "1 waiting, 1 delivered".
func (y *yard) outcomes() string {
	var all []string
	for _, r := range y.log.Runs() {
		all = append(all, fmt.Sprint(r.Attempt, " ", r.Outcome))
	}
	return strings.Join(all, ", ")
}

// mustBeOver: nothing waits any more.
func (y *yard) mustBeOver(t *testing.T, settled int) {
	t.Helper()
	if n := y.parking.Unsettled(3); n != 0 || y.settledCount() != settled {
		t.Errorf("%d events settled, want %d; %d parked records open; runs %s", y.settledCount(), settled, n, y.outcomes())
	}
}

var everyKind = map[string]func(resource.Delivery) []resource.Target{"unordered": plainTarget, "ordered": orderedTarget}

func TestAReportInTimeEndsTheDelivery(t *testing.T) {
	for kind, targets := range everyKind {
		t.Run(kind, func(t *testing.T) {
			inLending(t, targets(quick), "60s", func(t *testing.T, y *yard, fn *lender) {
				y.sendKeyed(0, "a1")
				y.waitSettledVirtual(1) // the live stream goes on
				time.Sleep(59 * time.Second)
				if got := y.outcomes(); got != "1 waiting" {
					t.Errorf("runs %s", got)
				}
				y.done(fn.token(1), newEvent("reply"))
				synctest.Wait()
				y.mustBeOver(t, 1)
				runs := y.log.Runs()
				last := runs[len(runs)-1]
				if last.Outcome != event.Delivered || last.Attempt != 1 || last.Status != 200 || last.DurationMS != 59_000 || last.ID == runs[0].ID {
					t.Errorf("run %+v", last)
				}
				evs := y.log.Events()
				if len(evs) != 1 || evs[0].Event.Type != "com.example.test" || len(last.Replies) != 1 || last.Replies[0].ID != evs[0].Event.ID {
					t.Fatalf("events %+v, replies %+v", evs, last.Replies)
				}
				if id, _ := evs[0].Event.Extension(event.ExtCausationID); id != "a1" {
					t.Errorf("caused by %q", id)
				}
				time.Sleep(48 * time.Hour)
				if fn.count("a1") != 1 {
					t.Errorf("called %d times", fn.count("a1"))
				}
			})
		})
	}
}

func TestTheEventsOfAReportAreThoseOfAnAnswer(t *testing.T) {
	const body = `[{"specversion":"1.0","id":"x","source":"/f","type":"made","data":1},{"specversion":"1.0","id":"x","source":"/f","type":"made","data":2}]`
	var answered, reported []string
	collect := func(y *yard) (ids []string) {
		for _, e := range y.log.Events() {
			ids = append(ids, e.Event.ID)
		}
		return ids
	}
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", event.ContentTypeBatch)
		_, _ = w.Write([]byte(body))
	}
	inYard(t, plainTarget(quick), map[string]http.HandlerFunc{"fn": answer}, nil, func(t *testing.T, y *yard) {
		y.sendKeyed(0, "a1")
		y.waitSettledVirtual(1)
		answered = collect(y)
	})
	inLending(t, plainTarget(quick), "60", func(t *testing.T, y *yard, fn *lender) {
		y.sendKeyed(0, "a1")
		y.waitSettledVirtual(1)
		replies, err := event.ParseJSONBatch([]byte(body), 10)
		if err != nil {
			t.Fatal(err)
		}
		y.done(fn.token(1), replies...)
		y.done(fn.token(1), replies...) // sent twice
		time.Sleep(time.Hour)
		reported = collect(y)
		y.mustBeOver(t, 1)
	})
	if len(answered) != 2 || !slices.Equal(answered, reported) {
		t.Errorf("answered %v, reported %v", answered, reported)
	}
}

func TestALeaseThatEndsIsAFailedAttempt(t *testing.T) {
	for kind, targets := range everyKind {
		t.Run(kind, func(t *testing.T) {
			inLending(t, targets(quick), "60s", func(t *testing.T, y *yard, fn *lender) {
				time.Sleep(time.Minute) // the partition is not new
				y.sendKeyed(0, "a1")
				time.Sleep(59 * time.Second)
				if fn.count("a1") != 1 {
					t.Fatalf("called %d times before the lease ended", fn.count("a1"))
				}
				time.Sleep(2 * time.Second)
				if fn.count("a1") != 2 || fn.token(2).Attempt != 2 {
					t.Fatalf("called %d times, %+v", fn.count("a1"), fn.all())
				}
				y.report(event.Completion{Delivery: fn.token(1), Status: 500}) // says nothing of the second
				time.Sleep(2 * time.Minute)
				dead := y.log.Dead()
				if len(dead) != 1 || len(dead[0].Attempts) != 3 || dead[0].Attempts[0].Class != string(dispatcher.ClassLease) ||
					!strings.Contains(dead[0].Reason, "the lease ended at") || dead[0].Attempts[0].DurationMS != 60_000 {
					t.Fatalf("dead letters %+v", dead)
				}
				for _, a := range dead[0].Attempts {
					if a.Class != string(dispatcher.ClassLease) {
						t.Errorf("attempt %+v", a)
					}
				}
				if got := y.outcomes(); got != "1 waiting, 1 retrying, 2 waiting, 2 retrying, 3 waiting, 3 dead" {
					t.Errorf("runs %s", got)
				}
				if kind == "unordered" {
					y.mustBeOver(t, 1)
				}
			})
		})
	}
}

func TestAReportOfAnEarlierAttemptEndsTheDelivery(t *testing.T) {
	inLending(t, plainTarget(quick), "60s", func(t *testing.T, y *yard, fn *lender) {
		y.send(newEvent("a"))
		time.Sleep(90 * time.Second)
		if fn.count("a") != 2 {
			t.Fatalf("called %d times", fn.count("a"))
		}
		y.done(fn.token(1))
		synctest.Wait()
		y.mustBeOver(t, 1)
	})
}

func TestAFailureIsReportedAsAnAnswerSaysIt(t *testing.T) {
	for status, want := range map[int]string{
		500: "1 waiting, 1 retrying, 2 waiting",
		503: "1 waiting, 1 retrying, 2 waiting",
		400: "1 waiting, 1 dead",
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			inLending(t, plainTarget(quick), "60s", func(t *testing.T, y *yard, fn *lender) {
				y.send(newEvent("a"))
				time.Sleep(time.Second)
				y.report(event.Completion{Delivery: fn.token(1), Status: status, Body: "no disk", Reason: "exit code 3"})
				time.Sleep(time.Second)
				if got := y.outcomes(); got != want {
					t.Errorf("runs %s, want %s", got, want)
				}
				if status == 400 {
					if a := y.log.Dead()[0].Attempts[0]; a.Status != 400 || a.Body != "no disk" || a.Error != "exit code 3" {
						t.Errorf("%+v", a)
					}
					if got := y.log.Dead()[0].Reason; got != "status_4xx (status 400): exit code 3" {
						t.Errorf("reason %q", got)
					}
					y.mustBeOver(t, 1)
				}
			})
		})
	}
}

func TestWorkThatIsGivenBackSpendsNoAttempt(t *testing.T) {
	for kind, targets := range everyKind {
		t.Run(kind, func(t *testing.T) {
			inLending(t, targets(resource.Delivery{Attempts: 1, Backoff: quick.Backoff}), "60s", func(t *testing.T, y *yard, fn *lender) {
				y.sendKeyed(0, "a1")
				for n := range 3 {
					synctest.Wait()
					time.Sleep(time.Second)
					y.report(event.Completion{Delivery: fn.token(n + 1), Status: 503, PutOff: true})
				}
				time.Sleep(time.Second)
				synctest.Wait()
				y.done(fn.token(4))
				synctest.Wait()
				y.mustBeOver(t, 1)
				if n := len(y.log.Dead()); n != 0 || fn.count("a1") != 4 {
					t.Errorf("%d dead letters, %d calls: want none and 4; runs %s", n, fn.count("a1"), y.outcomes())
				}
			})
		})
	}
}

func TestALeaseIsExtended(t *testing.T) {
	for kind, targets := range everyKind {
		for _, owners := range []string{"one owner", "handed over"} {
			t.Run(kind+", "+owners, func(t *testing.T) {
				inLending(t, targets(quick), "60s", func(t *testing.T, y *yard, fn *lender) {
					y.sendKeyed(0, "a1")
					for range 5 {
						time.Sleep(50 * time.Second)
						y.report(event.Completion{Delivery: fn.token(1), Extend: time.Minute})
						synctest.Wait()
						if owners == "handed over" {
							y.handOver()
						}
					}
					time.Sleep(50 * time.Second)
					if fn.count("a1") != 1 {
						t.Fatalf("called %d times", fn.count("a1"))
					}
					y.report(event.Completion{Delivery: fn.token(1), Extend: time.Second}) // never shorter
					time.Sleep(9 * time.Second)
					if fn.count("a1") != 1 {
						t.Fatalf("shortened: called %d times", fn.count("a1"))
					}
					time.Sleep(2 * time.Second)
					if fn.count("a1") != 2 {
						t.Errorf("called %d times after the end", fn.count("a1"))
					}
					y.done(fn.token(2))
					synctest.Wait()
					y.mustBeOver(t, 1)
				})
			})
		}
	}
}

func TestAReportMayComeBeforeItsLease(t *testing.T) {
	for kind, targets := range everyKind {
		t.Run(kind, func(t *testing.T) {
			inLending(t, targets(quick), "1h", func(t *testing.T, y *yard, fn *lender) {
				fn.first = func(token event.DeliveryToken) {
					y.done(token)
					time.Sleep(time.Second) // the report is read before the call is answered
				}
				y.sendKeyed(0, "a1")
				time.Sleep(2 * time.Second)
				y.mustBeOver(t, 1)
				if got := y.outcomes(); got != "1 waiting, 1 delivered" {
					t.Errorf("runs %s", got)
				}
			})
		})
	}
}

func TestLeasesOutliveTheirOwner(t *testing.T) {
	for kind, targets := range everyKind {
		for how, leave := range map[string]func(*yard){
			"handed over": (*yard).handOver,
			"crashed":     (*yard).crash,
		} {
			t.Run(kind+", "+how, func(t *testing.T) {
				inLending(t, targets(quick), "60s", func(t *testing.T, y *yard, fn *lender) {
					y.sendKeyed(0, "a1")
					y.waitSettledVirtual(1)
					time.Sleep(30 * time.Second)
					leave(y)
					time.Sleep(20 * time.Second)
					y.done(fn.token(1))
					time.Sleep(time.Second)
					leave(y)
					time.Sleep(time.Hour)
					y.mustBeOver(t, 1)
					if fn.count("a1") != 1 {
						t.Errorf("called %d times", fn.count("a1"))
					}
				})
			})
		}
	}
}

func TestWhatWasReportedWhileNobodyOwnedThePartitionCounts(t *testing.T) {
	for kind, targets := range everyKind {
		t.Run(kind, func(t *testing.T) {
			inLending(t, targets(quick), "60s", func(t *testing.T, y *yard, fn *lender) {
				y.sendKeyed(0, "a1")
				y.waitSettledVirtual(1)
				synctest.Wait()
				y.lose()
				time.Sleep(50 * time.Second)
				y.done(fn.token(1))
				time.Sleep(time.Hour)
				y.ownAgain()
				time.Sleep(time.Hour)
				y.mustBeOver(t, 1)
				if fn.count("a1") != 1 {
					t.Errorf("called %d times", fn.count("a1"))
				}
			})
		})
	}
}

func TestTheKeyOfALeaseWaitsForTheReport(t *testing.T) {
	inLending(t, orderedTarget(quick), "10m", func(t *testing.T, y *yard, fn *lender) {
		y.sendKeyed(0, "a1", "a2", "b1", "a3")
		for n, want := range []string{"a1 b1", "a1 b1 a2", "a1 b1 a2 a3"} {
			time.Sleep(time.Minute)
			var called []string
			for _, token := range fn.all() {
				called = append(called, []string{"a1", "a2", "b1", "a3"}[token.Position.Offset])
			}
			if got := strings.Join(called, " "); got != want && got != strings.Replace(want, "a1 b1", "b1 a1", 1) {
				t.Fatalf("called %s, want %s", got, want)
			}
			for _, token := range fn.all()[max(0, n):] {
				y.done(token)
			}
		}
		time.Sleep(time.Hour)
		y.mustBeOver(t, 4)
	})
}

func TestALeaseBehindOthersOfItsKeyOutlivesItsOwner(t *testing.T) {
	for how, leave := range map[string]func(*yard){"handed over": (*yard).handOver, "crashed": (*yard).crash} {
		t.Run(how, func(t *testing.T) {
			inLending(t, orderedTarget(quick), "10m", func(t *testing.T, y *yard, fn *lender) {
				y.sendKeyed(0, "a1", "a2", "a3")
				time.Sleep(time.Second)
				y.done(fn.token(1))
				time.Sleep(time.Second) // a2 came from the parked topic, and keeps its place there
				for range 3 {
					leave(y)
					time.Sleep(time.Minute)
				}
				if len(fn.all()) != 2 {
					t.Fatalf("calls %+v, want 2", fn.all())
				}
				y.lose()
				y.done(fn.token(2)) // while nobody owns the partition
				time.Sleep(time.Hour)
				y.ownAgain()
				time.Sleep(time.Minute)
				if len(fn.all()) != 3 {
					t.Fatalf("calls %+v, want 3", fn.all())
				}
				y.done(fn.token(3))
				time.Sleep(time.Minute)
				y.mustBeOver(t, 3)
			})
		})
	}
}

func TestAReportOfNothingIsForgotten(t *testing.T) {
	inLending(t, plainTarget(quick), "60s", func(t *testing.T, y *yard, fn *lender) {
		for i := range 300 {
			y.done(event.DeliveryToken{Function: "fn", Link: "link", Position: event.Position{Partition: 3, Offset: int64(1000 + i)}, Attempt: 1})
		}
		synctest.Wait()
		if n := y.parking.Unsettled(3); n != 128 {
			t.Errorf("%d kept, want 128", n)
		}
		time.Sleep(6 * time.Minute)
		y.mustBeOver(t, 0)
		if len(y.log.Runs()) != 0 || len(y.log.Dead()) != 0 {
			t.Errorf("runs %s, dead letters %+v", y.outcomes(), y.log.Dead())
		}
	})
}

func TestALeaseThatMakesNoSenseIsAFailedAttempt(t *testing.T) {
	for _, lease := range []string{"soon", "0s", "0", "-1m", "25h", "999ms", "86401", "99999999999999"} {
		t.Run(lease, func(t *testing.T) {
			inLending(t, plainTarget(resource.Delivery{Attempts: 1}), lease, func(t *testing.T, y *yard, fn *lender) {
				y.send(newEvent("a"))
				y.waitSettledVirtual(1)
				dead := y.log.Dead()
				if len(dead) != 1 || dead[0].Attempts[0].Class != string(dispatcher.ClassBadAnswer) || !strings.Contains(dead[0].Reason, "from 1s to 24h") {
					t.Errorf("dead letters %+v", dead)
				}
			})
		})
	}
}

func TestAFunctionWithTooManyLeasesGetsNothingNew(t *testing.T) {
	fn := newLender("1h")
	few := func(b *bed) { b.cfg.MaxLeases = 5 }
	d := quick
	d.Concurrency = 1
	inYard(t, plainTarget(d), map[string]http.HandlerFunc{"fn": fn.ServeHTTP}, few, func(t *testing.T, y *yard) {
		y.send(newEvents(20)...)
		y.waitSettledVirtual(20) // the live stream does not wait for it
		time.Sleep(time.Minute)
		if n := len(fn.all()); n < 5 || n > 8 {
			t.Errorf("%d calls, want about 5", n)
		}
		for done := 0; done < 20; done++ {
			time.Sleep(time.Second)
			if len(fn.all()) <= done {
				t.Fatalf("%d calls after %d reports", len(fn.all()), done)
			}
			y.done(fn.token(done + 1))
		}
		time.Sleep(time.Minute)
		y.mustBeOver(t, 20)
	})
}

func TestAReplyThatCannotBeAppendedIsTriedAgain(t *testing.T) {
	var fails int
	inLending(t, plainTarget(quick), "1h", func(t *testing.T, y *yard, fn *lender) {
		y.log.FailEvents = func() bool { fails++; return fails < 5 }
		y.send(newEvent("a"))
		y.waitSettledVirtual(1)
		y.done(fn.token(1), newEvent("reply"))
		time.Sleep(time.Minute)
		if len(y.log.Events()) != 1 || fn.count("a") != 1 {
			t.Errorf("%d events, %d calls", len(y.log.Events()), fn.count("a"))
		}
		y.mustBeOver(t, 1)
	})
}

func TestAReportIsReadAgainAfterACrashBeforeItsReplyWasAppended(t *testing.T) {
	for kind, targets := range everyKind {
		t.Run(kind, func(t *testing.T) {
			inLending(t, targets(quick), "1h", func(t *testing.T, y *yard, fn *lender) {
				var away atomic.Bool
				away.Store(true)
				y.log.FailEvents = away.Load
				y.sendKeyed(0, "a1")
				y.waitSettledVirtual(1)
				y.done(fn.token(1), newEvent("reply"))
				time.Sleep(time.Second)
				y.crash()
				time.Sleep(time.Minute)
				away.Store(false)
				time.Sleep(time.Minute)
				if len(y.log.Events()) != 1 || len(fn.all()) != 1 {
					t.Errorf("%d events, %d calls", len(y.log.Events()), len(fn.all()))
				}
				y.mustBeOver(t, 1)
			})
		})
	}
}

func TestAfterAHandOverALeaseLastsAMoment(t *testing.T) {
	inLending(t, plainTarget(quick), "60s", func(t *testing.T, y *yard, fn *lender) {
		y.send(newEvent("a"))
		y.waitSettledVirtual(1)
		synctest.Wait()
		y.lose()
		time.Sleep(time.Hour)
		y.ownAgain()
		time.Sleep(4 * time.Second)
		y.done(fn.token(1)) // another process was told before, and it shows only now
		synctest.Wait()
		y.mustBeOver(t, 1)
		if fn.count("a") != 1 {
			t.Errorf("called %d times", fn.count("a"))
		}
	})
}

func TestALeaseOfALinkThatIsPausedGoesOn(t *testing.T) {
	inLending(t, plainTarget(quick), "1h", func(t *testing.T, y *yard, fn *lender) {
		y.send(newEvent("a"))
		y.waitSettledVirtual(1)
		running := y.targets.Target(&event.Parked{Link: "link"})
		paused := *running.Link
		paused.Spec.Paused = true
		y.targets.Set(resource.Target{Link: &paused, Function: running.Function})
		y.handOver()
		time.Sleep(10 * time.Minute)
		y.done(fn.token(1))
		synctest.Wait()
		y.mustBeOver(t, 1)
	})
}

func TestAnOrderedDeliveryThatHasACopyKeepsItsLease(t *testing.T) {
	fn := newLender("1h")
	slow := quick
	slow.Timeout = resource.Duration(10 * time.Minute)
	inYard(t, orderedTarget(slow), map[string]http.HandlerFunc{"fn": fn.ServeHTTP}, nil, func(t *testing.T, y *yard) {
		fn.first = func(event.DeliveryToken) { time.Sleep(time.Minute) }
		var ids []string
		for i := range 100 {
			ids = append(ids, fmt.Sprint("a", i))
		}
		y.sendKeyed(0, ids...) // more than wait in memory behind the first
		time.Sleep(30 * time.Minute)
		if len(fn.all()) != 1 {
			t.Fatalf("%d calls, want 1", len(fn.all()))
		}
		for n := range ids {
			time.Sleep(time.Second)
			y.done(fn.token(n + 1))
			time.Sleep(time.Second)
		}
		y.mustBeOver(t, 100)
		for n, token := range fn.all() {
			if token.Position.Offset != int64(n) {
				t.Fatalf("call %d was for %+v", n, token)
			}
		}
	})
}
