//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// linkManifest is a link to a function with whatever else its spec says.
func linkManifest(name, function, typ, more string) string {
	return fmt.Sprintf("---\napiVersion: signalbox.dev/v1\nkind: Link\nmetadata: {name: %s}\nspec: {function: %s, types: [%s]%s}\n", name, function, typ, more)
}

// onceEach checks that each id was delivered exactly once.
func (r *recorder) onceEach(t testing.TB, all ...[]string) {
	t.Helper()
	got := r.count()
	for _, id := range slices.Concat(all...) {
		if got[id] != 1 {
			t.Errorf("%s was delivered %d times, want once", id, got[id])
		}
	}
}

func TestAPauseOutlivesTheReplicasThatKeptIt(t *testing.T) {
	args := realArgs(t)
	a, b := startReplicas(t, args)
	fn := newRecorder(t, nil)
	a.applyTo(functionManifest("sink", fn.URL, "com.example.none")+linkManifest("kept", "sink", "com.example.kept", ""), b)
	a.emitSpread("before", "com.example.kept", 50)
	fn.awaitIDs(t, ids("before", 50))
	a.applyTo(linkManifest("kept", "sink", "com.example.kept", ", paused: true"), b)
	await(t, "both replicas to have partitions", func() error {
		if x, y := a.partitions(), b.partitions(); x == 0 || y == 0 {
			return fmt.Errorf("they have %d and %d", x, y)
		}
		return nil
	})
	b.emitSpread("held", "com.example.kept", 200)
	a.kill()
	c := start(t, args...)
	c.emitSpread("more", "com.example.kept", 100)
	b.stop()
	c.apply(linkManifest("kept", "sink", "com.example.kept", ""))
	fn.awaitIDs(t, slices.Concat(ids("held", 200), ids("more", 100)))
	c.emitSpread("after", "com.example.kept", 50)
	fn.awaitIDs(t, ids("after", 50))
	fn.onceEach(t, ids("before", 50), ids("held", 200), ids("more", 100), ids("after", 50))
}

func TestACrashWhileALinkCatchesUpLosesNothing(t *testing.T) {
	s := start(t, realArgs(t)...)
	var calls atomic.Int64
	fn := newRecorder(t, func(http.ResponseWriter, call) { calls.Add(1) })
	link := func(more string) string {
		return linkManifest("kept", "sink", "com.example.kept", ", order: key"+more)
	}
	s.apply(functionManifest("sink", fn.URL, "com.example.none") + link(", paused: true"))
	const n = 1500
	s.emitSpread("held", "com.example.kept", n)
	s.apply(link(""))
	for i := range 3 {
		before := calls.Load()
		await(t, "some deliveries before the crash", func() error {
			if got := calls.Load() - before; got < 100 && calls.Load() < n {
				return fmt.Errorf("%d so far", got)
			}
			return nil
		})
		s.kill()
		s.launch()
		s.awaitReady()
		s.emitSpread(fmt.Sprint("new", i), "com.example.kept", 20)
	}
	fn.awaitIDs(t, slices.Concat(ids("held", n), ids("new0", 20), ids("new1", 20), ids("new2", 20)))
	twice := 0
	for _, got := range fn.count() {
		twice += got - 1
	}
	t.Logf("%d deliveries were repeated", twice)
	if most := 3 * 10 * 256 * 2; twice > most {
		t.Errorf("%d repeated, want at most %d", twice, most)
	}
}

func TestOrderHoldsThroughPauses(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newRecorder(t, nil)
		link := func(more string) string {
			return linkManifest("ordered", "sink", "com.example.step", ", order: key"+more)
		}
		s.apply(functionManifest("sink", fn.URL, "com.example.none") + link(""))
		const keys, steps = 7, 60
		for i := range steps {
			for k := range keys {
				header := binaryHeader(fmt.Sprintf("%d-%d", k, i), "com.example.step")
				header["Ce-Subject"] = strconv.Itoa(k)
				if status, body := s.post("/events", header, "{}"); status != http.StatusAccepted {
					t.Fatalf("POST /events answered %d: %s", status, body)
				}
			}
			switch i {
			case 10, 30, 45:
				s.apply(link(", paused: true"))
			case 20, 33, 50:
				s.apply(link(""))
			}
		}
		calls := fn.awaitCalls(t, keys*steps)
		next := map[string]int{}
		for _, c := range calls {
			key, step, _ := strings.Cut(c.header.Get("Ce-Id"), "-")
			if want := strconv.Itoa(next[key]); step != want {
				t.Errorf("key %s: step %s, want %s", key, step, want)
			}
			next[key]++
		}
	})
}

// inSteps sends fifty events a second of each key, one after the other, until stop is
// called, which returns how many were accepted of each key.
func (s *server) inSteps(keys int, typ string) (stop func() []int) {
	accepted := make([]int, keys)
	var wg sync.WaitGroup
	var ended atomic.Bool
	for k := range keys {
		wg.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for ; !ended.Load(); <-tick.C {
				header := binaryHeader(fmt.Sprintf("%d-%d", k, accepted[k]), typ)
				header["Ce-Subject"] = strconv.Itoa(k)
				if status, body := s.post("/events", header, "{}"); status != http.StatusAccepted {
					s.t.Errorf("POST /events answered %d: %s", status, body)
					return
				}
				accepted[k]++
			}
		})
	}
	return func() []int { ended.Store(true); wg.Wait(); return accepted }
}

func TestPausesAmongCrashesAndHandOversLoseNothingAndKeepOrder(t *testing.T) {
	args := realArgs(t)
	gateway := start(t, append(slices.Clip(args), "--roles", "gateway")...)
	dispatchers := make([]*server, 3)
	for i := range dispatchers {
		dispatchers[i] = start(t, append(slices.Clip(args), "--roles", "dispatcher")...)
	}
	fn := newRecorder(t, nil)
	link := func(more string) string {
		return linkManifest("ordered", "sink", "com.example.step", ", order: key"+more)
	}
	gateway.applyTo(functionManifest("sink", fn.URL, "com.example.none")+link(""), dispatchers...)
	const keys = 5
	stop := gateway.inSteps(keys, "com.example.step")
	for round := range 6 {
		more := ", paused: true"
		if round%2 == 1 {
			more = ""
		}
		gateway.apply(link(more))
		switch d := dispatchers[round%len(dispatchers)]; {
		case round%3 == 0:
			d.kill()
			d.launch()
			d.awaitReady()
		default: // also while the group waits for the one that was killed
			d.stop()
			d.launch()
			d.awaitReady()
		}
	}
	gateway.apply(link(""))
	accepted := stop()
	var all []string
	for k, n := range accepted {
		all = append(all, ids(strconv.Itoa(k), n)...)
	}
	fn.awaitIDs(t, all)
	next, twice := map[string]int{}, 0
	for _, c := range fn.all() {
		key, step, _ := strings.Cut(c.id(), "-")
		n, err := strconv.Atoi(step)
		switch {
		case err != nil || n > next[key]:
			t.Errorf("key %s: step %s, want %d", key, step, next[key])
		case n < next[key]:
			twice++
		default:
			next[key]++
		}
	}
	t.Logf("%d events, %d deliveries repeated", len(all), twice)
}

// nextMilli waits for a millisecond in which nothing was sent yet, and returns its
// beginning: the log's times have milliseconds.
func nextMilli(t testing.TB) time.Time {
	t.Helper()
	at := time.Now().UTC().Truncate(time.Millisecond).Add(2 * time.Millisecond)
	await(t, "the next event to be later", func() error {
		if time.Now().Before(at) {
			return fmt.Errorf("it is not yet %s", at)
		}
		return nil
	})
	return at
}

func TestANewLinkStartsWhereItIsTold(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn, other := newRecorder(t, nil), newRecorder(t, nil)
		s.apply(functionManifest("sink", fn.URL, "com.example.none") + functionManifest("other", other.URL, "com.example.start"))
		s.emitSpread("old", "com.example.start", 60)
		other.awaitCalls(t, 60)
		at := nextMilli(t)
		s.emitSpread("new", "com.example.start", 40)
		other.awaitCalls(t, 100)
		s.apply(linkManifest("late", "sink", "com.example.start", fmt.Sprintf(", startFrom: %q", at.Format(time.RFC3339Nano))))
		s.emitSpread("next", "com.example.start", 20)
		fn.awaitIDs(t, slices.Concat(ids("new", 40), ids("next", 20)))
		fn.onceEach(t, ids("new", 40), ids("next", 20))
		if n := len(fn.all()); n != 60 {
			t.Errorf("%d calls, want 60", n)
		}
	})
}

func TestAReplayIsSharedByReplicasAndHoldsItsRate(t *testing.T) {
	a, b := startReplicas(t, realArgs(t))
	fn := newRecorder(t, nil)
	a.applyTo(functionManifest("sink", fn.URL, "com.example.again"), b)
	a.emitSpread("again", "com.example.again", 300)
	fn.awaitIDs(t, ids("again", 300))
	kind, err := resource.LookupKind(resource.KindReplay)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := b.Put(t.Context(), kind, resource.Object{
		APIVersion: resource.APIVersion, Kind: resource.KindReplay, Metadata: resource.Metadata{Name: "r"},
		Spec: json.RawMessage(`{"link":"sink","from":"earliest","rate":100}`),
	}); err != nil {
		t.Fatal(err)
	}
	calls := fn.awaitCalls(t, 600)
	if took := time.Since(began); took < 2700*time.Millisecond || took > 5*time.Second+slack {
		t.Errorf("300 events at 100 a second took %s", took)
	}
	live, again := map[string]bool{}, map[string]bool{}
	for _, c := range calls {
		id, key := c.header.Get("Ce-Id"), c.header.Get("Idempotency-Key")
		switch {
		case c.header.Get("Signalbox-Replay") == "":
			live[key] = true
		case again[id], live[key]:
			t.Errorf("%s was sent again twice, or with the key %s of its first delivery", id, key)
		default:
			again[id] = true
		}
	}
	if len(live) != 300 || len(again) != 300 {
		t.Errorf("%d live, %d again", len(live), len(again))
	}
	await(t, "the replay to be done", func() error {
		o, err := a.Get(t.Context(), kind, "r")
		if err != nil {
			return err
		}
		var s resource.ReplayStatus
		if err := json.Unmarshal(o.Status, &s); err != nil {
			return err
		}
		if s.State != resource.ReplayDone || s.Parked != 300 || s.PartitionsDone != 10 {
			return fmt.Errorf("status %+v", s)
		}
		return nil
	})
}
