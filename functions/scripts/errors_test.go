//go:build unix

package scripts

import (
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

func TestErrorsOfScriptsTellTheAuthorWhereAndWhat(t *testing.T) {
	for name, c := range map[string]struct {
		runtime, script string
		want            []string
	}{
		"Python, in the SDK": {
			"python", "from signalbox import context\ncontext.events.send('com.example.x', {'a': object()})\n",
			[]string{"s0.py", "line 2", "Object of type object is not JSON serializable"},
		},
		"Python, a number that JSON has not": {
			"python", "from signalbox import context\ncontext.events.send('com.example.x', {'a': float('nan')})\n", []string{"not JSON compliant"},
		},
		"Python, a name that is not there":  {"python", "from signalbox import context\ncontext.parms\n", []string{"line 2", "no attribute 'parms'"}},
		"Python, raised on purpose":         {"python", "from signalbox import Permanent\nraise Permanent('never')\n", []string{"\nsignalbox.Permanent: never"}},
		"Python, out of memory":             {"python", "x = bytearray(1 << 30)\n", []string{"MemoryError: a worker may have 256 MB, see spec.scripts.memoryMB"}},
		"Node, in the SDK":                  {"node", "const { context } = require('signalbox')\nawait context.events.send('com.example.x', 1n)\n", []string{"s0.cjs:2", "BigInt"}},
		"Node, a value of state that is no": {"node", "const { context } = require('signalbox')\nawait context.state.set('a', undefined)\n", []string{"state.set: undefined is no JSON value"}},
		"Node, import in a script":          {"node", "import { context } from 'signalbox'\n", []string{"s0.cjs:1", "what uses import is named .mjs"}},
		"Node, on the first line":           {"node", "null.x\n", []string{"s0.cjs:1:6"}},
		"Node, out of memory":               {"node", "const a = []\nfor (;;) a.push(new Array(1e6).fill(1))\n", []string{"JavaScript heap out of memory: a worker may have 256 MB, see spec.scripts.memoryMB"}},
		"Node, exit too early":              {"node", "const { context } = require('signalbox')\ncontext.events.send('x', 1)\nprocess.exit(0)\n", []string{"await events.send"}},
		"Node, a syntax error":              {"node", "const a = 1\nconst b = (\n", []string{"s0.cjs:", "SyntaxError"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			got := r.run(r.function(c.runtime, nil, c.script), "1", "{}")
			if got.status != 500 && got.status != 422 {
				t.Errorf("%d", got.status)
			}
			for _, want := range c.want {
				if !strings.Contains("\n"+got.body, want) {
					t.Errorf("%s\nwant %q", got.body, want)
				}
			}
			if lines := strings.Split(got.body, "\n"); slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "/sdk-") || strings.Contains(l, "node:") }) {
				t.Errorf("what is Signalbox's own is no help:\n%s", got.body)
			}
		})
	}
}

func TestWhatFailsInTheSDKDoesNotDisturbWhatComesNext(t *testing.T) {
	r := newRig(t)
	got := r.run(r.function("node", nil, `const { context } = require("signalbox");
const circle = {}; circle.self = circle;
await context.events.send("com.example.x", circle).catch(() => {});
await context.state.set("k", "v");
console.log("state", await context.state.get("k"));
context.log.info("said", { where: { a: 1 } });
console.log("params", context.params, JSON.stringify(context.params), Object.keys(context).length);
console.log(context);
`), "1", `{"b":2}`)
	if got.status != 204 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	r.awaitLine("state v")
	r.awaitLine(`said where={"a":1}`)
	r.awaitLine(`params { b: 2 } {"b":2}`)
	r.awaitLine("type: 't'")
}

func TestThreadsOfAScriptMaySendAtTheSameTime(t *testing.T) {
	r := newRig(t)
	got := r.run(r.function("python", nil, `from concurrent.futures import ThreadPoolExecutor
from signalbox import context
def work(i):
    context.log.info("working", i=i)
    context.state.set(f"k{i}", "x" * 5000)
    return context.events.send("com.example.x", {"i": i}), context.state.get(f"k{i}")
with ThreadPoolExecutor(8) as pool:
    done = list(pool.map(work, range(100)))
assert len({i for i, _ in done}) == 100, done
assert all(v == "x" * 5000 for _, v in done)
print(repr(context), repr(context.params), "done")
`), "1", `{"a":1}`)
	if got.status != 204 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	r.awaitLine("Context(function='f', event=Event(type='t', source='/s', id='1'), attempt=2) Params({'a': 1}) done")
}

func TestAWorkerThatEndsTellsNothingOfOtherRuns(t *testing.T) {
	r := newRig(t)
	fn := r.function("python", func(s *resource.Scripts) { s.Workers = 1 }, `import os
from signalbox import context
if context.params["fail"]:
    raise RuntimeError("the secret of another event")
os.write(2, b"this one\n")
os._exit(7)
`)
	if got := r.run(fn, "1", `{"fail":true}`); got.status != 500 || !strings.Contains(got.body, "another event") {
		t.Fatalf("%d %s", got.status, got.body)
	}
	got := r.run(fn, "2", `{"fail":false}`)
	if got.status != 500 || !strings.Contains(got.body, "exit status 7: this one") || strings.Contains(got.body, "another event") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestWhateverAScriptRaisesOrLeavesTheNextRunIsMadeByTheSameWorker(t *testing.T) {
	for name, c := range map[string]struct{ runtime, script string }{
		"Python, cancelled":      {"python", "import asyncio, os\nprint('pid', os.getpid())\nraise asyncio.CancelledError('gone')\n"},
		"Python, generator exit": {"python", "import os\nprint('pid', os.getpid())\nraise GeneratorExit('gone')\n"},
		"Python, elsewhere":      {"python", "import os, sys\nprint('pid', os.getpid())\nopen('s0.py').close()\nos.chdir('/')\nsys.path.clear()\nraise OSError('gone')\n"},
		"Node, elsewhere":        {"node", "console.log('pid', process.pid)\nrequire('fs').readFileSync('s0.cjs')\nprocess.chdir('/')\nthrow new Error('gone')\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			fn := r.function(c.runtime, func(s *resource.Scripts) { s.Workers = 1 }, c.script)
			pids := map[string]bool{}
			for _, id := range []string{"1", "2"} {
				if got := r.run(fn, id, "{}"); got.status != 500 || !strings.Contains(got.body, "gone") || strings.Contains(got.body, "/sdk-") {
					t.Errorf("%d %s", got.status, got.body)
				}
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, l := range r.lines {
				if strings.Contains(l, "pid") {
					pids[l] = true
				}
			}
			if len(pids) != 1 {
				t.Errorf("%v of %q", pids, r.lines)
			}
		})
	}
}

func TestAScriptOfNodeMayExit(t *testing.T) {
	r := newRig(t)
	fn := r.function("node", func(s *resource.Scripts) { s.Workers = 1 }, `const { context } = require("signalbox");
const fs = await import("node:fs");
console.log("run", await context.events.send("x", 1), typeof fs.readFileSync);
process.exit(context.params.get("code"));
`)
	for id, want := range map[string]struct {
		code   string
		status int
	}{"a": {"0", 204}, "b": {"3", 500}, "c": {"0", 204}} {
		if got := r.run(fn, id, `{"code":`+want.code+`}`); got.status != want.status || want.status == 500 && !strings.Contains(got.body, "exit status 3") {
			t.Errorf("%s: %d %s", id, got.status, got.body)
		}
		r.awaitLine("stdout: run " + id + "-0 function")
	}
	if r.printed("ExperimentalWarning") > 0 {
		t.Errorf("%q", r.lines)
	}
}
