//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/e2e/parts"
)

// jobEngine is a container engine with the image of testdata/job.
type jobEngine struct {
	t     *testing.T
	env   parts.Env
	host  string
	image string
}

func startJobEngine(t *testing.T) *jobEngine {
	t.Helper()
	e := &jobEngine{t: t, env: parts.Up(t, "podman")}
	dir, err := os.MkdirTemp("", "signalbox-job-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	e.host = "unix://" + filepath.Join(dir, "s")
	service := exec.Command("podman", "system", "service", "--time=0", e.host)
	service.Dir = dir // where it notes what ran out of memory
	service.Env = append(os.Environ(), e.env.PodmanEnviron()...)
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = service.Process.Signal(syscall.SIGTERM)
		_ = service.Wait()
	})
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", filepath.Join(dir, "job"), "./e2e/testdata/job")
	build.Dir, build.Env = repoRoot(t), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY job /job\nUSER 65532\nENTRYPOINT [\"/job\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.image = "localhost/signalbox-job:" + unique(t)
	podman(t, e.env, "build", "--isolation", "chroot", "-t", e.image, dir)
	t.Cleanup(func() { podman(t, e.env, "rmi", "--force", e.image) })
	await(t, "the engine", func() error {
		_, err := os.Stat(strings.TrimPrefix(e.host, "unix://"))
		return err
	})
	return e
}

// containers are the ids of those of jobs of the test's image.
func (e *jobEngine) containers() []string {
	return strings.Fields(podman(e.t, e.env, "ps", "--all", "--quiet", "--filter", "ancestor="+e.image))
}

// left reports containers that are still there.
func (e *jobEngine) left() error {
	if left := e.containers(); len(left) != 0 {
		return fmt.Errorf("left %v", left)
	}
	return nil
}

func (e *jobEngine) manifest(on, job, container string) string {
	return fmt.Sprintf(`---
apiVersion: signalbox.dev/v1
kind: Function
metadata: {name: boxed}
spec:
  job: {image: %q, args: ["{id}", "{data.do}"]%s}
  container: {pull: never, memoryMB: 32%s}
---
apiVersion: signalbox.dev/v1
kind: Link
metadata: {name: to-boxed}
spec: {function: boxed, types: [%s], delivery: {attempts: 2, backoff: {initial: 10ms, max: 50ms}}}
`, e.image, job, container, on)
}

func TestJobsByContainers(t *testing.T) {
	e := startJobEngine(t)
	s := start(t, append(embeddedArgs(t), "--docker-host", e.host)...)
	made, told := newRecorder(t, nil), newRecorder(t, nil)
	s.apply(e.manifest("com.test.boxed", ", timeout: 30s", "") + functionManifest("made", made.URL, "com.test.made") + functionManifest("told", told.URL, "signalbox.job.*"))
	for _, do := range []string{"fine", "fail", "greedy"} {
		s.emitJob(do, "com.test.boxed", `{"do":"`+do+`"}`)
	}
	c := made.awaitCalls(t, 1)[0]
	if c.header.Get("Ce-Subject") != "fine" || c.body != `{"args":["fine","fine"],"uid":65532}` {
		t.Errorf("made %v %s", c.header, c.body)
	}
	s.awaitStates("boxed", "map[open:2]")
	letters, err := s.DeadLetters(t.Context(), client.Query{Function: "boxed"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`exit code 3\nno such picture`, "limit 32 MB"} {
		if !strings.Contains(fmt.Sprintf("%s", letters), want) {
			t.Errorf("no %q in %s", want, letters)
		}
	}
	await(t, "the events about the failures", func() error {
		if got := told.reports(t, "signalbox.job.failed"); len(got["fail"]) != 2 || len(got["greedy"]) != 2 || len(got) != 2 {
			return fmt.Errorf("told of failures %+v", got)
		}
		return nil
	})
	await(t, "the containers to be removed", e.left)
}

func TestAJobsContainerOutlivesSignalboxAndItsRunIsTheOnlyOne(t *testing.T) {
	e := startJobEngine(t)
	for _, how := range []string{"killed", "stopped", "ended meanwhile"} {
		t.Run(how, func(t *testing.T) {
			s := start(t, append(embeddedArgs(t), "--docker-host", e.host)...)
			made, told := newRecorder(t, nil), newRecorder(t, nil)
			s.apply(e.manifest("com.test.boxed", "", "") + functionManifest("made", made.URL, "com.test.made") + functionManifest("told", told.URL, "signalbox.job.*"))
			s.emitJob("1", "com.test.boxed", `{"do":"wait"}`)
			s.awaitWaiting("boxed", 1)
			await(t, "the container", func() error {
				if got := e.containers(); len(got) != 1 {
					return fmt.Errorf("%v", got)
				}
				return nil
			})
			id := e.containers()[0]
			open := func() { podman(t, e.env, "exec", id, "/job", "open") }
			switch how {
			case "stopped":
				s.stop()
			default:
				s.kill()
			}
			if how == "ended meanwhile" {
				open()
				podman(t, e.env, "wait", id)
			}
			s.launch()
			s.awaitReady()
			if how != "ended meanwhile" {
				await(t, "the container to be followed again", func() error { return s.printed("a run is followed that an earlier process has started") })
				open()
			}
			made.awaitSubjects(t, 1)
			s.awaitDelivered("boxed", 1)
			await(t, "the events about the run", func() error {
				started, succeeded, failed := told.reports(t, "signalbox.job.started"), told.reports(t, "signalbox.job.succeeded"), told.reports(t, "signalbox.job.failed")
				if len(started["1"]) != 1 || len(succeeded["1"]) != 1 || len(failed) != 0 {
					return fmt.Errorf("%v started, %v succeeded, %v failed", started, succeeded, failed)
				}
				return nil
			})
			await(t, "the container to be removed", e.left)
			if got := len(made.subjects()["1"]); got != 1 {
				t.Errorf("%d events made", got)
			}
		})
	}
}
