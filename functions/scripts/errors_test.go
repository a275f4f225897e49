//go:build unix

package scripts

import (
	"slices"
	"strings"
	"testing"
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
