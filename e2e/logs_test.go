//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/history"
)

// pythonProgram is the manifest of a function that is a program in Python, with its link.
func pythonProgram(name, dir, file, on string) string {
	return fmt.Sprintf(`---
apiVersion: signalbox.dev/v1
kind: Function
metadata: {name: %s}
spec: {command: [python3, -u, %s], dir: %q, on: [%s]}
`, name, file, dir, on)
}

// talkative answers events, and says so in JSON with the run of the call: each
// line in one write, since its threads answer at the same time.
const talkative = `
import http.server, json, os, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        os.write(1, (json.dumps({"level": "warn", "message": "got " + self.headers["ce-id"], "signalbox_run": self.headers["Signalbox-Run"], "traceparent": self.headers["traceparent"]}) + "\n").encode())
        self.send_response(204); self.end_headers()
    def log_message(self, *a): pass
print("talkative starts")
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
`

// emitMany sends events 0 to n-1 of a type.
func (s *server) emitMany(typ string, n int) {
	s.t.Helper()
	for i := range n {
		if err := s.Emit(s.t.Context(), &event.Event{ID: fmt.Sprint(i), Source: "/e2e", Type: typ}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// awaitLines waits until a function has n lines, and returns them.
func (s *server) awaitLines(q client.Query, n int) []client.Line {
	s.t.Helper()
	var lines []client.Line
	await(s.t, fmt.Sprintf("%d lines of %s", n, q.Function), func() (err error) {
		q.Limit = 1000
		if lines, err = s.Lines(s.t.Context(), q); err == nil && len(lines) < n {
			err = fmt.Errorf("%d lines: %+v", len(lines), lines)
		}
		return err
	})
	return lines
}

func TestEveryLineIsKeptWithTheRunThatPrintedIt(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		dir := writeFiles(t, map[string]string{
			// The first run of a worker waits for that of the other one, which takes its time to start.
			"work.py": fmt.Sprintf("import os, time\nfrom signalbox import context\nopen(f'%[1]s/{os.getpid()}', 'a').close()\nwhile len(os.listdir('%[1]s')) < 2: time.sleep(.02)\n", t.TempDir()) +
				"print('a', context.event.id)\ntime.sleep(.02)\ncontext.log.info('b ' + context.event.id)\nprint('c', context.event.id, end='')\n",
			"talk.py": talkative,
		})
		s.apply(scriptsManifest("work", dir, "python", "work.py", "com.test.work", ", workers: 2") + pythonProgram("talk", dir, "talk.py", "com.test.work"))
		const n = 40
		s.emitMany("com.test.work", n)
		lines := s.awaitLines(client.Query{Function: "work"}, 3*n)
		talked := s.awaitLines(client.Query{Function: "talk"}, n+1)
		runs := map[string]event.Run{}
		await(t, "the runs of all lines", func() error {
			all, err := s.Runs(t.Context(), client.Query{Limit: 1000})
			for _, r := range all {
				runs[r.ID] = r
			}
			for _, l := range slices.Concat(lines, talked[1:]) {
				if runs[l.Run].ID == "" {
					return fmt.Errorf("no run for %+v (%v)", l, err)
				}
			}
			return err
		})
		instances := map[string]bool{}
		for _, l := range lines {
			id := l.Line[strings.LastIndexByte(l.Line, ' ')+1:]
			if r := runs[l.Run]; r.EventID != id || r.Function != "work" || l.TraceID != r.TraceID || l.TraceID == "" {
				t.Errorf("line %+v of run %+v", l, r)
			}
			instances[l.Instance] = true
		}
		if len(lines) != 3*n || len(instances) != 2 {
			t.Errorf("%d lines of %d workers", len(lines), len(instances))
		}
		for _, l := range talked[1:] {
			var said struct{ Message string }
			if err := json.Unmarshal([]byte(l.Line), &said); err != nil || "got "+runs[l.Run].EventID != said.Message || l.Level != "warning" || runs[l.Run].Function != "talk" || l.TraceID != runs[l.Run].TraceID {
				t.Errorf("line %+v of run %+v", l, runs[l.Run])
			}
		}
		if first := talked[0]; first.Run != "" || first.Line != "talkative starts" {
			t.Errorf("%+v", first)
		}
		of := talked[1]
		if one := s.awaitLines(client.Query{Run: of.Run}, 1); len(one) != 1 || one[0].Position != of.Position {
			t.Errorf("of one run: %+v", one)
		}
	})
}

func TestLogsAreFollowedOverTheCommandLine(t *testing.T) {
	s := start(t, realArgs(t)...)
	dir := writeFiles(t, map[string]string{"work.py": "from signalbox import context\nprint('did', context.event.id)\n"})
	s.apply(scriptsManifest("work", dir, "python", "work.py", "com.test.work", ""))
	s.emitMany("com.test.work", 1)
	s.awaitLines(client.Query{Function: "work"}, 1)
	out := &output{}
	cmd := exec.CommandContext(t.Context(), binary(t), "logs", "work", "-f", "--server", "http://"+s.addr)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	holds := func(text string) func() error {
		return func() error {
			if !strings.Contains(out.String(), text) {
				return fmt.Errorf("it printed\n%s", out)
			}
			return nil
		}
	}
	await(t, "the line before", holds("did 0"))
	if err := s.Emit(t.Context(), &event.Event{ID: "later", Source: "/e2e", Type: "com.test.work"}); err != nil {
		t.Fatal(err)
	}
	await(t, "the line that comes", holds("did later"))
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || strings.Count(out.String(), "did 0") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
}

// A chain of three steps, the second of which fails once, by each of its ids.
func TestAChainIsTracedFromTheLog(t *testing.T) {
	s := start(t, append(realArgs(t), "--trace-url", "http://jaeger.example/trace/{trace}")...)
	dir := writeFiles(t, map[string]string{
		"first.py":  "from signalbox import context\ncontext.events.send('com.test.second', {})\n",
		"second.py": "from signalbox import context\nprint('attempt', context.attempt)\nassert context.attempt > 1\ncontext.events.send('com.test.third', {})\n",
		"third.py":  "print('the end')\n",
	})
	s.apply(scriptsManifest("first", dir, "python", "first.py", "com.test.first", "") + scriptsManifest("second", dir, "python", "second.py", "com.test.second", "") +
		scriptsManifest("third", dir, "python", "third.py", "com.test.third", ""))
	s.emitMany("com.test.first", 1)
	s.awaitLines(client.Query{Function: "third"}, 1)
	var last event.Run
	await(t, "the run of the last step", func() error { // its line may come before its record
		runs, err := s.Runs(t.Context(), client.Query{Function: "third"})
		if err != nil || len(runs) != 1 {
			return fmt.Errorf("%+v, %w", runs, err)
		}
		last = runs[0]
		return nil
	})
	const want = "com.test.first{first delivered 1 [] com.test.second{second retrying 1 [attempt 1] second delivered 2 [attempt 2] com.test.third{third delivered 1 [the end] }}}"
	for asked, id := range map[string]string{"event": "0", "run": last.ID, "trace": last.TraceID} {
		var tr client.Trace
		await(t, "the whole chain by "+asked, func() (err error) {
			if tr, err = s.Trace(t.Context(), "", id, true); err == nil && (shape(tr.Roots) != want || tr.Cut != "") {
				err = fmt.Errorf("%s\nwant %s; cut %q", shape(tr.Roots), want, tr.Cut)
			}
			return err
		})
		if tr.Asked != asked {
			t.Errorf("by %s: %s", asked, tr.Asked)
		}
		if want := []history.TraceRef{{ID: last.TraceID, URL: "http://jaeger.example/trace/" + last.TraceID}}; !slices.Equal(tr.Traces, want) {
			t.Errorf("traces %v, want %v", tr.Traces, want)
		}
	}
	if _, err := s.Trace(t.Context(), "", "nothing", false); !client.IsNotFound(err) {
		t.Errorf("%v", err)
	}
}

// shape is what matters of a chain; of lines those on standard output.
func shape(events []*history.TraceEvent) string {
	var b strings.Builder
	for _, e := range events {
		b.WriteString(e.Type + "{")
		for _, r := range e.Runs {
			lines := []string{}
			for _, l := range r.Lines {
				if l.Stream == event.StreamStdout {
					lines = append(lines, l.Line)
				}
			}
			fmt.Fprintf(&b, "%s %s %d %v %s", r.Function, r.Outcome, r.Attempt, lines, shape(r.Effects))
		}
		b.WriteString("}")
	}
	return b.String()
}

// A program that prints as fast as it can is cut to its rate, counted, and
// harms no other function.
func TestAFunctionThatFloodsHarmsNobody(t *testing.T) {
	s := start(t, append(realArgs(t), "--function-log-rate", "100")...)
	dir := writeFiles(t, map[string]string{"talk.py": talkative, "flood.py": `
import os, threading
threading.Thread(target=lambda: exec(open("talk.py").read(), {"__name__": "x"}), daemon=True).start()
line = b"x" * 200 + b"\n"
while True: os.write(1, line * 50)
`})
	sink, started := newRecorder(t, nil), time.Now()
	s.apply(pythonProgram("flood", dir, "flood.py", "com.test.none") + pythonProgram("calm", dir, "talk.py", "com.test.calm") + functionManifest("sink", sink.URL, "com.test.calm"))
	await(t, "a flood", func() error {
		return s.metricAtLeast(`signalbox_function_lines_dropped_total{function="flood",reason="rate"}`, 10_000)
	})
	began := time.Now()
	const n = 50
	s.emitMany("com.test.calm", n)
	sink.awaitCalls(t, n)
	if lines := s.awaitLines(client.Query{Function: "calm"}, n+1); len(lines) != n+1 {
		t.Errorf("%d lines of the function beside, want %d", len(lines), n+1)
	}
	t.Logf("%d deliveries beside a flood, with their lines read back: %s", n, time.Since(began))
	var kept []client.Line
	await(t, "a line that says what was dropped before it", func() (err error) {
		kept, err = s.Lines(t.Context(), client.Query{Function: "flood", Since: time.Now().Add(-time.Hour), Limit: 100_000})
		if err == nil && !slices.ContainsFunc(kept, func(l client.Line) bool {
			return strings.Contains(l.Line, "lines were dropped here, more than 100 a second")
		}) {
			err = fmt.Errorf("not among %d", len(kept))
		}
		return err
	})
	if most := 100*5 + 100*int(time.Since(started).Seconds()+1); len(kept) < 100 || len(kept) > most {
		t.Errorf("%d lines of the flood are kept, of at most %d", len(kept), most)
	}
}
