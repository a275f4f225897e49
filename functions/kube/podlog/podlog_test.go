package podlog

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/functions/kube/kubetest"
	"github.com/signalbox-dev/signalbox/functions/settings"
)

const (
	instance = "signalbox.dev/instance"
	podPath  = "/api/v1/namespaces/fns/pods/"
	leaseAt  = "/apis/coordination.k8s.io/v1/namespaces/fns/leases/thumbs-1"
)

// begin is when the clocks of all tests begin.
var begin = time.Unix(1_800_000_000, 0).UTC()

// stage is a fake API server that Readers share, and what they passed on.
type stage struct {
	t      *testing.T
	server *kubetest.Server
	mu     sync.Mutex
	now    time.Time
	lines  []event.Log
}

func newStage(t *testing.T) *stage {
	t.Helper()
	return &stage{t: t, server: kubetest.Start(t), now: begin}
}

// reader is one process; stop ends it.
type reader struct {
	*Reader
	stop func()
}

func (s *stage) reader(change ...func(*Config)) *reader {
	s.t.Helper()
	cc := cluster.DefaultConfig()
	cc.Kubeconfig = s.server.Kubeconfig(s.t, "fns")
	at, err := cluster.New(cc)
	if err != nil {
		s.t.Fatal(err)
	}
	c := DefaultConfig()
	c.Cluster, c.Selector, c.Instance, c.Container, c.Now = at, "signalbox.dev/managed-by=me", instance, "function", s.clock
	c.Renew, c.Lapse, c.Pause, c.Output = 10*time.Millisecond, 30*time.Second, time.Millisecond, s.take
	c.Log = slog.New(slog.NewTextHandler(s.t.Output(), nil))
	for _, fn := range change {
		fn(&c)
	}
	r, err := New(c)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	var once sync.Once
	out := &reader{Reader: r, stop: func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				s.t.Error(err)
			}
		})
	}}
	s.t.Cleanup(out.stop)
	return out
}

func (s *stage) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *stage) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *stage) take(l event.Log) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, l)
}

// text are the lines so far.
func (s *stage) text() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		all = append(all, l.Line)
	}
	return all
}

func (s *stage) until(what string, is func() bool) {
	s.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(20 * time.Second)
	for !is() {
		select {
		case <-tick.C:
		case <-end:
			s.t.Fatalf("not in time: %s\nlines: %q\nlease: %v", what, s.text(), s.server.Get(leaseAt))
		}
	}
}

func (s *stage) untilLines(want ...string) {
	s.t.Helper()
	s.until(fmt.Sprintf("%q", want), func() bool { return len(s.text()) >= len(want) })
	if got := s.text(); !slices.Equal(got, want) {
		s.t.Fatalf("read %q, want %q", got, want)
	}
}

// pod puts a pod of thumbs@1 there, whose container is in a state.
func (s *stage) pod(name, state string) {
	s.server.Put(podPath+name, kubetest.Object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": kubetest.Object{"name": name, "namespace": "fns", "labels": kubetest.Object{"signalbox.dev/managed-by": "me", instance: "thumbs-1"}},
		"status":   kubetest.Object{"containerStatuses": []any{kubetest.Object{"name": "function", "state": kubetest.Object{state: kubetest.Object{}}}}},
	})
}

func (s *stage) print(pod string, after time.Duration, text string) {
	s.server.Print(podPath+pod, begin.Add(after).Format(time.RFC3339Nano)+" "+text)
}

func (s *stage) holder() string {
	spec, _ := s.server.Get(leaseAt)["spec"].(kubetest.Object)
	holder, _ := spec["holderIdentity"].(string)
	return holder
}

func thumbs() []Version {
	return []Version{{
		Function: "thumbs", Version: "1", Namespace: "fns", Name: "thumbs-1",
		Labels: map[string]any{"signalbox.dev/managed-by": "me"}, Owner: map[string]any{"kind": "Deployment", "name": "thumbs-1", "uid": "u"},
		Mask: settings.NewMask([][]byte{[]byte("hunter2")}),
	}}
}

func TestWhatAPodPrintsIsReadAsItIsPrinted(t *testing.T) {
	s := newStage(t)
	s.pod("a", "running")
	s.print("a", time.Nanosecond, "first, with hunter2 in it")
	s.reader().Set(thumbs())
	s.untilLines("first, with *** in it")
	s.print("a", time.Second, "second")
	s.untilLines("first, with *** in it", "second")
	want := event.Log{Time: begin.Add(time.Second), Function: "thumbs", Version: "1", Stream: event.StreamStdout, Line: "second", Instance: "a"}
	if got := s.lines[1]; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAPodThatHasNotBegunIsWaitedFor(t *testing.T) {
	s := newStage(t)
	s.pod("a", "waiting")
	s.print("a", 0, "not yet")
	s.reader().Set(thumbs())
	s.pod("b", "running")
	s.print("b", 0, "b")
	s.untilLines("b")
	s.pod("a", "running")
	s.untilLines("b", "not yet")
}

func TestAConnectionThatBreaksCostsNoLineAndDoublesNone(t *testing.T) {
	s := newStage(t)
	s.pod("a", "running")
	s.reader().Set(thumbs())
	var want []string
	for i := range 20 {
		// Several in one second, and two at the same moment.
		text := fmt.Sprint("line ", i)
		s.print("a", time.Duration(i/2)*300*time.Millisecond, text)
		want = append(want, text)
		s.untilLines(want...)
		if i%3 == 0 {
			s.server.Cut()
		}
	}
}

func TestTheRestOfALongLineIsNotReadTwice(t *testing.T) {
	s := newStage(t)
	s.pod("a", "running")
	s.reader().Set(thumbs())
	s.print("a", 0, strings.Repeat("x", 100<<10))
	s.until("both halves", func() bool { return len(s.text()) == 2 })
	s.server.Cut()
	s.print("a", 0, "next")
	s.until("the next line", func() bool { return len(s.text()) == 3 })
	if got := s.text(); len(got[0])+len(got[1]) != 100<<10 || got[2] != "next" {
		t.Errorf("read %d and %d bytes, and %.20q", len(got[0]), len(got[1]), got[2])
	}
}

func TestOneProcessReadsAndAnotherGoesOnWhereItStopped(t *testing.T) {
	s := newStage(t)
	s.pod("a", "running")
	one := s.reader(func(c *Config) { c.Process = "one" })
	one.Set(thumbs())
	s.print("a", 0, "1")
	s.untilLines("1")
	two := s.reader(func(c *Config) { c.Process = "two" })
	two.Set(thumbs())
	s.print("a", time.Millisecond, "2")
	s.print("a", time.Millisecond, "3")
	s.untilLines("1", "2", "3")
	if got := s.holder(); !strings.HasPrefix(got, "one-") {
		t.Errorf("held by %s", got)
	}
	one.stop()
	s.until("the other one", func() bool { s.advance(10 * time.Millisecond); return strings.HasPrefix(s.holder(), "two-") })
	s.print("a", time.Second, "4")
	s.untilLines("1", "2", "3", "4")
}

func TestTheLeaseOfAProcessThatDiedLapses(t *testing.T) {
	s := newStage(t)
	s.pod("a", "running")
	s.print("a", 0, "read by the one that died")
	s.print("a", time.Second, "new")
	s.server.Put(leaseAt, kubetest.Object{
		"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
		"metadata": kubetest.Object{
			"name": "thumbs-1", "namespace": "fns", "labels": kubetest.Object{"signalbox.dev/managed-by": "me"},
			"annotations": kubetest.Object{noteRead: `{"a":"` + mark{begin, 1}.String() + `"}`},
		},
		"spec": kubetest.Object{"holderIdentity": "dead"},
	})
	s.reader().Set(thumbs())
	s.advance(29 * time.Second)
	s.until("a look at the Leases", func() bool { s.advance(10 * time.Millisecond); return s.clock().Sub(begin) > 29500*time.Millisecond })
	if got := s.holder(); got != "dead" || len(s.text()) != 0 {
		t.Fatalf("held by %s, read %q", got, s.text())
	}
	// The clock goes on while the Lease is taken, and must not run away from who holds it.
	s.until("the Lease", func() bool { s.advance(50 * time.Millisecond); return len(s.text()) > 0 })
	if s.untilLines("new"); s.holder() == "dead" {
		t.Error("it is read without the Lease")
	}
}

func TestALeaseThatCannotBeRenewedIsNotReadUnder(t *testing.T) {
	s := newStage(t)
	s.pod("a", "running")
	s.reader().Set(thumbs())
	s.print("a", 0, "1")
	s.untilLines("1")
	s.server.Refuse(func(method, _ string) (int, string) {
		if method != "GET" {
			return 403, "no"
		}
		return 0, ""
	})
	s.advance(31 * time.Second)
	s.print("a", time.Second, "2")
	s.until("further passes", func() bool { s.advance(10 * time.Millisecond); return s.clock().Sub(begin) > 32*time.Second })
	if got := s.text(); len(got) != 1 {
		t.Errorf("read %q after the Lease had lapsed", got)
	}
	s.server.Refuse(nil)
	s.until("the Lease again", func() bool { s.advance(50 * time.Millisecond); return len(s.text()) == 2 })
	s.untilLines("1", "2")
}

func TestWhatHasNoPodsHasNoHolder(t *testing.T) {
	s := newStage(t)
	s.pod("a", "running")
	s.reader().Set(thumbs())
	s.print("a", 0, "1")
	s.untilLines("1")
	s.server.Remove(podPath + "a")
	s.until("the Lease to be free", func() bool { return s.holder() == "" })
}

func TestPodsAreReadUpToABound(t *testing.T) {
	s := newStage(t)
	for _, name := range []string{"a", "b", "c"} {
		s.pod(name, "running")
		s.print(name, 0, name)
	}
	s.reader(func(c *Config) { c.MaxPods = 2 }).Set(thumbs())
	s.until("two", func() bool { return len(s.text()) == 2 })
	read := slices.Clone(s.text())
	s.server.Remove(podPath + read[0])
	s.until("the third", func() bool { return len(s.text()) == 3 })
}

func TestMarksAreReadAsTheyWereWritten(t *testing.T) {
	for _, m := range []mark{{begin, 1}, {begin.Add(1), 1}, {begin.Add(time.Second), 12}} {
		if got, err := parseMark(m.String()); err != nil || !got.at.Equal(m.at) || got.n != m.n {
			t.Errorf("%s is read as %v, %v", m, got, err)
		}
	}
	for _, bad := range []string{"", "x", "2026-01-01T00:00:00Z 0", "2026-01-01T00:00:00Z x"} {
		if m, err := parseMark(bad); err == nil {
			t.Errorf("%q is read as %v", bad, m)
		}
	}
	if got := readMarks(`{"a":"2026-01-01T00:00:00Z 2","b":"x"}`); len(got) != 1 || got["a"].n != 2 {
		t.Errorf("%v", got)
	}
}

func TestAConfigurationSaysAllItsFaults(t *testing.T) {
	if _, err := New(Config{}); err == nil || strings.Count(err.Error(), "\n") != 11 {
		t.Errorf("%v", err)
	}
}
