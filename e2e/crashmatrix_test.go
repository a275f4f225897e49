//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/failpoint"
)

// fromEnvironment is a number from an environment variable.
func fromEnvironment(t testing.TB, name string, otherwise uint64) uint64 {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q: want a number", name, v)
	}
	return n
}

// crashBinary builds the program with its failpoints.
func crashBinary(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "signalbox")
	cmd := exec.Command("go", "build", "-tags", "failpoint", "-o", path, "./cmd/signalbox")
	cmd.Dir = repoRoot(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return path
}

// moment is a point at which a run kills, and how late.
type moment struct {
	point failpoint.Point
	// most is the latest hit; the traffic comes by it within some seconds.
	most int
}

// rare are the points that the traffic passes less often than hundreds of times a second.
var rare = map[failpoint.Point]int{
	failpoint.LogCommitBefore: 10, failpoint.LogCommitAfter: 10, failpoint.LogHandoverBefore: 1, failpoint.LogParkAcked: 20,
	failpoint.LedgerClaimBefore: 200, failpoint.LedgerClaimAfter: 200, failpoint.DispatcherClaimed: 200,
	failpoint.DispatcherDeadBefore: 5, failpoint.DispatcherDeadAfter: 5,
	failpoint.DispatcherParkBefore: 20, failpoint.DispatcherParkAfter: 20, failpoint.DispatcherParkedTaken: 10,
}

// moments are all points, or the one that is asked for.
func moments(t testing.TB) []moment {
	t.Helper()
	var all []moment
	only := os.Getenv("SIGNALBOX_CRASH_POINT")
	for _, p := range failpoint.Points() {
		if only != "" && only != string(p) {
			continue
		}
		most := rare[p]
		if most == 0 {
			most = 1000
		}
		all = append(all, moment{p, most})
	}
	if len(all) == 0 {
		t.Fatalf("SIGNALBOX_CRASH_POINT=%s: want one of %v", only, failpoint.Points())
	}
	return all
}

// TestCrashAtEachStepLosesNothing kills the process at each named step of an event's way, under
// load, on real Kafka and Redis, starts it again, and checks the
// history. SIGNALBOX_CRASH_RUNS is the number of runs, by default one for each step. Each prints its seed; it is made again
// by SIGNALBOX_CRASH_RUNS=1, SIGNALBOX_CRASH_SEED and SIGNALBOX_CRASH_POINT.
func TestCrashAtEachStepLosesNothing(t *testing.T) {
	all := moments(t)
	runs := fromEnvironment(t, "SIGNALBOX_CRASH_RUNS", uint64(len(all)))
	seed := fromEnvironment(t, "SIGNALBOX_CRASH_SEED", uint64(time.Now().UnixNano()))
	c := newCrowd(t)
	s := startProgram(t, nil, []string{crashBinary(t)}, append(realArgs(t), "--instance-id", unique(t)))
	s.apply(c.manifests())
	s.stop()
	order := rand.New(rand.NewPCG(seed, 0)).Perm(len(all))
	var sent []*traffic
	for i := range runs {
		m := all[order[i%uint64(len(all))]]
		name := fmt.Sprintf("run-%d-%s", i, m.point)
		t.Run(name, func(t *testing.T) {
			s.t = t
			sent = append(sent, crashRun(t, s, c, m, name, seed+i))
		})
	}
	s.t = t
	for _, f := range sent {
		f.verifyNothingLate(t)
	}
	c.verifyNoStrays(t)
}

// crashRun is one or two kills and what follows.
func crashRun(t *testing.T, s *server, c *crowd, m moment, name string, seed uint64) *traffic {
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the process printed:\n%s", s.out)
		}
		if s.cmd.ProcessState == nil {
			s.kill()
		}
	})
	f := c.send(t, s.addr, name)
	s.dieAt(t, f, m, 1+random.IntN(m.most))
	if all := moments(t); random.IntN(3) == 0 { // and again while it recovers
		m = all[random.IntN(len(all))]
		s.dieAt(t, f, m, 1+random.IntN(m.most))
	}
	s.environ = nil
	s.launch()
	s.awaitReady()
	back := time.Now()
	f.awaitMore(t, 50)
	f.stop()
	f.settle(s)
	f.verify(t)
	t.Logf("all delivered %s after the last start", time.Since(back).Round(time.Millisecond))
	s.stop()
	return f
}

// dieAt starts the process, which kills itself at a point under the traffic.
func (s *server) dieAt(t *testing.T, f *traffic, m moment, hit int) {
	t.Helper()
	s.environ = []string{fmt.Sprintf("%s=%s=kill@%d", failpoint.Variable, m.point, hit)}
	began := time.Now()
	s.launch()
	if m.point == failpoint.LogHandoverBefore {
		f.awaitMore(t, 100)
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // gone already: its end says so
	}
	s.awaitKilled(t, m.point)
	f.Fault(fmt.Sprintf("kill at %s, hit %d,", m.point, hit))()
	t.Logf("killed at %s, hit %d, after %s", m.point, hit, time.Since(began).Round(time.Millisecond))
}

// awaitKilled waits until the process has killed itself.
func (s *server) awaitKilled(t *testing.T, p failpoint.Point) {
	t.Helper()
	late := time.NewTimer(bound)
	defer late.Stop()
	select {
	case err := <-s.done:
		if err == nil && p == failpoint.LogHandoverBefore {
			t.Log("a clean stop: there was nothing left to commit")
			return
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Errorf("the process ended with %v, want it killed at %s:\n%s", err, p, s.out)
		}
	case <-late.C:
		s.kill()
		t.Errorf("the process did not come to %s within %s", p, bound)
	}
}
