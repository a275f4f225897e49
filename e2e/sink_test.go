//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/e2e/parts"
)

// sinkProcess is a running `signalbox sink opensearch`.
type sinkProcess struct {
	cmd *exec.Cmd
	out *output
}

func startSink(t *testing.T, args ...string) *sinkProcess {
	t.Helper()
	p := &sinkProcess{cmd: exec.Command(binary(t), append([]string{"sink", "opensearch"}, args...)...), out: &output{}}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	return p
}

// opensearch asks the index and decodes its answer.
func opensearch(method, url, body string, out any) error {
	r, err := http.NewRequest(method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode > 299 {
		err = fmt.Errorf("%s %s: %d %s", method, url, resp.StatusCode, b)
	}
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(b, out)
}

// hits are the sources of documents that a query finds.
func hits(url, index, query string) (total int, sources []map[string]any, err error) {
	var answer struct {
		Hits struct {
			Total struct{ Value int }
			Hits  []struct {
				Source map[string]any `json:"_source"`
			}
		}
	}
	err = opensearch(http.MethodPost, url+"/"+index+"/_refresh", "", nil)
	if err == nil {
		err = opensearch(http.MethodPost, url+"/"+index+"/_search?track_total_hits=true", query, &answer)
	}
	for _, h := range answer.Hits.Hits {
		sources = append(sources, h.Source)
	}
	return answer.Hits.Total.Value, sources, err
}

// Everything gets to a real index, though that is away at first and again later,
// and though the sink is killed.
func TestRunsLinesAndEventsReachOpenSearch(t *testing.T) {
	env := parts.Up(t, "opensearch", "kafka")
	s := start(t, realArgs(t)...)
	dir := writeFiles(t, map[string]string{"work.py": "from signalbox import context\nprint('the quick brown fox of', context.event.id)\n"})
	s.apply(scriptsManifest("work", dir, "python", "work.py", "com.test.work", ""))
	prefix := unique(t) + "-"
	way := startProxy(t, freeAddr(t), strings.TrimPrefix(env.OpenSearch(), "http://"))
	mend := way.cut()
	args := []string{
		"--index-url", "http://" + way.p.Listen, "--kafka", strings.Join(env.KafkaBrokers(), ","), "--topic-prefix", flagValue(s.args, "--topic-prefix"),
		"--group", prefix + "sink", "--index-prefix", prefix, "--topics", "runs,logs,events", "--batch", "20",
	}
	sink := startSink(t, args...)
	const n = 100
	s.emitMany("com.test.work", n)
	s.awaitLines(client.Query{Function: "work"}, n)
	await(t, "the sink to find the index away", func() error {
		if !strings.Contains(sink.out.String(), "again_in") {
			return fmt.Errorf("%s", sink.out)
		}
		return nil
	})
	mend()
	await(t, "all documents", func() error {
		return holdsTotal(env.OpenSearch(), prefix, map[string]int{"events": n, "runs": n, "logs": n})
	})
	total, lines, err := hits(env.OpenSearch(), prefix+"logs-*", `{"query":{"bool":{"must":[{"match":{"line":"fox 42"}},{"term":{"function":"work"}},{"match_phrase":{"line":"of 42"}}]}}}`)
	if err != nil || total != 1 || lines[0]["run"] == nil {
		t.Fatalf("%d lines %v: %v", total, lines, err)
	}
	if total, runs, err := hits(env.OpenSearch(), prefix+"runs-*", fmt.Sprintf(`{"query":{"term":{"id":%q}}}`, lines[0]["run"])); err != nil || total != 1 || runs[0]["eventId"] != "42" {
		t.Errorf("the run of that line: %d %v: %v", total, runs, err)
	}

	_ = sink.cmd.Process.Kill() // what it had not committed is written again: as the same documents
	_ = sink.cmd.Wait()
	mend = way.cut()
	s.emitMany("com.test.work", n) // duplicates: one record each, and a run that says so
	sink = startSink(t, args...)
	mend()
	await(t, "the copies", func() error {
		if total, _, err := hits(env.OpenSearch(), prefix+"events-*", `{"query":{"match_all":{}}}`); err != nil || total != 2*n {
			return fmt.Errorf("%d events, want %d: %v\n%s", total, 2*n, err, sink.out)
		}
		return nil
	})
	startSink(t, append(args, "--group", prefix+"another")...) // it reads all of it from the start, once more
	await(t, "everything, once", func() error {
		return holdsTotal(env.OpenSearch(), prefix, map[string]int{"events": 2 * n, "runs": 2 * n, "logs": n})
	})
	if err := sink.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := sink.cmd.Wait(); err != nil || !strings.Contains(sink.out.String(), " 0 lost") {
		t.Errorf("%v\n%s", err, sink.out)
	}
}

// holdsTotal counts the documents; of runs, those that were the end of their
// deliveries, since a busy machine may need more than one for some.
func holdsTotal(url, prefix string, want map[string]int) error {
	for topic, n := range want {
		query := `{"query":{"match_all":{}}}`
		if topic == "runs" {
			query = `{"query":{"bool":{"must_not":[{"terms":{"outcome":["retrying","waiting"]}}]}}}`
		}
		if total, _, err := hits(url, prefix+topic+"-*", query); err != nil || total != n {
			return fmt.Errorf("%s: %d documents, want %d: %v", topic, total, n, err)
		}
	}
	return nil
}
