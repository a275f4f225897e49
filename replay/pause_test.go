package replay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

func TestPlainLinksCostNoQuestion(t *testing.T) {
	virtual(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.use([]*resource.Link{link("a", "t"), link("b", "t")})
		x := w.begin()
		w.emit(0, "t")
		x.consume(0)
		w.wants("a", "0:0", "")
		if x.view.Load() != nil {
			t.Error("there is a view though nothing is held back")
		}
		if n := w.count("names"); n != 1 {
			t.Errorf("%d listings of cursors for 3 partitions, want 1", n)
		}
		if n := w.count("load") + w.count("commit") + w.count("extents"); n != 0 {
			t.Errorf("%d questions about links", n)
		}
		x.release()
	})
}

func TestPausedLinkKeepsItsPlace(t *testing.T) {
	virtual(t, func(t *testing.T) {
		w := newWorld(t, 1)
		a := link("a", "t")
		w.use([]*resource.Link{a, link("b", "t")})
		x := w.begin()
		w.emit(0, "t")
		x.consume(0)
		x.use([]*resource.Link{paused(a), w.set.Links[1]})
		w.emit(0, "other")
		w.emit(0, "t")
		w.emit(0, "t")
		x.consume(0)
		synctest.Wait()
		w.wants("a", "0:0", "")
		w.wants("b", "0:0 0:2 0:3", "")
		if links, _ := x.Left(); len(links) != 1 || links["a"] != 2 {
			t.Errorf("left %v, want 2 of a", links)
		}
		x.use([]*resource.Link{resumed(a), w.set.Links[1]})
		pass(time.Second)
		w.wants("a", "0:0", "0:2 0:3")
		if links, _ := x.Left(); len(links) != 0 {
			t.Errorf("left %v of a link that is live", links)
		}
		w.emit(0, "t")
		x.consume(0)
		w.wants("a", "0:0 0:4", "0:2 0:3")
		x.release()
	})
}

func TestSkipIsTrueOnlyOnceTheCursorIsDurable(t *testing.T) {
	virtual(t, func(t *testing.T) {
		w := newWorld(t, 1)
		a := paused(link("a", "t"))
		w.use([]*resource.Link{a})
		broken := true
		w.failing = func(what string) error {
			if broken && what == "commit" {
				return errors.New("away")
			}
			return nil
		}
		x := w.begin()
		w.emit(0, "t")
		done := make(chan struct{})
		go func() { x.consume(0); close(done) }()
		pass(time.Minute)
		synctest.Wait()
		select {
		case <-done:
			t.Error("answered without a durable cursor")
		default:
		}
		w.mu.Lock()
		broken = false
		w.mu.Unlock()
		<-done
		before := w.count("commit")
		w.emit(0, "t")
		w.emit(0, "t")
		x.consume(0)
		if n := w.count("commit") - before; n != 0 {
			t.Errorf("%d commits for further events", n)
		}
		x.release()
	})
}

func TestPauseOutlivesACrash(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*process)
	}{{"crash", (*process).crash}, {"clean stop", (*process).release}} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				w := newWorld(t, 2)
				a := link("a", "t")
				w.use([]*resource.Link{paused(a)})
				x := w.begin()
				w.emit(1, "t")
				x.consume(1)
				c.end(x)
				w.use([]*resource.Link{resumed(a)})
				x = w.begin()
				pass(time.Second)
				w.wants("a", "", "1:0")
				w.emit(1, "t")
				x.consume(1)
				w.wants("a", "1:1", "1:0")
				// Redelivered after another crash, what was sent before stays skipped.
				x.crash()
				w.settled[1] = 0
				x = w.begin()
				x.consume(1)
				w.wants("a", "1:1 1:1", "1:0")
				x.release()
			})
		})
	}
}

func TestWhatWasUnderWayBeforeAPauseIsNotSkipped(t *testing.T) {
	virtual(t, func(t *testing.T) {
		w := newWorld(t, 1)
		a := link("a", "t")
		w.use([]*resource.Link{a})
		x := w.begin()
		w.emit(0, "t")
		x.consume(0) // chosen, but never settled
		x.use([]*resource.Link{paused(a)})
		w.emit(0, "t")
		x.consume(0)
		x.crash()
		w.settled[0] = 0
		x = w.begin()
		x.consume(0)
		w.wants("a", "0:0 0:0", "")
		x.use([]*resource.Link{resumed(a)})
		pass(time.Second)
		w.wants("a", "0:0 0:0", "0:1")
		x.release()
	})
}

func TestALinkThatIsAddedAgainIsNew(t *testing.T) {
	virtual(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.use([]*resource.Link{paused(link("a", "t"))})
		x := w.begin()
		w.emit(0, "t")
		x.consume(0)
		x.use(nil)
		pass(time.Second)
		x.use([]*resource.Link{link("a", "t")})
		pass(time.Second)
		w.emit(0, "t")
		x.consume(0)
		w.wants("a", "0:1", "")
		pass(time.Hour)
		if len(w.cursors) != 0 {
			t.Errorf("the cursor of the deleted link stays: %v", w.cursors)
		}
		x.release()
	})
}

func TestAChangedLinkKeepsItsCursor(t *testing.T) {
	virtual(t, func(t *testing.T) {
		w := newWorld(t, 1)
		a := paused(link("a", "t"))
		w.use([]*resource.Link{a})
		x := w.begin()
		w.emit(0, "t")
		x.consume(0)
		x.use([]*resource.Link{with(a, func(s *resource.LinkSpec) { s.Types = []string{"t", "u"} })})
		w.emit(0, "u")
		x.consume(0)
		x.use([]*resource.Link{resumed(w.set.Links[0])})
		pass(time.Second)
		w.wants("a", "", "0:0 0:1")
		x.release()
	})
}

func TestStartFrom(t *testing.T) {
	for _, c := range []struct{ name, from, parked string }{
		{"latest", "latest", ""},
		{"by default", "", ""},
		{"earliest", "earliest", "0:0 0:1 0:2"},
		{"a time", "T1", "0:1 0:2"},
		{"a time to come", "T9", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				w := newWorld(t, 1)
				b := link("b", "t")
				w.use([]*resource.Link{b})
				x := w.begin()
				begin := time.Now()
				for range 3 {
					w.emit(0, "t")
					pass(time.Minute)
				}
				x.consume(0)
				a := link("a", "t")
				a.Spec.StartFrom = c.from
				if at, ok := strings.CutPrefix(c.from, "T"); ok {
					a.Spec.StartFrom = begin.Add(time.Duration(at[0]-'0') * time.Minute).Format(time.RFC3339Nano)
				}
				x.use([]*resource.Link{a, b})
				pass(time.Second)
				w.emit(0, "t")
				x.consume(0)
				w.wants("a", "0:3", c.parked)
				w.wants("b", "0:0 0:1 0:2 0:3", "")
				// Another process does not begin anew, nor does another version of the link.
				x.release()
				w.use([]*resource.Link{with(a, func(s *resource.LinkSpec) { s.Types = []string{"t", "u"} }), b})
				x = w.begin()
				pass(time.Second)
				w.wants("a", "0:3", c.parked)
				x.release()
			})
		})
	}
}

func TestALinkWhoseCursorWasForgottenDoesNotBeginAnew(t *testing.T) {
	virtual(t, func(t *testing.T) {
		w := newWorld(t, 1)
		a := link("a", "t")
		a.Spec.StartFrom = "earliest"
		w.emit(0, "t")
		w.settled[0] = 1
		pass(8 * 24 * time.Hour)
		w.use([]*resource.Link{a})
		x := w.begin()
		pass(time.Second)
		w.wants("a", "", "")
		x.release()
	})
}

func TestCursorsAreRefreshed(t *testing.T) {
	virtual(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.use([]*resource.Link{paused(link("a", "t"))})
		x := w.begin()
		w.emit(0, "t")
		x.consume(0)
		before := w.count("commit")
		pass(48 * time.Hour)
		if n := w.count("commit") - before; n < 3 || n > 4 {
			t.Errorf("%d commits in 48 hours, want one in 12", n)
		}
		x.release()
	})
}

func TestALinkThatCaughtUpCostsNothingAfterAWhile(t *testing.T) {
	heldBack(t, 1, func(t *testing.T, w *world, x *process, a *resource.Link) {
		x.consume(0)
		x.use([]*resource.Link{resumed(a)})
		pass(time.Hour)
		if x.view.Load() != nil {
			t.Error("there is a view though nothing is held back")
		}
		x.use([]*resource.Link{paused(a)})
		w.emit(0, "t")
		x.consume(0)
		x.use([]*resource.Link{resumed(a)})
		pass(time.Second)
		w.wants("a", "", "0:0 0:1")
	})
}

// heldBack runs a test with a link that is paused, before n events are taken up.
func heldBack(t *testing.T, n int, test func(t *testing.T, w *world, x *process, a *resource.Link)) {
	virtual(t, func(t *testing.T) {
		w := newWorld(t, 1)
		a := link("a", "t")
		w.use([]*resource.Link{paused(a)})
		x := w.begin()
		for range n {
			w.emit(0, "t")
		}
		test(t, w, x, a)
		x.release()
	})
}

func TestDuplicatesAndLoopsAreNotSent(t *testing.T) {
	heldBack(t, 4, func(t *testing.T, w *world, x *process, a *resource.Link) {
		w.duplicates["0:1"] = true
		w.events[0][2].Event.SetExtension(event.ExtHops, "99")
		x.consume(0)
		x.use([]*resource.Link{resumed(a)})
		pass(time.Second)
		w.wants("a", "", "0:0 0:3")
	})
}

func TestPausingInTheMiddleSendsNothingTwice(t *testing.T) {
	heldBack(t, 2000, func(t *testing.T, w *world, x *process, a *resource.Link) {
		x.consume(0)
		w.parkDelay = time.Millisecond
		x.use([]*resource.Link{resumed(a)})
		pass(3500 * time.Microsecond)
		x.use([]*resource.Link{paused(a)})
		synctest.Wait()
		pass(time.Second)
		if _, parked := w.got("a"); len(strings.Fields(parked)) == 0 || len(strings.Fields(parked)) >= 2000 {
			t.Fatalf("%d parked: want a part", len(strings.Fields(parked)))
		}
		x.use([]*resource.Link{resumed(a)})
		pass(10 * time.Second)
		w.exactlyOnce("a")
	})
}

func TestAnAcknowledgementThatTakesLongIsNoReasonToSendTwice(t *testing.T) {
	for _, order := range []string{"", resource.OrderKey} {
		t.Run("order "+order, func(t *testing.T) {
			heldBack(t, 5, func(t *testing.T, w *world, x *process, a *resource.Link) {
				x.consume(0)
				w.parkDelay = x.cfg.ApproachTimeout + time.Second
				again := resumed(a)
				again.Spec.Order = order
				x.use([]*resource.Link{again})
				pass(time.Second)
				w.emit(0, "t")
				x.consume(0) // the live stream does not wait for them
				pass(5 * time.Minute)
				w.exactlyOnce("a")
				w.parkDelay = 0
				pass(time.Minute)
				if links, _ := x.Left(); len(links) != 0 {
					t.Errorf("left %v", links)
				}
			})
		})
	}
}

func TestAFullFunctionHoldsBackTheFeedOnly(t *testing.T) {
	virtual(t, func(t *testing.T) {
		w := newWorld(t, 1)
		a := link("a", "t")
		w.use([]*resource.Link{paused(a), link("b", "t")})
		x := w.begin()
		for range 5000 {
			w.emit(0, "t")
		}
		x.consume(0)
		w.behind = true
		x.use([]*resource.Link{resumed(a), w.set.Links[1]})
		pass(time.Minute)
		if _, parked := w.got("a"); parked != "" {
			t.Errorf("%d parked though the function does not keep up", len(strings.Fields(parked)))
		}
		w.emit(0, "t")
		x.consume(0)
		if live, _ := w.got("b"); len(strings.Fields(live)) != 5001 {
			t.Errorf("%d live deliveries of the neighbour", len(strings.Fields(live)))
		}
		w.mu.Lock()
		w.behind = false
		w.mu.Unlock()
		pass(10 * time.Second)
		w.exactlyOnce("a")
		x.release()
	})
}

// exactlyOnce checks that every event went to the link once, in order of each partition.
func (w *world) exactlyOnce(link string) {
	w.t.Helper()
	w.atLeastOnce(link, 1)
}

func (w *world) atLeastOnce(link string, most int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[string]int{}
	for _, id := range slices.Concat(w.live[link], w.parked[link]) {
		seen[id]++
	}
	for p := range w.events {
		for i := range w.events[p] {
			if n := seen[w.events[p][i].Event.ID]; n < 1 || n > most {
				w.t.Errorf("%s got %d times", w.events[p][i].Event.ID, n)
			}
		}
	}
}

// TestNoEventIsLostOrDoubled pauses, resumes, hands over and goes on at random
// while events flow; with crashes events may come again.
func TestNoEventIsLostOrDoubled(t *testing.T) {
	for _, crashes := range []bool{false, true} {
		t.Run(fmt.Sprintf("crashes %t", crashes), func(t *testing.T) {
			for range 60 {
				seed := rand.Uint64()
				virtual(t, func(t *testing.T) { chaos(t, seed, crashes) })
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func chaos(t *testing.T, seed uint64, crashes bool) {
	rnd, chance := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2)) // the latter is guarded by w.mu
	w := newWorld(t, 2)
	w.parkDelay = time.Duration(rnd.IntN(3)) * time.Millisecond
	w.failing = func(what string) error {
		if chance.IntN(20) == 0 && what != "park" {
			return errors.New("away")
		}
		return nil
	}
	a := link("a", "t")
	w.use([]*resource.Link{a})
	x := w.beginWith(func(c *Config, _ *Parts) { c.Approach, c.ChunkRecords, c.Batch = 5, 20, 7 })
	isPaused := false
	for range 80 {
		switch n := rnd.IntN(10); {
		case n < 5:
			for range rnd.IntN(30) {
				w.emit(int32(rnd.IntN(2)), "t")
			}
			go x.consume(0)
			go x.consume(1)
		case n < 7:
			isPaused = !isPaused
			if x.use([]*resource.Link{resumed(a)}); isPaused {
				x.use([]*resource.Link{paused(a)})
			}
		case n < 9:
			pass(time.Duration(rnd.IntN(20)) * time.Millisecond)
		case crashes && rnd.IntN(2) == 0:
			x.crash()
			x = w.beginWith(func(c *Config, _ *Parts) { c.Approach, c.ChunkRecords, c.Batch = 5, 20, 7 })
		default:
			x.handOver()
			x = w.beginWith(func(c *Config, _ *Parts) { c.Approach, c.ChunkRecords, c.Batch = 5, 20, 7 })
		}
	}
	x.use([]*resource.Link{resumed(a)})
	go x.consume(0)
	go x.consume(1)
	pass(time.Minute)
	if crashes {
		w.atLeastOnce("a", 100)
	} else {
		w.exactlyOnce("a")
	}
	x.release()
}

// handOver stops the live stream before it releases, as a dispatcher does.
func (x *process) handOver() {
	x.endStream()
	x.release()
}

func BenchmarkSkipOfAPlainLink(b *testing.B) {
	p, err := New(DefaultConfig(), func() Parts {
		w := newWorld(nil, 1)
		return Parts{Log: w, Stream: w, Cursors: w, Chooser: w, Parker: w, Dedup: w, Finisher: w, Filter: filterByType}
	}())
	if err != nil {
		b.Fatal(err)
	}
	l := link("a", "t")
	for b.Loop() {
		if skip, _ := p.Skip(context.Background(), l, event.Position{}); skip {
			b.Fatal("skipped")
		}
	}
}
