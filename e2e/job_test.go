//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
)

// jobManifest is a job of a shell script, with its link.
func jobManifest(name, script, on, job, delivery string) string {
	quoted, _ := json.Marshal(strings.NewReplacer("{", "{{", "}", "}}").Replace(script))
	return fmt.Sprintf(`---
apiVersion: signalbox.dev/v1
kind: Function
metadata: {name: %s}
spec:
  job: {command: [sh, -c, %s]%s}
---
apiVersion: signalbox.dev/v1
kind: Link
metadata: {name: to-%s}
spec: {function: %s, types: [%s], delivery: {backoff: {initial: 10ms, max: 50ms}%s}}
`, name, quoted, job, name, name, on, delivery)
}

// jobReport is the data of an event about a run.
type jobReport struct {
	Function, Run, Reason string
	Attempt               int
	ExitCode              *int
	Event                 event.ReplyRef
}

// reports are those that a function got of a type, by the id of the event they are about.
func (r *recorder) reports(t testing.TB, kind string) map[string][]jobReport {
	t.Helper()
	out := map[string][]jobReport{}
	seen := map[string]bool{} // after a crash one may come twice
	for _, c := range r.all() {
		if c.header.Get("Ce-Type") != kind || seen[c.id()] {
			continue
		}
		seen[c.id()] = true
		var report jobReport
		if err := json.Unmarshal([]byte(c.body), &report); err != nil {
			t.Fatalf("%s: %v", c.body, err)
		}
		out[report.Event.ID] = append(out[report.Event.ID], report)
	}
	return out
}

func (s *server) emitJob(id, eventType, data string) {
	s.t.Helper()
	if err := s.Emit(s.t.Context(), &event.Event{ID: id, Source: "/e2e", Type: eventType, DataContentType: "application/json", Data: []byte(data)}); err != nil {
		s.t.Fatal(err)
	}
}

func TestJobsRunOnceChainAndTellHowTheyEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		made, told := newRecorder(t, nil), newRecorder(t, nil)
		s.apply(jobManifest("resize", `
case $(cat $SIGNALBOX_DATA) in
*fine*)     echo "{\"type\":\"com.test.made\",\"subject\":\"$CE_ID\",\"data\":{\"attempt\":$SIGNALBOX_ATTEMPT}}" >> $SIGNALBOX_REPLIES ;;
*bad*)      echo "no such picture" >&2; exit 3 ;;
*hopeless*) echo "not a picture" >&2; exit 65 ;;
*slow*)     sleep 60 & sleep 61 ;;
esac`, "com.test.picture", ", timeout: 3s", ", attempts: 2") +
			functionManifest("made", made.URL, "com.test.made") + functionManifest("told", told.URL, "signalbox.job.*"))
		const n = 20
		for i := range n {
			s.emitJob(fmt.Sprint("fine-", i), "com.test.picture", `{"is":"fine"}`)
		}
		for _, is := range []string{"bad", "hopeless", "slow"} {
			s.emitJob(is, "com.test.picture", `{"is":"`+is+`"}`)
		}
		made.awaitSubjects(t, n)
		s.awaitStates("resize", "map[open:3]")
		s.awaitDelivered("resize", n)
		letters, err := s.DeadLetters(t.Context(), client.Query{Function: "resize"})
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range letters {
			want := map[bool]string{strings.Contains(string(raw), `"bad"`): `exit code 3\nno such picture`, strings.Contains(string(raw), `"hopeless"`): `exit code 65 (permanent)\nnot a picture`, strings.Contains(string(raw), `"slow"`): "not done within 3s"}[true]
			if !strings.Contains(string(raw), want) {
				t.Errorf("want %q in the dead letter %s", want, raw)
			}
		}
		await(t, "the events about all runs", func() error {
			started, succeeded, failed := told.reports(t, "signalbox.job.started"), told.reports(t, "signalbox.job.succeeded"), told.reports(t, "signalbox.job.failed")
			if got := fmt.Sprint(len(started), len(succeeded), len(failed["bad"]), len(failed["hopeless"]), len(failed["slow"])); got != fmt.Sprint(n+3, n, 2, 1, 2) {
				return fmt.Errorf("%s", got)
			}
			return nil
		})
		if bad := told.reports(t, "signalbox.job.failed")["bad"][0]; *bad.ExitCode != 3 || bad.Reason != "exit code 3\nno such picture" || bad.Function != "resize" {
			t.Errorf("told %+v", bad)
		}
		for _, c := range told.all() {
			if c.header.Get("Ce-Causationid") == "" || c.header.Get("Ce-Signalboxhops") != "1" || c.header.Get("Ce-Source") != "/functions/resize" {
				t.Errorf("%v", c.header)
			}
		}
	})
}

func TestAJobThatListensToItselfComesToAnEnd(t *testing.T) {
	s := start(t, append(embeddedArgs(t), "--max-hops", "4")...)
	s.apply(jobManifest("loop", "true", "com.test.loop, signalbox.job.succeeded", "", ""))
	s.emitJob("1", "com.test.loop", "1")
	// The event is of hop 0; its job and those of the four events after it run, and the fifth is refused.
	await(t, "the end of the loop", func() error {
		letters, err := s.DeadLetters(t.Context(), client.Query{})
		if err == nil && (len(letters) == 0 || !strings.Contains(string(letters[0]), "hop")) {
			err = fmt.Errorf("%s", letters)
		}
		return err
	})
	s.awaitDelivered("loop", 5)
}

func TestAJobThatNoLinkStartsIsReportedToo(t *testing.T) {
	s := start(t, embeddedArgs(t)...)
	made := newRecorder(t, nil)
	s.apply(jobManifest("byhand", `echo "{\"type\":\"com.test.made\",\"subject\":\"$CE_TYPE\"}" > $SIGNALBOX_REPLIES`, "com.test.never", "", "") + functionManifest("made", made.URL, "com.test.made"))
	if err := s.Emit(t.Context(), &event.Event{ID: "1", Source: "/e2e", Type: event.TypeManual, Subject: "byhand"}); err != nil {
		t.Fatal(err)
	}
	made.awaitSubjects(t, 1)
	s.awaitDelivered("byhand", 1)
}

func TestACallOfAJobWaitsForItsEnd(t *testing.T) {
	s := start(t, embeddedArgs(t)...)
	s.apply(jobManifest("greet", `echo "{\"type\":\"com.test.greeting\",\"id\":\"1\",\"source\":\"/greet\",\"data\":$(cat $SIGNALBOX_DATA)}" > $SIGNALBOX_REPLIES; [ "$CE_TYPE" = signalbox.invoke ]`, "com.test.never", "", ""))
	await(t, "the answer", func() error {
		status, body := s.post("/function/greet", map[string]string{"Content-Type": "application/json"}, `{"name":"ada"}`)
		if status != http.StatusOK || !strings.Contains(body, `"data":{"name":"ada"}`) {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
}

// gatedJob is a script that notes that it began and goes on once a file is there.
func gatedJob(t *testing.T) (script string, begun func() int, open func()) {
	dir := t.TempDir()
	log, gate := filepath.Join(dir, "begun"), filepath.Join(dir, "open")
	return fmt.Sprintf(`echo $CE_ID >> %s; while [ ! -e %s ]; do sleep 0.05; done; echo "{\"type\":\"com.test.made\",\"subject\":\"$CE_ID\"}" > $SIGNALBOX_REPLIES`, log, gate),
		func() int {
			b, _ := os.ReadFile(log) // not there yet: nothing has begun
			return strings.Count(string(b), "\n")
		}, func() {
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Error(err)
			}
		}
}

func TestAJobIsRunAgainWhenSignalboxWasKilledOrStopped(t *testing.T) {
	for _, how := range []string{"killed", "stopped"} {
		t.Run(how, func(t *testing.T) {
			everywhere(t, func(t *testing.T, s *server) {
				script, begun, open := gatedJob(t)
				made, told := newRecorder(t, nil), newRecorder(t, nil)
				attempts := map[string]string{"killed": ", attempts: 2", "stopped": ", attempts: 1"}[how] // a stop spends none
				s.apply(jobManifest("long", script, "com.test.long", "", attempts) +
					functionManifest("made", made.URL, "com.test.made") + functionManifest("told", told.URL, "signalbox.job.*"))
				const n = 3
				for i := range n {
					s.emitJob(fmt.Sprint(i), "com.test.long", "{}")
				}
				begins := func(want int) {
					await(t, fmt.Sprint(want, " begun"), func() error {
						if got := begun(); got != want {
							return fmt.Errorf("%d", got)
						}
						return nil
					})
				}
				begins(n)
				s.awaitWaiting("long", n)
				if how == "killed" {
					s.kill()
				} else {
					s.stop()
				}
				s.launch()
				s.awaitReady()
				begins(2 * n)
				open()
				made.awaitSubjects(t, n)
				s.awaitStates("long", "map[]")
				await(t, "the events about the runs", func() error {
					started, succeeded, failed := told.reports(t, "signalbox.job.started"), told.reports(t, "signalbox.job.succeeded"), told.reports(t, "signalbox.job.failed")
					if len(started) != n || len(succeeded) != n || (len(failed) == n) != (how == "killed") {
						return fmt.Errorf("%d started, %d succeeded, %d failed", len(started), len(succeeded), len(failed))
					}
					return nil
				})
				if how == "killed" {
					for id, reports := range told.reports(t, "signalbox.job.failed") {
						if !strings.HasPrefix(reports[0].Reason, "Signalbox was killed") {
							t.Errorf("%s: %+v", id, reports)
						}
					}
				}
			})
		})
	}
}

func TestTheJobOfTheExample(t *testing.T) {
	dir := filepath.Join(repoRoot(t), "functions", "examples", "job")
	s := start(t, "dev", dir, "--data", t.TempDir(), "--kafka-listen", freeAddr(t), "--redis-listen", freeAddr(t))
	s.emitJob("1", "com.example.statement.wanted", `{"customer":"ada","amounts":[2.5,4]}`)
	s.emitJob("2", "com.example.statement.wanted", `{"customer":"bob"}`)
	await(t, "the statement", func() error { return s.printed("statement of ada: 6.50 CHF") })
	await(t, "the failure", func() error { return s.printed("failed: exit code 65 (permanent)") })
	s.awaitStates("statement", "map[open:1]")
}
