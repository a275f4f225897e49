package scripts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/child"
	"github.com/signalbox-dev/signalbox/resource"
)

// rig is a host with a directory of scripts.
type rig struct {
	t    *testing.T
	host *Host
	dir  string

	mu      sync.Mutex
	sent    []*Sent
	state   map[string]string
	lines   []string
	logs    []event.Log
	secrets map[string]string
	// refuse, when set, is what Send fails with.
	refuse error
	// heard is closed and replaced with each line.
	heard chan struct{}
}

func (r *rig) Send(_ context.Context, s *Sent) (event.ReplyRef, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		return event.ReplyRef{}, r.refuse
	}
	r.sent = append(r.sent, s)
	return event.ReplyRef{Source: s.Event.Source, ID: fmt.Sprintf("%s-%d", s.Cause.ID, s.Index), Type: s.Event.Type}, nil
}

func (r *rig) Get(_ context.Context, function, key string) (*string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.state[function+"/"+key]; ok {
		return &v, nil
	}
	return nil, nil
}

func (r *rig) Set(_ context.Context, function, key, value string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state[function+"/"+key] = value
	return nil
}

func (r *rig) Delete(_ context.Context, function, key string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.state, function+"/"+key)
	return nil
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), state: map[string]string{}, secrets: map[string]string{}, heard: make(chan struct{})}
	keeper := child.NewKeeper(slog.New(slog.DiscardHandler))
	c := DefaultConfig()
	c.Dir, c.Environ, c.Keeper, c.Sender, c.State, c.Log = t.TempDir(), os.Environ(), keeper, r, r, slog.New(slog.NewTextHandler(io.Discard, nil))
	c.Secrets = r.secret
	c.Output = func(l event.Log) {
		r.mu.Lock()
		defer r.mu.Unlock()
		line := l.Line
		if l.Level != "" {
			line = l.Level + " " + line
		}
		r.lines, r.logs = append(r.lines, l.Stream+": "+line), append(r.logs, l)
		close(r.heard)
		r.heard = make(chan struct{})
	}
	var err error
	if r.host, err = New(c); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(keeper.Run)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.host.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		keeper.Close()
		running.Wait()
	})
	return r
}

// python is a function of Python scripts, whose contents are given in order.
func (r *rig) function(runtime string, change func(*resource.Scripts), files ...string) *resource.Function {
	r.t.Helper()
	if _, err := exec.LookPath(map[string]string{"python": "python3", "node": "node"}[runtime]); err != nil {
		r.t.Fatalf("the runtime must be there: %v", err)
	}
	fn := &resource.Function{Metadata: resource.Metadata{Name: "f"}, Spec: resource.FunctionSpec{
		Version: "v1", Dir: r.dir, Config: map[string]json.RawMessage{"width": json.RawMessage("200")}, Scripts: &resource.Scripts{Runtime: runtime},
	}}
	for i, content := range files {
		name := fmt.Sprintf("s%d.%s", i, map[string]string{"python": "py", "node": "cjs"}[runtime])
		r.write(name, content)
		fn.Spec.Scripts.Files = append(fn.Spec.Scripts.Files, name)
	}
	if change != nil {
		change(fn.Spec.Scripts)
	}
	r.host.Reconcile([]*resource.Function{fn}, nil)
	return fn
}

// write saves a file as editors do: nobody sees half of it, however busy the machine is.
func (r *rig) write(name, content string) {
	r.t.Helper()
	file := filepath.Join(r.dir, name)
	half := filepath.Join(filepath.Dir(file), "."+filepath.Base(file))
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o750), os.WriteFile(half, []byte(content), 0o600), os.Rename(half, file)); err != nil {
		r.t.Fatal(err)
	}
}

type reply struct {
	status int
	body   string
	header http.Header
}

func (r *rig) post(ctx context.Context, fn *resource.Function, id, data string, headers ...string) (reply, error) {
	url, err := r.host.URL(fn)
	if err != nil {
		return reply{}, err
	}
	return postTo(ctx, url, id, data, headers...)
}

func postTo(ctx context.Context, url, id, data string, headers ...string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(data))
	if err != nil {
		return reply{}, err
	}
	for k, v := range map[string]string{
		"Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": id, "ce-source": "/s", "ce-type": "t", "ce-subject": "a%20b", "ce-tenant": "acme",
		"Signalbox-Link": "l", "Signalbox-Attempt": "2", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		req.Header.Set(k, v)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, string(b), resp.Header}, err
}

func (r *rig) run(fn *resource.Function, id, data string, headers ...string) reply {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 3*time.Minute)
	defer cancel()
	got, err := r.post(ctx, fn, id, data, headers...)
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

// printed counts the lines that contain text.
func (r *rig) printed(text string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if strings.Contains(l, text) {
			n++
		}
	}
	return n
}

// awaitLine waits until the function has written a line that contains text.
func (r *rig) awaitLine(text string) {
	r.t.Helper()
	after := time.After(time.Minute)
	for {
		r.mu.Lock()
		heard, all := r.heard, strings.Join(r.lines, "\n")
		r.mu.Unlock()
		if strings.Contains(all, text) {
			return
		}
		select {
		case <-heard:
		case <-after:
			r.t.Fatalf("no line %q among:\n%s", text, all)
		}
	}
}

func (r *rig) events() []*Sent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*Sent(nil), r.sent...)
}

// programs are one program in both languages: it says all it knows.
var programs = map[string][]string{
	"python": {`
from signalbox import context
print("printed", context.event.subject, context.event["tenant"], context.params.get("n"), context.params.get("none", "no"))
context.log.info("logged", k=1)
context.shared = context.config["width"] + context.params["n"]
`, `
from fx_ef import context
assert (context.function, context.version, context.link, context.attempt, context.is_replay) == ("f", "v1", "l", 2, False)
seen = context.state.get("seen", 0)
context.state.set("seen", seen + 1)
first = context.events.send("com.example.a", {"shared": context.shared, "seen": seen}, subject="x", tenant="b")
context.events.send("com.example.b", b"\x00\xff")
context.events.send("com.example.c", source="/mine")
assert first == context.event.id + "-0", first
`},
	"node": {`
const { context } = require("signalbox");
console.log("printed", context.event.subject, context.event.get("tenant"), context.params.get("n"), context.params.get("none", "no"));
context.log.info("logged", { k: 1 });
context.shared = context.config.width + context.params.get("n");
`, `
const assert = require("node:assert");
const { context } = require("signalbox");
assert.deepEqual([context.function, context.version, context.link, context.attempt, context.isReplay], ["f", "v1", "l", 2, false]);
const seen = await context.state.get("seen", 0);
await context.state.set("seen", seen + 1);
const first = await context.events.send("com.example.a", { shared: context.shared, seen }, { subject: "x", tenant: "b" });
await context.events.send("com.example.b", Buffer.from([0, 255]));
await context.events.send("com.example.c", undefined, { source: "/mine" });
assert.equal(first, context.event.id + "-0");
`},
}

func TestScriptsRunInSequenceAndShareOneContext(t *testing.T) {
	for runtime, files := range programs {
		t.Run(runtime, func(t *testing.T) {
			r := newRig(t)
			fn := r.function(runtime, nil, files...)
			for i := range 2 {
				got := r.run(fn, fmt.Sprint("e", i), `{"n":7}`)
				var sent []event.ReplyRef
				if err := json.Unmarshal([]byte(got.header.Get("Signalbox-Sent")), &sent); got.status != 204 || err != nil || len(sent) != 3 || sent[2].Source != "/mine" {
					t.Fatalf("%d %s, sent %v", got.status, got.body, got.header)
				}
			}
			r.awaitLine("stdout: printed a b acme 7 no")
			r.awaitLine("log: info logged k=1")
			sent := r.events()
			if len(sent) != 6 {
				t.Fatalf("%d events", len(sent))
			}
			a, b, c := sent[3], sent[4], sent[5]
			if a.Event.Type != "com.example.a" || a.Event.Source != "/functions/f" || a.Event.Subject != "x" || a.Event.DataContentType != "application/json" ||
				strings.ReplaceAll(string(a.Event.Data), " ", "") != `{"shared":207,"seen":1}` || a.Cause.ID != "e1" || a.Link != "l" || a.Version != "v1" || a.Index != 0 || a.TraceParent == "" {
				t.Errorf("%+v of %+v: %s", a, a.Event, a.Event.Data)
			}
			if v, _ := a.Event.Extension("tenant"); v != "b" {
				t.Errorf("tenant %q", v)
			}
			if string(b.Event.Data) != "\x00\xff" || b.Event.DataContentType != "application/octet-stream" || b.Index != 1 {
				t.Errorf("%+v", b.Event)
			}
			if c.Event.Source != "/mine" || c.Event.Data != nil {
				t.Errorf("%+v", c.Event)
			}
		})
	}
}

func TestHowARunEnds(t *testing.T) {
	for runtime, files := range map[string]map[string]string{
		"python": {
			"raised": "def f():\n    raise ValueError('bad width')\nf()\n", "permanent": "from signalbox import Permanent\nraise Permanent('never')\n",
			"retry": "from signalbox import Retry\nraise Retry('later', after=7.2)\n", "exit": "import sys\nsys.exit(3)\n", "exit0": "import sys\nsys.exit(0)\n", "died": "import os\nos._exit(9)\n",
			"syntax": "def f(:\n", "badtype": "from signalbox import context\ncontext.events.send('')\n", "badjson": "from signalbox import context\ncontext.events.send('t', object())\n",
		},
		"node": {
			"raised": "function f() { throw new RangeError('bad width') }\nf()\n", "permanent": "const { Permanent } = require('signalbox')\nthrow new Permanent('never')\n",
			"retry": "const { Retry } = require('signalbox')\nthrow new Retry('later', 7.2)\n", "died": "process.kill(process.pid, 'SIGKILL'); await new Promise(() => {})\n",
			"syntax": "let 1\n", "badtype": "const { context } = require('signalbox')\nawait context.events.send('')\n", "rejected": "Promise.reject(new Error('nobody'))\nawait new Promise((r) => setTimeout(r, 10000))\n",
		},
	} {
		t.Run(runtime, func(t *testing.T) {
			r := newRig(t)
			for what, content := range files {
				fn := r.function(runtime, func(s *resource.Scripts) { s.Workers = 1 }, content)
				got := r.run(fn, "1", "{}")
				want := map[string]struct {
					status int
					text   string
				}{
					"raised": {500, "bad width"}, "permanent": {422, "never"}, "retry": {503, "later"}, "exit": {500, "ended with 3"}, "exit0": {204, ""},
					"died": {500, "the worker ended"}, "syntax": {500, "SyntaxError"}, "badtype": {500, "type"}, "badjson": {500, "JSON serializable"}, "rejected": {500, "nobody awaited"},
				}[what]
				if got.status != want.status || !strings.Contains(got.body, want.text) {
					t.Errorf("%s: %d %s", what, got.status, got.body)
				}
				if what == "retry" && got.header.Get("Retry-After") != "8" {
					t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
				}
				if what == "raised" && !strings.Contains(got.body, "s0.") {
					t.Errorf("the answer does not say where: %s", got.body)
				}
				r.host.Reconcile(nil, nil)
			}
		})
	}
}

func TestAHungRunHurtsOnlyItself(t *testing.T) {
	for runtime, content := range map[string]string{
		"python": "from signalbox import context\nif context.event.id == 'hang':\n    print('hangs')\n    while True: pass\n",
		"node":   "const { context } = require('signalbox')\nif (context.event.id === 'hang') { console.log('hangs'); await new Promise(r => setTimeout(r, 20)); for (;;); }\n",
	} {
		t.Run(runtime, func(t *testing.T) {
			r := newRig(t)
			fn := r.function(runtime, func(s *resource.Scripts) { s.Workers = 2 }, content)
			r.run(fn, "warm", "{}")
			ctx, cancel := context.WithCancel(t.Context())
			hung := make(chan error, 1)
			go func() {
				_, err := r.post(ctx, fn, "hang", "{}")
				hung <- err
			}()
			r.awaitLine("hangs")
			for i := range 5 {
				if got := r.run(fn, fmt.Sprint(i), "{}"); got.status != 204 {
					t.Fatalf("beside it: %d %s", got.status, got.body)
				}
			}
			cancel()
			if err := <-hung; !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			p := r.host.pools["f@v1"]
			deadline := time.After(time.Minute)
			for len(p.places) > 0 { // until the hung worker has been ended
				select {
				case <-deadline:
					t.Fatal("the hung worker keeps its place")
				case <-time.After(time.Millisecond):
				}
			}
		})
	}
}

func TestAWorkerIsReplacedInTime(t *testing.T) {
	r := newRig(t)
	fn := r.function("python", func(s *resource.Scripts) { s.Workers, s.MaxRuns = 1, 2 }, "import os\nprint('pid', os.getpid())\nglobals().setdefault('x', 1)\nassert '_kept' not in globals()\n_kept = 1\n")
	for i := range 4 {
		if got := r.run(fn, fmt.Sprint(i), "{}"); got.status != 204 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	pids := map[string]int{}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		pids[l]++
	}
	if len(pids) != 2 {
		t.Errorf("%v: want two workers with two runs each", pids)
	}
}

func TestAWorkerThatWantsTooMuchMemoryEndsItsRun(t *testing.T) {
	r := newRig(t)
	fn := r.function("python", func(s *resource.Scripts) { s.MemoryMB = 128 }, "from signalbox import context\nif context.event.id == 'big': x = bytearray(1 << 30)\n")
	if got := r.run(fn, "big", "{}"); got.status != 500 || !strings.Contains(got.body, "MemoryError") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := r.run(fn, "small", "{}"); got.status != 204 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestModulesBesideAndBelowAndTheirChangesTakeEffect(t *testing.T) {
	for name, c := range map[string]struct{ runtime, module, before, after, script string }{
		"Python, beside": {"python", "helper.py", "VALUE = 'before'\n", "VALUE = 'after!'\n", "import helper\nprint('value', helper.VALUE)\n"},
		"Python, below":  {"python", "lib/helper.py", "VALUE = 'before'\n", "VALUE = 'after!'\n", "from lib import helper\nprint('value', helper.VALUE)\n"},
		"Python, data":   {"python", "table.json", "before", "after!", "print('value', open('table.json').read())\n"},
		"Node, beside":   {"node", "helper.cjs", "exports.value = 'before'\n", "exports.value = 'after!'\n", "console.log('value', require('./helper.cjs').value)\n"},
		"Node, below":    {"node", "lib/deep/helper.cjs", "exports.value = 'before'\n", "exports.value = 'after!'\n", "console.log('value', require('./lib/deep/helper.cjs').value)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.write(c.module, c.before)
			fn := r.function(c.runtime, nil, c.script)
			if got := r.run(fn, "1", "{}"); got.status != 204 {
				t.Fatalf("%d %s", got.status, got.body)
			}
			r.awaitLine("value before")
			p := r.host.pools["f@v1"]
			was := p.change()
			start := time.Now()
			for r.write(c.module, c.after); p.settling.Load() == nil && p.change() == was; {
				if time.Since(start) > time.Minute {
					t.Fatal("the change is not seen")
				}
				<-time.After(time.Millisecond)
			}
			if took := time.Since(start); took > 10*time.Second { // a second, and what a busy machine adds
				t.Errorf("the change was seen after %s, want within a second", took)
			}
			r.run(fn, "2", "{}") // while it is being saved, or after: the next run has it
			r.awaitLine("value after!")
			if got := r.printed("value before"); got != 1 {
				t.Errorf("%d runs had the files as they were before", got)
			}
		})
	}
}

// change counts the changes of the files.
func (p *pool) change() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.generation
}

func TestDataThatScriptsKeepBelowLeaveWorkersAlone(t *testing.T) {
	r := newRig(t)
	r.function("python", nil, "print('x')\n")
	p := r.host.pools["f@v1"]
	for file, want := range map[string]bool{
		"out.json": true, "data/out.json": false, "data/page.txt": false, "lib/x.py": true, "state.db": false, "sub/requirements.txt": true,
	} {
		if got := p.isSource(filepath.Join(r.dir, file)); got != want {
			t.Errorf("%s: %v, want %v", file, got, want)
		}
	}
}

func TestWhatCannotBeRunSpendsNoAttempt(t *testing.T) {
	r := newRig(t)
	fn := r.function("python", func(s *resource.Scripts) { s.Files = []string{"none.py"} })
	if got := r.run(fn, "1", "{}"); got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "none.py") {
		t.Errorf("%d %s", got.status, got.body)
	}
	other := *fn
	other.Metadata.Name = "unknown"
	if got := r.run(&other, "1", "{}"); got.status != 503 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := r.run(fn, "1", "{}", "ce-id", ""); got.status != 400 {
		t.Errorf("no event: %d %s", got.status, got.body)
	}
}

func TestAnEventThatCannotBeAppendedFailsTheRun(t *testing.T) {
	r := newRig(t)
	r.refuse = errors.New("the log is away")
	fn := r.function("python", nil, "from signalbox import context\ncontext.events.send('t')\n")
	if got := r.run(fn, "1", "{}"); got.status != 500 || !strings.Contains(got.body, "the log is away") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAFunctionHasAnEnvironmentOfItsOwn(t *testing.T) {
	r := newRig(t)
	r.write("requirements.txt", "# nothing beside what Python has\n")
	fn := r.function("python", func(s *resource.Scripts) { s.Requirements = "requirements.txt" }, "import sys\nprint('prefix', sys.prefix)\nassert sys.prefix != sys.base_prefix\n")
	if got := r.run(fn, "1", "{}"); got.status != 204 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	r.awaitLine("prefix " + r.host.c.Dir)
	r.write("requirements.txt", "no such package!\n")
	r.host.Reconcile(nil, nil)
	fn = r.function("python", func(s *resource.Scripts) { s.Requirements = "requirements.txt" }, "pass")
	if got := r.run(fn, "2", "{}"); got.status != 503 || !strings.Contains(got.body, "requirements") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestStructuredEventsAndTextAreTakenToo(t *testing.T) {
	r := newRig(t)
	fn := r.function("python", nil, "from signalbox import context\nprint('data', repr(context.event.data))\n")
	if got := r.run(fn, "", `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":[1]}`, "Content-Type", "application/cloudevents+json"); got.status != 204 {
		t.Errorf("%d %s", got.status, got.body)
	}
	r.awaitLine("data [1]")
	r.run(fn, "2", "grüße", "Content-Type", "text/plain")
	r.awaitLine("data 'grüße'")
	r.run(fn, "3", "\x00", "Content-Type", "application/octet-stream")
	r.awaitLine(`data b'\x00'`)
}

// Two workers take turns with as many runs as they get; what one prints last has
// no end, and both streams and the log are used.
func TestEveryLineSaysTheRunItBelongsTo(t *testing.T) {
	for runtime, content := range map[string]string{
		"python": "import os, sys\nfrom signalbox import context\nme = context.event.id\nprint(me, 'out')\ncontext.log.info(me + ' log')\nsys.stderr.write(me + ' err\\n')\nos.system('echo %s child' % me)\nsys.stdout.write(me + ' last')\n",
		"node":   "const { context } = require('signalbox')\nconst me = context.event.id\nconsole.log(me, 'out')\ncontext.log.info(me + ' log')\nprocess.stderr.write(me + ' err\\n')\nrequire('child_process').execSync(`echo ${me} child`, { stdio: 'inherit' })\nprocess.stdout.write(me + ' last')\n",
	} {
		t.Run(runtime, func(t *testing.T) {
			r := newRig(t)
			fn := r.function(runtime, func(s *resource.Scripts) { s.Workers = 2 }, content)
			const runs, each = 40, 5
			var posting sync.WaitGroup
			for half := range 2 {
				posting.Go(func() {
					for i := range runs / 2 {
						id := fmt.Sprint("e", half, "-", i)
						if got, err := r.post(t.Context(), fn, id, "{}", "Signalbox-Run", "run-"+id); err != nil || got.status != 204 {
							t.Errorf("%d %s %v", got.status, got.body, err)
						}
					}
				})
			}
			posting.Wait()
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.logs) != runs*each {
				t.Errorf("%d lines, want %d", len(r.logs), runs*each)
			}
			instances := map[string]bool{}
			for _, l := range r.logs {
				id, _, _ := strings.Cut(l.Line, " ")
				if l.Run != "run-"+id || l.TraceID != "0af7651916cd43dd8448eb211c80319c" || l.SpanID != "b7ad6b7169203331" || l.Function != "f" || l.Version != "v1" {
					t.Errorf("%+v", l)
				}
				instances[l.Instance] = true
			}
			if len(instances) > 2 { // one, where the machine is so busy that it is always free
				t.Errorf("instances %v", instances)
			}
		})
	}
}
