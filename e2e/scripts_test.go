//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// scriptsManifest is a function of scripts in dir, with its link.
func scriptsManifest(name, dir, runtime, files, on, more string) string {
	return fmt.Sprintf(`---
apiVersion: signalbox.dev/v1
kind: Function
metadata: {name: %s}
spec:
  scripts: {runtime: %s, files: [%s]%s}
  dir: %q
  config: {width: 200}
---
apiVersion: signalbox.dev/v1
kind: Link
metadata: {name: to-%s}
spec: {function: %s, types: [%s], delivery: {backoff: {initial: 10ms, max: 50ms}, timeout: 20s}}
`, name, runtime, files, more, dir, name, name, on)
}

func writeFiles(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The classic program: it must run unchanged.
const classic = `from fx_ef import context

name = context.params.get('param_name')
context.events.send("com.test.my_event_type", {"hello": name})
`

func TestScriptsRunChainAndSurvive(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		dir := writeFiles(t, map[string]string{
			"classic.py": classic,
			"twice.cjs":  "const { context } = require('signalbox')\nawait context.events.send('com.test.seen', { name: context.params.get('hello'), by: context.event.get('causationid') })\n",
		})
		sink := newRecorder(t, nil)
		s.apply(scriptsManifest("classic", dir, "python", "classic.py", "com.test.start", "") +
			scriptsManifest("twice", dir, "node", "twice.cjs", "com.test.my_event_type", "") + functionManifest("sink", sink.URL, "com.test.seen"))
		const n = 50
		for i := range n {
			if err := s.Emit(t.Context(), &event.Event{ID: fmt.Sprint(i), Source: "/e2e", Type: "com.test.start", DataContentType: "application/json", Data: fmt.Appendf(nil, `{"param_name":"n%d"}`, i)}); err != nil {
				t.Fatal(err)
			}
		}
		names := map[string]bool{}
		for _, c := range sink.awaitCalls(t, n) {
			var got struct{ Name, By string }
			if err := json.Unmarshal([]byte(c.body), &got); err != nil || got.By == "" {
				t.Errorf("%s: %v", c.body, err)
			}
			names[got.Name] = true
			if c.header.Get("Ce-Signalboxhops") != "2" || c.header.Get("Ce-Source") != "/functions/twice" {
				t.Errorf("%v", c.header)
			}
		}
		if len(names) != n {
			t.Errorf("%d chains came through, want %d", len(names), n)
		}
		steps := 0
		if err := s.FollowChain(t.Context(), "/e2e", "7", func(client.Step) { steps++ }); err != nil || steps != 3 {
			t.Errorf("the chain of one event has %d steps, want 3: %v", steps, err)
		}
	})
}

func TestACrashOfAScriptHurtsOnlyItsDelivery(t *testing.T) {
	s := start(t, embeddedArgs(t)...)
	dir := writeFiles(t, map[string]string{"work.py": `
import os, time
from signalbox import Permanent, context
how = context.params.get("how")
if how == "dies" and context.attempt < 3: os._exit(1)
if how == "hangs" and context.attempt < 2: time.sleep(60)
if how == "hopeless": raise Permanent("no use")
context.events.send("com.test.done", {"how": how, "attempt": context.attempt})
`})
	sink := newRecorder(t, nil)
	s.apply(strings.Replace(scriptsManifest("work", dir, "python", "work.py", "com.test.work", ", workers: 3"), "timeout: 20s", "timeout: 8s", 1) + // a worker may take seconds to start
		functionManifest("sink", sink.URL, "com.test.done"))
	for i, how := range []string{"dies", "hangs", "hopeless", "fine", "fine", "fine"} {
		if err := s.Emit(t.Context(), &event.Event{ID: fmt.Sprint(i), Source: "/e2e", Type: "com.test.work", DataContentType: "application/json", Data: fmt.Appendf(nil, `{"how":%q}`, how)}); err != nil {
			t.Fatal(err)
		}
	}
	attempts := map[string]int{}
	for _, c := range sink.awaitCalls(t, 5) {
		var got struct {
			How     string
			Attempt int
		}
		if err := json.Unmarshal([]byte(c.body), &got); err != nil {
			t.Fatal(err)
		}
		attempts[got.How] += got.Attempt
	}
	if attempts["dies"] != 3 || attempts["hangs"] != 2 || attempts["fine"] != 3 {
		t.Errorf("attempts %v: want 3 where the worker died twice, 2 where it hung once, 1 each else", attempts)
	}
	s.awaitStates("work", "map[open:1]")
}

func TestAnEditedScriptRunsWithinASecond(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"f.yaml":  strings.ReplaceAll(scriptsManifest("edit", "", "python", "edit.py", "com.test.edit", ""), "  dir: \"\"\n", ""),
		"edit.py": "print('first')\n",
	})
	args := []string{"dev", dir, "--data", t.TempDir(), "--kafka-listen", freeAddr(t), "--redis-listen", freeAddr(t)}
	s := start(t, args...)
	emit := func(id string) {
		if err := s.Emit(t.Context(), &event.Event{ID: id, Source: "/e2e", Type: "com.test.edit"}); err != nil {
			t.Fatal(err)
		}
	}
	emit("1")
	await(t, "the first run", func() error { return s.printed("first") })
	if err := os.WriteFile(filepath.Join(dir, "edit.py"), []byte("print('second')\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	edited, i := time.Now(), 0
	await(t, "the changed script to run", func() error { i++; emit(fmt.Sprint("again", i)); return s.printed("second") })
	t.Logf("from saving to the new output: %s", time.Since(edited))
}

func TestAnEditedProgramTakesOver(t *testing.T) {
	const program = `import http.server, os
class H(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print("%s", flush=True)
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
`
	dir := writeFiles(t, map[string]string{
		"f.yaml":   "apiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: edit}\nspec: {command: [python3, serve.py], on: [com.test.edited]}\n",
		"serve.py": fmt.Sprintf(program, "as it was"),
	})
	s := start(t, "dev", dir, "--data", t.TempDir(), "--kafka-listen", freeAddr(t), "--redis-listen", freeAddr(t))
	i := 0
	emitUntil := func(line string) func() error {
		return func() error {
			i++
			if err := s.Emit(t.Context(), &event.Event{ID: fmt.Sprint(i), Source: "/e2e", Type: "com.test.edited"}); err != nil {
				t.Fatal(err)
			}
			return s.printed(line)
		}
	}
	await(t, "the first program", emitUntil("as it was"))
	save := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "serve.py"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save("this is no Python\n")
	await(t, "what is said of one that does not run", emitUntil("function edit does not run with it, so the one before goes on"))
	edited := time.Now()
	save(fmt.Sprintf(program, "as it is"))
	await(t, "the program as it is now", emitUntil("as it is\n"))
	t.Logf("from saving to the new output: %s", time.Since(edited))
}

// printed looks for a function's line in the terminal.
func (s *server) printed(text string) error {
	if !strings.Contains(s.out.String(), text) {
		return fmt.Errorf("%q is not in:\n%s", text, s.out)
	}
	return nil
}

func TestScriptsOfTheExample(t *testing.T) {
	dir := filepath.Join(repoRoot(t), "functions", "examples", "report")
	s := start(t, "dev", dir, "--data", t.TempDir(), "--kafka-listen", freeAddr(t), "--redis-listen", freeAddr(t))
	if err := s.Emit(t.Context(), &event.Event{ID: "1", Source: "/e2e", Type: "com.example.order.placed", Subject: "o-1", DataContentType: "application/json", Data: []byte(`{"items":[{"price":2.5,"count":2}]}`)}); err != nil {
		t.Fatal(err)
	}
	await(t, "the summary", func() error { return s.printed("summary of o-1: 5.00 CHF") })
	k, err := resource.LookupKind("functions")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), k, "report"); err != nil {
		t.Error(err)
	}
}
