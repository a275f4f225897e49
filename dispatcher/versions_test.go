package dispatcher_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// fnSet is function fn in versions v1 and v2 with a traffic, and the link to it.
func fnSet(t testing.TB, revision uint64, v1, v2 int, order, function string) resource.Set {
	t.Helper()
	object := func(kind, name, spec string) resource.Object {
		return resource.Object{APIVersion: resource.APIVersion, Kind: kind, Metadata: resource.Metadata{Name: name, Revision: revision}, Spec: []byte(spec)}
	}
	set, faults := resource.NewSet(revision, []resource.Object{
		object(resource.KindFunction, "fn", fmt.Sprintf(`{"url":"http://v2/","version":"v2","traffic":[{"version":"v1","weight":%d},{"version":"v2","weight":%d}]}`, v1, v2)),
		object(resource.KindFunction, "fn@v1", `{"url":"http://v1/","version":"v1"}`),
		object(resource.KindFunction, "other", `{"url":"http://other/"}`),
		object(resource.KindLink, "link", fmt.Sprintf(`{"function":%q,"types":["*"],"order":%q,"delivery":{"backoff":{"initial":"500ms","max":"20s"}}}`, function, order)),
	})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return set
}

// chooseBy is a Chooser that goes by sets, as the policies do.
type chooseBy struct{ set atomic.Pointer[resource.Set] }

func (c *chooseBy) use(set resource.Set) { c.set.Store(&set) }

func (c *chooseBy) Choose(_ context.Context, rec *event.Record, _ []resource.Target) (dispatcher.Choice, error) {
	set := c.set.Load()
	l := set.Links[0]
	name, version := l.Spec.FunctionName()
	fn := set.Function(name, version)
	if version == "" {
		fn = set.Route(name).Pick(string(rec.Message.Key), rec.Event.Source, rec.Event.ID)
	}
	return dispatcher.Choice{Targets: []resource.Target{{Link: l, Function: fn}}, Revision: set.Revision}, nil
}

// steps are the versions in which the first success of each event came, by key.
type steps struct {
	mu       sync.Mutex
	seen     map[string]bool
	last     map[string]int
	versions map[string][]string // without repetitions
	faults   []string
}

func (s *steps) success(version, id string) {
	key, number, _ := strings.Cut(id, ".")
	n, _ := strconv.Atoi(number)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[id] {
		return
	}
	s.seen[id] = true
	if n != s.last[key]+1 {
		s.faults = append(s.faults, fmt.Sprintf("%s after %d", id, s.last[key]))
	}
	s.last[key] = n
	if v := s.versions[key]; len(v) == 0 || v[len(v)-1] != version {
		s.versions[key] = append(v, version)
	}
}

// TestAKeyNeverGoesBackToAnOlderVersion moves the traffic of an ordered link
// from one version to the other and back, while events come, some fail, and the
// partition is handed over and lost: per key the first successes come in the
// order of publication, and their versions in that of the revisions.
func TestAKeyNeverGoesBackToAnOlderVersion(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { versionChaos(t, seed, []int{200, 200, 20, 5}[seed], 3000) })
	}
}

func versionChaos(t *testing.T, seed uint64, keys, events int) {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 7))
	roll := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
	shares := [][2]int{{100, 0}, {50, 50}, {0, 100}, {100, 0}}
	sets := make([]resource.Set, len(shares))
	for i, s := range shares {
		sets[i] = fnSet(t, uint64(10+i), s[0], s[1], "key", "fn")
	}
	got := &steps{seen: map[string]bool{}, last: map[string]int{}, versions: map[string][]string{}}
	tries := map[string]int{}
	answer := func(version string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			id := r.Header.Get("Ce-Id")
			sum := fnv.New32a()
			sum.Write([]byte(id))
			mu.Lock()
			tries[id]++
			n := tries[id]
			mu.Unlock()
			time.Sleep(time.Duration(roll(20)) * time.Millisecond)
			if sum.Sum32()%50 == 0 && n < 4 {
				w.WriteHeader([]int{500, 503, 429}[roll(3)])
				return
			}
			got.success(version, id)
		}
	}
	by := &chooseBy{}
	by.use(sets[0])
	inYard(t, nil, map[string]http.HandlerFunc{"v1": answer("v1"), "v2": answer("v2")}, func(b *bed) {
		b.cfg.QueueSize, b.cfg.BreakerMax = 64, 5*time.Second
		b.parts.Deduper, b.parts.Chooser = anew{}, by
	}, func(t *testing.T, y *yard) {
		y.targets.Use(sets[0])
		recs := publish(keys, events, roll)
		settled := map[int64]bool{}
		for i := range sets {
			y.targets.Use(sets[i]) // as the app does: first these, then the choosing
			time.Sleep(time.Duration(roll(3)) * time.Millisecond)
			by.use(sets[i])
			part := recs[:len(recs)*(i+1)/len(sets)]
			for range 1 + roll(3) {
				y.deliverSome(part, settled, &mu, roll)
			}
		}
		for round := 0; len(settled) < events && round < 1000; round++ {
			y.deliverSome(recs, settled, &mu, roll)
		}
		time.Sleep(10 * time.Minute)
		got.check(t, sets, events)
		t.Logf("%d parked", y.parking.Len("fn", 3))
	})
}

func (s *steps) check(t *testing.T, sets []resource.Set, events int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) != events || len(s.faults) > 0 {
		t.Errorf("%d of %d succeeded, %d out of order: %.10q", len(s.seen), events, len(s.faults), s.faults)
	}
	switched := 0
	for key, versions := range s.versions {
		if switched += len(versions) - 1; !follows(versions, sets, key) {
			t.Errorf("%s went to %v", key, versions)
		}
	}
	if switched < len(s.versions)/2 {
		t.Errorf("%d changes of version of %d keys: the test shows nothing", switched, len(s.versions))
	}
}

// follows reports whether a key's versions are in the order in which sets gave them.
func follows(versions []string, sets []resource.Set, key string) bool {
	i := 0
	for _, v := range versions {
		for i < len(sets) && sets[i].Route("fn").Pick(key, "", "").Spec.Version != v {
			i++
		}
	}
	return i < len(sets)
}

func TestWhatIsParkedGoesToTheVersionInForceWhenItIsTakenUp(t *testing.T) {
	v1, v2, other := &order{status: func(string, int) int { return 503 }}, &order{}, &order{}
	by := &chooseBy{}
	by.use(fnSet(t, 1, 100, 0, "none", "fn"))
	hosts := map[string]http.HandlerFunc{"v1": v1.ServeHTTP, "v2": v2.ServeHTTP, "other": other.ServeHTTP}
	inYard(t, nil, hosts, func(b *bed) { b.parts.Chooser = by }, func(t *testing.T, y *yard) {
		y.targets.Use(*by.set.Load())
		y.Handle(y.part, records(0, newEvents(3)...), y.settle)
		time.Sleep(time.Minute) // the gate of v1 has closed, they are parked
		if v2.done() != "" || y.parking.Len("fn", 3) != 3 {
			t.Errorf("v2 has %s, %d parked", v2.done(), y.parking.Len("fn", 3))
		}
		y.targets.Use(fnSet(t, 2, 0, 100, "none", "fn"))
		y.Reroute()
		time.Sleep(time.Second)
		if n := strings.Count(v2.done(), "e"); n != 3 {
			t.Errorf("v2 has %q, want all three at once", v2.done())
		}
		y.Handle(y.part, records(3, newEvents(2)...), y.settle) // still chosen for v1
		time.Sleep(time.Minute)
		y.targets.Use(fnSet(t, 3, 0, 100, "none", "other"))
		time.Sleep(5 * time.Minute)
		if n := y.parking.Unsettled(3); n > 0 {
			t.Errorf("%d are still parked; v2 has %q, other %q", n, v2.done(), other.done())
		}
	})
}

func TestWhatIsNotRoutedAnewWaitsForItsNextAttempt(t *testing.T) {
	v1, v2 := &order{status: func(string, int) int { return 503 }}, &order{}
	by := &chooseBy{}
	by.use(fnSet(t, 1, 100, 0, "none", "fn"))
	inYard(t, nil, map[string]http.HandlerFunc{"v1": v1.ServeHTTP, "v2": v2.ServeHTTP}, func(b *bed) { b.parts.Chooser = by }, func(t *testing.T, y *yard) {
		y.targets.Use(*by.set.Load())
		y.Handle(y.part, records(0, newEvents(3)...), y.settle)
		time.Sleep(time.Minute)
		y.Reroute() // nothing has changed
		later := newEvent("later")
		later.SetExtension("deliverafter", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		y.Handle(y.part, records(3, later), y.settle)
		time.Sleep(time.Second)
		y.targets.Use(fnSet(t, 2, 0, 100, "none", "fn"))
		time.Sleep(5 * time.Minute) // each goes when its next attempt is due
		if n := strings.Count(v2.done(), "e"); n != 3 {
			t.Errorf("v2 has %q, want all three", v2.done())
		}
		y.Reroute()
		time.Sleep(time.Minute)
		if v2.count("later") > 0 {
			t.Error("what is to be delivered after an hour was delivered at once")
		}
		time.Sleep(time.Hour)
		if v2.count("later") != 1 {
			t.Errorf("what was to be delivered after an hour was called %d times", v2.count("later"))
		}
	})
}

func TestAParkedDeliveryFollowsItsLinkToAnotherFunction(t *testing.T) {
	v1, other := &order{status: func(string, int) int { return 503 }}, &order{}
	by := &chooseBy{}
	by.use(fnSet(t, 1, 100, 0, "key", "fn"))
	inYard(t, nil, map[string]http.HandlerFunc{"v1": v1.ServeHTTP, "other": other.ServeHTTP}, func(b *bed) { b.parts.Chooser = by }, func(t *testing.T, y *yard) {
		y.targets.Use(*by.set.Load())
		recs := publish(1, 5, func(int) int { return 0 })
		y.Handle(y.part, recs, y.settle)
		time.Sleep(time.Minute)
		y.targets.Use(fnSet(t, 2, 100, 0, "key", "other"))
		y.handOver()
		time.Sleep(5 * time.Minute)
		if other.done() != "k0.1 k0.2 k0.3 k0.4 k0.5" || y.parking.Unsettled(3) > 0 {
			t.Errorf("the other function has %q, %d are still parked", other.done(), y.parking.Unsettled(3))
		}
	})
}

func TestALiveDeliveryWhoseVersionIsGoneGoesToTheOneInForce(t *testing.T) {
	v2 := &order{}
	by := &chooseBy{}
	old := fnSet(t, 1, 100, 0, "none", "fn")
	old.Function("fn", "v1").Spec.URL = "" // not running
	by.use(old)
	inYard(t, nil, map[string]http.HandlerFunc{"v2": v2.ServeHTTP}, func(b *bed) { b.parts.Chooser = by }, func(t *testing.T, y *yard) {
		y.targets.Use(old)
		y.Handle(y.part, records(0, newEvents(1)...), y.settle)
		time.Sleep(50 * time.Millisecond)
		y.targets.Use(fnSet(t, 2, 0, 100, "none", "fn"))
		time.Sleep(time.Second)
		if v2.done() != "e0" || y.parking.Len("fn", 3) > 0 {
			t.Errorf("v2 has %q, %d parked", v2.done(), y.parking.Len("fn", 3))
		}
	})
}

// slowly is a Chooser whose answer for one event takes its time.
type slowly struct {
	chooseBy
	id string
}

func (c *slowly) Choose(ctx context.Context, rec *event.Record, buf []resource.Target) (dispatcher.Choice, error) {
	choice, err := c.chooseBy.Choose(ctx, rec, buf)
	if rec.Event.ID == c.id {
		time.Sleep(5 * time.Minute)
	}
	return choice, err
}

func TestAnEventChosenLongAgoDoesNotTakeItsKeyBack(t *testing.T) {
	v1, v2 := &order{status: func(id string, _ int) int { return map[bool]int{true: 503, false: 200}[id == "k0.1"] }}, &order{}
	by := &slowly{id: "k0.2"}
	by.use(fnSet(t, 1, 100, 0, "key", "fn"))
	inYard(t, nil, map[string]http.HandlerFunc{"v1": v1.ServeHTTP, "v2": v2.ServeHTTP}, func(b *bed) { b.parts.Chooser = by }, func(t *testing.T, y *yard) {
		y.targets.Use(*by.set.Load())
		recs := publish(1, 3, func(int) int { return 0 })
		y.Handle(y.part, recs[:1], y.settle)
		time.Sleep(time.Minute) // it is parked by now
		go func() {
			time.Sleep(time.Second)
			y.targets.Use(fnSet(t, 2, 0, 100, "key", "fn"))
		}()
		y.Handle(y.part, recs[1:2], y.settle)
		y.Handle(y.part, recs[2:], y.settle)
		time.Sleep(10 * time.Minute)
		if v1.done() != "" || v2.done() != "k0.1 k0.2 k0.3" {
			t.Errorf("v1 has %q, v2 %q", v1.done(), v2.done())
		}
	})
}
