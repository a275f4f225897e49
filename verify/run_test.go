package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
	"github.com/signalbox-dev/signalbox/verify"
	"github.com/signalbox-dev/signalbox/verify/verifytest"
)

// short is a run of a moment: every fault but those that take their time.
func short(url string) verify.Config {
	c := verify.DefaultConfig()
	c.Server, c.Events, c.Rate, c.Keys, c.Order, c.Seed = url, 60, 100_000, 5, resource.OrderKey, 7
	c.Fail, c.Faults = 0.3, []verify.Fault{verify.FaultReset, verify.FaultCut, verify.Fault5xx, verify.Fault429}
	c.Replies = 0.3
	c.Drain, c.Linger = 20*time.Second, 10*time.Millisecond
	return c
}

func start(t *testing.T, g *verifytest.Gateway) string {
	t.Helper()
	url := g.Start()
	t.Cleanup(func() {
		g.Close()
		if left := g.Resources(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return url
}

func run(t *testing.T, cfg verify.Config) *verify.Report {
	t.Helper()
	r, err := verify.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// once makes a mistake with the first delivery that is, or is no, reply.
func once(m verifytest.Mistake, reply bool) func(verifytest.Delivery) verifytest.Mistake {
	var done atomic.Bool
	return func(d verifytest.Delivery) verifytest.Mistake {
		if d.Reply == reply && done.CompareAndSwap(false, true) {
			return m
		}
		return verifytest.None
	}
}

func TestARunAgainstAGatewayThatDoesItsWork(t *testing.T) {
	url := start(t, &verifytest.Gateway{})
	cfg := short(url)
	cfg.Poison = 0.05
	rep := run(t, cfg)
	if err := rep.Err(); err != nil {
		t.Fatal(err)
	}
	d := rep.Deliveries
	if rep.Events.Accepted != 60 || d.Expected != 180 || d.Delivered+d.Dead != 180 || d.Dead == 0 || d.Dead != rep.DeadPlanned || d.Duplicated() != 0 || d.Reordered != 0 {
		t.Errorf("events %+v, deliveries %+v, %d dead planned", rep.Events, d, rep.DeadPlanned)
	}
	if r := rep.Replies; r.Expected == 0 || r.Expected != r.Delivered || r.Duplicated() != 0 {
		t.Errorf("replies %+v", r)
	}
	for _, f := range cfg.Faults {
		if rep.Faults[f] == 0 {
			t.Errorf("no call met %s: %v", f, rep.Faults)
		}
	}
	if rep.Latency.P50 <= 0 || rep.Latency.Max < rep.Latency.P99 || rep.Admission.P50 <= 0 || len(rep.Findings)+len(rep.Notes) != 0 || rep.Interrupted {
		t.Errorf("latency %+v, findings %v, notes %v, interrupted %v", rep.Latency, rep.Findings, rep.Notes, rep.Interrupted)
	}
}

func TestMistakesOfAGatewayAreFound(t *testing.T) {
	tests := map[string]struct {
		mistake func(verifytest.Delivery) verifytest.Mistake
		check   func(*verify.Report) bool
		verdict string // part of it; "" is none
		lost    bool   // something never comes
	}{
		"a delivery that is dropped": {
			once(verifytest.Drop, false), func(r *verify.Report) bool { return r.Deliveries.Lost == 1 }, "1 of 180 deliveries were lost", true,
		},
		"a reply that is dropped": {
			once(verifytest.Drop, true), func(r *verify.Report) bool { return r.Replies.Lost == 1 && r.Deliveries.Lost == 0 }, "replies were lost", true,
		},
		"a delivery made twice": {
			once(verifytest.Twice, false), func(r *verify.Report) bool { return r.Deliveries.Redelivered == 1 && r.Deliveries.Copied == 0 }, "", false,
		},
		"an event that is in the log twice": {
			once(verifytest.Copy, false), func(r *verify.Report) bool { return r.Deliveries.Copied == 1 && r.Deliveries.Redelivered == 0 }, "", false,
		},
		"a reply that is in the log twice": {
			once(verifytest.Copy, true), func(r *verify.Report) bool { return r.Replies.Copied == 1 && r.Deliveries.Copied == 0 }, "", false,
		},
		"two deliveries swapped": {
			once(verifytest.Swap, false), func(r *verify.Report) bool { return r.Deliveries.Reordered == 1 }, "1 deliveries overtook", false,
		},
		"an event that is changed": {
			once(verifytest.Change, false), func(r *verify.Report) bool { return r.Changed > 0 }, "not as it was sent", false,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := short(start(t, &verifytest.Gateway{Mistake: tt.mistake}))
			cfg.Drain = 30 * time.Second // without any delivery: much even for a busy machine
			if tt.lost {
				cfg.Drain = 10 * time.Second // which is waited for
			}
			cfg.Keys = 1 // whatever is swapped has the same key
			rep := run(t, cfg)
			if !tt.check(rep) {
				t.Errorf("deliveries %+v, replies %+v, %d changed", rep.Deliveries, rep.Replies, rep.Changed)
			}
			err := rep.Err()
			if tt.verdict == "" && err != nil || tt.verdict != "" && (err == nil || !strings.Contains(err.Error(), tt.verdict)) {
				t.Errorf("verdict %v, want %q in it", err, tt.verdict)
			}
			if len(rep.Findings) == 0 {
				t.Error("no example")
			}
		})
	}
}

// door makes trouble with the first requests for some events.
type door struct {
	mu   sync.Mutex
	seen map[string]int
	do   func(w http.ResponseWriter, e *event.Event, n int) bool
}

func (d *door) open(w http.ResponseWriter, e *event.Event) bool {
	if strings.HasSuffix(e.Type, ".probe") {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen == nil {
		d.seen = map[string]int{}
	}
	d.seen[e.ID]++
	return d.do(w, e, d.seen[e.ID])
}

func TestWhatIsUnknownIsSentAgainWithTheSameID(t *testing.T) {
	g := &verifytest.Gateway{}
	d := &door{do: func(w http.ResponseWriter, e *event.Event, n int) bool {
		switch {
		case n == 1 && strings.HasSuffix(e.ID, "1"): // got in, and nobody was told
			g.Take(e, false)
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		case n == 1 && strings.HasSuffix(e.ID, "2"):
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		return false
	}}
	g.Door = d.open
	rep := run(t, short(start(t, g)))
	want := verify.EventCounts{Sent: 60, Accepted: 60, Resent: 12, Throttled: 6}
	if rep.Err() != nil || rep.Events != want || rep.Deliveries.Duplicated() != 0 {
		t.Errorf("verdict %v, events %+v, deliveries %+v; want %+v", rep.Err(), rep.Events, rep.Deliveries, want)
	}
}

func TestWhatStaysUnknownIsNotExpected(t *testing.T) {
	g := &verifytest.Gateway{}
	d := &door{do: func(w http.ResponseWriter, e *event.Event, _ int) bool {
		if !strings.HasSuffix(e.ID, "0") {
			return false
		}
		g.Take(e, false)
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}}
	g.Door = d.open
	cfg := short(start(t, g))
	cfg.Drain = 5 * time.Second                 // which is waited for
	cfg.Keys, cfg.Order = 0, resource.OrderNone // else the later events of their keys wait
	rep := run(t, cfg)
	if e := rep.Events; rep.Err() != nil || e.Accepted != 54 || e.Unknown != 6 || e.UnknownDelivered != 6 || rep.Deliveries.Expected != 3*54 {
		t.Errorf("verdict %v, events %+v, deliveries %+v", rep.Err(), rep.Events, rep.Deliveries)
	}
}

func TestARefusalEndsTheRun(t *testing.T) {
	d := &door{do: func(w http.ResponseWriter, e *event.Event, _ int) bool {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"title":"Denied","detail":"the night is quiet"}`))
		return true
	}}
	cfg := short(start(t, &verifytest.Gateway{Door: d.open}))
	r, err := verify.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "the night is quiet") {
		t.Errorf("%v, want what the deployment said", err)
	}
}

func TestFunctionsThatAreNotReachedAreSaidAtOnce(t *testing.T) {
	cfg := short(start(t, &verifytest.Gateway{}))
	cfg.CallbackURL, cfg.ReadyTimeout = "http://127.0.0.1:1", time.Second
	r, err := verify.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "can the deployment reach that address") {
		t.Errorf("%v, want a word about the address", err)
	}
}

// interrupted is a run that is interrupted after some events.
func interrupted(t *testing.T, cfg verify.Config) *verify.Report {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	cfg.Events, cfg.For, cfg.Rate, cfg.Every = 0, time.Hour, 500, 10*time.Millisecond
	cfg.Progress = func(p verify.Progress) {
		if p.Accepted > 50 {
			interrupt()
		}
	}
	r, err := verify.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := r.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestAnInterruptedRunWaitsAMomentReportsAndCleansUp(t *testing.T) {
	rep := interrupted(t, short(start(t, &verifytest.Gateway{})))
	if e := rep.Events; !rep.Interrupted || rep.Err() != nil || e.Accepted < 50 || e.Unknown != 0 {
		t.Errorf("interrupted %v, verdict %v, events %+v", rep.Interrupted, rep.Err(), e)
	}
}

func TestWhatAnInterruptedRunMissesIsOutstanding(t *testing.T) {
	cfg := short(start(t, &verifytest.Gateway{Mistake: once(verifytest.Drop, false)}))
	cfg.Grace = 200 * time.Millisecond
	rep := interrupted(t, cfg)
	if !rep.Interrupted || rep.Err() == nil || !strings.Contains(rep.Err().Error(), "outstanding when the run was interrupted") {
		t.Errorf("interrupted %v, verdict %v", rep.Interrupted, rep.Err())
	}
	if len(rep.Findings) == 0 || rep.Findings[0].What != "outstanding" {
		t.Errorf("findings %v", rep.Findings)
	}
}

func TestATimeToSendForEndsTheSending(t *testing.T) {
	cfg := short(start(t, &verifytest.Gateway{}))
	cfg.Events, cfg.For, cfg.Rate = 0, 500*time.Millisecond, 200
	rep := run(t, cfg)
	most := int(200*rep.Sending.D().Seconds()) + 1
	if rep.Err() != nil || rep.Events.Sent == 0 || rep.Events.Sent > most {
		t.Errorf("verdict %v, %d events in %s at 200 a second", rep.Err(), rep.Events.Sent, rep.Sending)
	}
}

func TestTheKillCommandRunsWhileEventsAreSent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kills")
	cfg := short(start(t, &verifytest.Gateway{}))
	cfg.Events, cfg.For, cfg.Rate, cfg.Every = 0, time.Hour, 100, 10*time.Millisecond
	cfg.KillCommand, cfg.KillEvery = "echo killed >> "+file+"; exit 3", 100*time.Millisecond
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	cfg.Progress = func(p verify.Progress) {
		if p.Kills >= 2 {
			interrupt()
		}
	}
	r, err := verify.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := r.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil || rep.Kills < 2 || strings.Count(string(b), "killed") != rep.Kills || rep.KillsFailed != rep.Kills {
		t.Errorf("%d kills, %d failed, the command says %q, error %v: want two or more, all failed", rep.Kills, rep.KillsFailed, b, err)
	}
}

// failing fails to write after some bytes.
type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

func TestEveryCallIsLogged(t *testing.T) {
	cfg := short(start(t, &verifytest.Gateway{}))
	var log bytes.Buffer
	cfg.CallLog = &log
	rep := run(t, cfg)
	answers, successes := map[string]int{}, map[string]bool{}
	for line := range strings.Lines(log.String()) {
		var c struct {
			Event, Answer, IdempotencyKey, Attempt string
			Function, Call                         int
			Begun, Ended                           time.Time
		}
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if c.Ended.Before(c.Begun) || c.Call == 0 || c.Attempt == "" {
			t.Errorf("line %s", line)
		}
		answers[c.Answer]++
		if c.Answer == "success" {
			successes[c.IdempotencyKey] = true
		}
	}
	if len(successes) != rep.Deliveries.Delivered+rep.Replies.Delivered || answers["reset"] != rep.Faults[verify.FaultReset] {
		t.Errorf("answers %v, report %+v %v", answers, rep.Deliveries, rep.Faults)
	}
	cfg = short(start(t, &verifytest.Gateway{}))
	cfg.CallLog = &failing{1000}
	if rep := run(t, cfg); len(rep.Notes) != 1 || !strings.Contains(rep.Notes[0], "disk full") || rep.Err() != nil {
		t.Errorf("notes %v, verdict %v", rep.Notes, rep.Err())
	}
}

func TestCleanupRemovesWhatDeadRunsLeft(t *testing.T) {
	g := &verifytest.Gateway{}
	url := g.Start()
	defer g.Close()
	c, err := client.New(url)
	if err != nil {
		t.Fatal(err)
	}
	leftovers := []resource.Object{
		{APIVersion: resource.APIVersion, Kind: resource.KindFunction, Spec: []byte(`{"url":"http://127.0.0.1:1/x/0"}`)},
		{APIVersion: resource.APIVersion, Kind: resource.KindLink, Spec: []byte(`{"function":"verify-x-0","types":["t"]}`)},
	}
	for i := range leftovers {
		leftovers[i].Metadata = resource.Metadata{Name: "verify-x-0", Labels: map[string]string{verify.Label: "x"}}
	}
	other := resource.Object{APIVersion: resource.APIVersion, Kind: resource.KindFunction, Metadata: resource.Metadata{Name: "mine"}, Spec: []byte(`{"url":"http://127.0.0.1:1/"}`)}
	if _, err := c.Apply(t.Context(), append(leftovers, other), false); err != nil {
		t.Fatal(err)
	}
	cfg := short(url)
	cfg.Grace = 0
	cfg.Name, cfg.Events, cfg.For, cfg.Every = "alive", 0, time.Hour, 10*time.Millisecond
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var once sync.Once
	cfg.Rate = 100
	cfg.Progress = func(p verify.Progress) {
		if p.Phase == verify.Probing {
			return
		}
		once.Do(func() {
			removed, err := verify.Cleanup(ctx, c)
			if err != nil || strings.Join(removed.Resources, " ") != "Link/verify-x-0 Function/verify-x-0" || strings.Join(removed.Alive, " ") != "alive" {
				t.Errorf("%+v, error %v", removed, err)
			}
			same, err := verify.New(cfg)
			if err != nil {
				t.Error(err)
			} else if _, err := same.Run(ctx); err == nil || !strings.Contains(err.Error(), "another run named alive") {
				t.Errorf("a second run of the name: %v", err)
			}
			end()
		})
	}
	r, err := verify.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(ctx); err != nil {
		t.Error(err)
	}
	if left := strings.Join(g.Resources(), " "); left != "functions/mine" {
		t.Errorf("left: %s", left)
	}
}

func TestAWrongConfigurationIsSaidBeforeAnythingIsDone(t *testing.T) {
	cfg := verify.DefaultConfig()
	if _, err := verify.New(cfg); !errors.Is(err, verify.ErrConfig) || !strings.Contains(err.Error(), "Server") {
		t.Errorf("%v, want ErrConfig about Server", err)
	}
}
