//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// versionManifest is a version of a function with whatever else its spec says.
func versionManifest(name, version, more string) string {
	return fmt.Sprintf("---\napiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: %s}\nspec: {version: %s, %s}\n", name, version, more)
}

// splitTraffic is the spec's field for versions v1 and v2.
func splitTraffic(v1, v2 int) string {
	return fmt.Sprintf(", traffic: [{version: v1, weight: %d}, {version: v2, weight: %d}]", v1, v2)
}

// switches are the first successes of each event, by key: their numbers and versions.
type switches struct {
	mu      sync.Mutex
	seen    map[string]bool
	last    map[string]int
	steps   map[string][]string // of each key, the versions without repetitions
	calls   map[string]int
	faults  []string
	repeats int
}

func newSwitches() *switches {
	return &switches{seen: map[string]bool{}, last: map[string]int{}, steps: map[string][]string{}, calls: map[string]int{}}
}

// answer is a version that fails for one event in forty, twice.
func (s *switches) answer(version string) func(http.ResponseWriter, call) {
	return func(w http.ResponseWriter, c call) {
		key, number, _ := strings.Cut(c.id(), ".")
		n, _ := strconv.Atoi(number)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.calls[c.id()]++; n%40 == 7 && s.calls[c.id()] <= 2 {
			w.WriteHeader([]int{500, 503}[n%2])
			return
		}
		if s.seen[c.id()] {
			s.repeats++
			return
		}
		s.seen[c.id()] = true
		if n != s.last[key]+1 {
			s.faults = append(s.faults, fmt.Sprintf("%s after %d", c.id(), s.last[key]))
		}
		s.last[key] = n
		if v := s.steps[key]; len(v) == 0 || v[len(v)-1] != version {
			s.steps[key] = append(v, version)
		}
	}
}

func (s *switches) done() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// check compares what happened with what was accepted and with the weights of
// v2, in percent, in the order in which they were in force.
func (s *switches) check(t *testing.T, accepted map[string]int, weights []int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) > 0 {
		t.Errorf("%d events out of order: %.10q", len(s.faults), s.faults)
	}
	routes := make([]*resource.Route, len(weights))
	for i, w := range weights {
		objects, err := resource.Decode("", []byte(versionManifest("f", "v1", "url: http://f/")+versionManifest("f", "v2", "url: http://f/"+splitTraffic(100-w, w))))
		if err != nil {
			t.Fatal(err)
		}
		objects[0].Metadata.Name = "f@v1"
		set, faults := resource.NewSet(1, objects)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		routes[i] = set.Route("f")
	}
	changes, back := 0, 0
	for key, n := range accepted {
		if s.last[key] != n {
			t.Errorf("key %s got as far as %d of %d", key, s.last[key], n)
		}
		at := 0
		for _, v := range s.steps[key] {
			for at < len(routes) && routes[at].Pick(key, "", "").Spec.Version != v {
				at++
			}
		}
		if at == len(routes) {
			back++
			t.Errorf("key %s went to %v, by weights %v", key, s.steps[key], weights)
		}
		changes += len(s.steps[key]) - 1
	}
	if changes < len(accepted)/2 {
		t.Errorf("%d changes of version for %d keys: nothing was shown", changes, len(accepted))
	}
	t.Logf("%d events of %d keys, %d changes of version, %d keys went back, %d deliveries repeated", len(s.seen), len(accepted), changes, back, s.repeats)
}

// publishKeys sends events k<i>.<n> of keys, each key's one after the other,
// from several senders, until stop is called, which returns how many of each
// key were accepted.
func (s *server) publishKeys(typ string, keys, senders int, pause time.Duration) (stop func() map[string]int) {
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		ended    atomic.Bool
		accepted = map[string]int{}
		c        = &http.Client{Timeout: bound, Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	)
	for sender := range senders {
		wg.Go(func() {
			sent := map[int]int{}
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for !ended.Load() {
				k := sender + senders*rand.IntN(keys/senders)
				key := fmt.Sprint("k", k)
				header := binaryHeader(fmt.Sprint(key, ".", sent[k]+1), typ)
				header["Ce-Subject"] = key
				if !s.accepts(c, header) {
					continue // sent again: the log may have it, then it is a duplicate
				}
				sent[k]++
				mu.Lock()
				accepted[key] = sent[k]
				mu.Unlock()
				<-tick.C
			}
		})
	}
	return func() map[string]int {
		ended.Store(true)
		wg.Wait()
		return accepted
	}
}

func (s *server) accepts(c *http.Client, header map[string]string) bool {
	req, err := http.NewRequest(http.MethodPost, "http://"+s.addr+"/events", strings.NewReader("{}"))
	if err != nil {
		return false
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := c.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusAccepted
}

// moves takes the traffic from v1 to v2 and back while events come. between is
// called after each change; others deliver beside s.
func moves(t *testing.T, s *server, between func(step int), others ...*server) (got *switches, accepted map[string]int, weights []int) {
	got = newSwitches()
	v1, v2 := newRecorder(t, got.answer("v1")), newRecorder(t, got.answer("v2"))
	at := func(r *recorder) string { return fmt.Sprintf("url: %q", r.URL) }
	s.applyTo(versionManifest("f", "v1", at(v1))+versionManifest("f", "v2", at(v2)+splitTraffic(100, 0))+
		linkManifest("ordered", "f", "com.example.step", ", order: key, delivery: {attempts: 20, backoff: {initial: 50ms, max: 500ms}}"), others...)
	stop := s.publishKeys("com.example.step", 200, 4, 2*time.Millisecond)
	weights = []int{0, 50, 100, 0}
	for i, w := range weights {
		switch i {
		case 0:
		case 3:
			if _, err := s.Rollback(t.Context(), "f", ""); err != nil {
				t.Error(err)
			}
		default:
			s.apply(versionManifest("f", "v2", at(v2)+splitTraffic(100-w, w)))
		}
		before := got.done()
		between(i)
		await(t, "events by this traffic", func() error {
			if n := got.done() - before; n < 600 {
				return fmt.Errorf("%d so far", n)
			}
			return nil
		})
	}
	accepted = stop()
	total := 0
	for _, n := range accepted {
		total += n
	}
	await(t, "every event to be delivered", func() error {
		if n := got.done(); n < total {
			return fmt.Errorf("%d of %d", n, total)
		}
		return nil
	})
	return got, accepted, weights
}

func TestAKeyNeverSeesTwoVersionsOutOfOrder(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		got, accepted, weights := moves(t, s, func(int) {})
		got.check(t, accepted, weights)
	})
}

func TestAKeyNeverSeesTwoVersionsOutOfOrderWhenPartitionsAreTakenOver(t *testing.T) {
	args := realArgs(t)
	gateway := start(t, append(slices.Clip(args), "--roles", "gateway")...)
	var dispatchers [2]*server
	for i := range dispatchers {
		dispatchers[i] = start(t, append(slices.Clip(args), "--roles", "dispatcher")...)
	}
	got, accepted, weights := moves(t, gateway, func(step int) {
		d := dispatchers[step%2]
		if step == 1 {
			d.kill()
		} else {
			d.stop()
		}
		d.launch()
		d.awaitReady()
	}, dispatchers[:]...)
	got.check(t, accepted, weights)
}

// program is a function that takes its time to start, notes what it is called
// for in a file and stops as a server should: what is in flight is finished.
const program = `package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	out, err := os.OpenFile(os.Args[1], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	slow, err := time.ParseDuration(os.Args[2])
	if err != nil {
		panic(err)
	}
	time.Sleep(slow)
	version := os.Getenv("SIGNALBOX_FUNCTION_VERSION")
	h := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(5 * time.Millisecond)
		fmt.Fprintln(out, version, r.Header.Get("Ce-Id"), r.Header.Get("Signalbox-Attempt"), time.Now().UnixNano())
	}
	s := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: http.HandlerFunc(h)}
	told, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	done := make(chan struct{})
	go func() { <-told.Done(); _ = s.Shutdown(context.Background()); close(done) }()
	if err := s.ListenAndServe(); err != http.ErrServerClosed {
		panic(err)
	}
	<-done
}
`

// buildProgram compiles a program and returns where it is.
func buildProgram(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "program")
	if out, err := exec.Command("go", "build", "-o", exe, filepath.Join(dir, "main.go")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return exe
}

func TestACommandIsReplacedUnderLoad(t *testing.T) {
	s := start(t, embeddedArgs(t)...)
	exe, notes := buildProgram(t, program), filepath.Join(t.TempDir(), "notes")
	apply := func(version, slow string) {
		t.Helper()
		s.apply(versionManifest("f", version, fmt.Sprintf("command: [%q, %q, %q], on: [com.example.load]", exe, notes, slow)))
	}
	apply("v1", "0s")
	at := sync.Map{} // when an event was accepted
	var senders sync.WaitGroup
	var ended atomic.Bool
	var count atomic.Int64
	c := &http.Client{Timeout: bound, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	for sender := range 4 {
		senders.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for i := 0; !ended.Load(); i++ {
				id := fmt.Sprint(sender, "-", i)
				at.Store(id, time.Now())
				if !s.accepts(c, binaryHeader(id, "com.example.load")) {
					t.Errorf("event %s was not accepted", id)
				}
				count.Add(1)
				<-tick.C
			}
		})
	}
	served := func(version string, n int) {
		t.Helper()
		await(t, "calls of "+version, func() error {
			if got := countNotes(t, notes)[version]; got < n {
				return fmt.Errorf("%d so far", got)
			}
			return nil
		})
	}
	served("v1", 300)
	apply("v2", "1500ms")
	served("v2", 300)
	if _, err := s.Rollback(t.Context(), "f", ""); err != nil {
		t.Error(err)
	}
	before := countNotes(t, notes)["v1"]
	served("v1", before+300)
	apply("v3", "0s")
	served("v3", 300)
	ended.Store(true)
	senders.Wait()
	await(t, "every event to be delivered", func() error {
		if got := len(readNotes(t, notes)); got < int(count.Load()) {
			return fmt.Errorf("%d of %d", got, count.Load())
		}
		return nil
	})
	checkNotes(t, readNotes(t, notes), &at, int(count.Load()))
	for _, outcome := range []event.Outcome{event.Retrying, event.Dead, event.Dropped} {
		if runs := s.runsThat(outcome, "f"); len(runs) > 0 {
			t.Errorf("%d runs or more are %s, want none: %s", len(runs), outcome, runs[0])
		}
	}
}

// runsThat is the first page of a function's runs with an outcome.
func (s *server) runsThat(outcome event.Outcome, function string) []json.RawMessage {
	s.t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://%s/api/v1/runs?function=%s&outcome=%s", s.addr, function, outcome))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var page struct{ Items []json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("the runs: %d, %v", resp.StatusCode, err)
	}
	return page.Items
}

// note is a call as the program has noted it.
type note struct {
	version, id, attempt string
	at                   time.Time
}

func readNotes(t *testing.T, file string) (all []note) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) == 4 {
			ns, _ := strconv.ParseInt(f[3], 10, 64)
			all = append(all, note{f[0], f[1], f[2], time.Unix(0, ns)})
		}
	}
	return all
}

func countNotes(t *testing.T, file string) map[string]int {
	t.Helper()
	n := map[string]int{}
	for _, c := range readNotes(t, file) {
		n[c.version]++
	}
	return n
}

// checkNotes wants every event once and at the first attempt, and tells the times.
func checkNotes(t *testing.T, all []note, at *sync.Map, events int) {
	t.Helper()
	seen, of := map[string]bool{}, map[string]int{}
	var took []time.Duration
	for _, c := range all {
		if seen[c.id] || c.attempt != "1" {
			t.Errorf("event %s was delivered again, as attempt %s, by %s", c.id, c.attempt, c.version)
		}
		seen[c.id] = true
		of[c.version]++
		if sent, ok := at.Load(c.id); ok {
			took = append(took, c.at.Sub(sent.(time.Time)))
		}
	}
	if len(seen) != events {
		t.Errorf("%d of %d events were delivered", len(seen), events)
	}
	slices.Sort(took)
	slices.SortFunc(all, func(a, b note) int { return a.at.Compare(b.at) })
	gap := time.Duration(0)
	for i := range all[1:] {
		gap = max(gap, all[i+1].at.Sub(all[i].at))
	}
	t.Logf("%d events %v: from sending to the call half within %s, 99 %% within %s, the last %s; longest time without a call %s",
		events, of, took[len(took)/2], took[len(took)*99/100], took[len(took)-1], gap)
}

// cli runs the binary against the server.
func (s *server) cli(args ...string) string {
	s.t.Helper()
	out, err := exec.Command(binary(s.t), append(args, "--server", "http://"+s.addr)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("signalbox %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestLinksComeLateAndGoAndComeBack(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn, other := newRecorder(t, nil), newRecorder(t, nil)
		s.apply(functionManifest("sink", fn.URL, "com.example.none") + functionManifest("other", other.URL, "com.example.none"))
		s.emitSpread("early", "com.example.late", 60) // nobody listens
		s.cli("link", "sink", "com.example.late", "--name", "late", "--start-from", "earliest")
		s.emitSpread("live", "com.example.late", 20)
		fn.awaitIDs(t, slices.Concat(ids("early", 60), ids("live", 20)))

		gone := nextMilli(t)
		s.cli("unlink", "sink", "com.example.late")
		s.emitSpread("away", "com.example.late", 30)
		s.cli("link", "sink", "com.example.late", "--name", "late", "--start-from", gone.UTC().Format(time.RFC3339Nano))
		fn.awaitIDs(t, ids("away", 30))
		fn.onceEach(t, ids("early", 60), ids("live", 20), ids("away", 30))

		s.cli("link", "other", "com.example.late", "--name", "late")
		s.emitSpread("moved", "com.example.late", 30)
		other.awaitIDs(t, ids("moved", 30))
		other.onceEach(t, ids("moved", 30))
		if n := len(other.all()); n != 30 {
			t.Errorf("the other function was called %d times, want 30", n)
		}
	})
}

func TestWhatWaitsFollowsItsLink(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		down := newRecorder(t, func(w http.ResponseWriter, _ call) { w.WriteHeader(http.StatusServiceUnavailable) })
		v1 := fmt.Sprintf("url: %q, on: [com.example.wait]", down.URL)
		s.apply(versionManifest("f", "v1", v1) + linkManifest("ordered", "f", "com.example.wait", ", order: key"))
		s.emitSpread("a", "com.example.wait", 40)
		await(t, "deliveries to wait in the log", func() error { return s.metricAtLeast(`signalbox_parked_records{function="f"}`, 40) })

		up, other := newRecorder(t, nil), newRecorder(t, nil)
		s.apply(versionManifest("f", "v2", fmt.Sprintf("url: %q, on: [com.example.wait]", up.URL)))
		up.awaitIDs(t, ids("a", 40)) // by the link of `on`, and by the ordered one
		await(t, "both links to be done", func() error {
			for _, id := range ids("a", 40) {
				if n := up.count()[id]; n != 2 {
					return fmt.Errorf("%s was delivered %d times, want twice", id, n)
				}
			}
			return nil
		})

		s.apply(versionManifest("f", "v1", v1))
		s.emitSpread("b", "com.example.wait", 40)
		await(t, "deliveries to wait in the log", func() error { return s.metricAtLeast(`signalbox_parked_records{function="f"}`, 40) })
		s.apply(functionManifest("other", other.URL, "com.example.none"))
		s.cli("link", "other", "com.example.wait", "--name", "ordered")
		other.awaitIDs(t, ids("b", 40))
		other.onceEach(t, ids("b", 40))
	})
}
