//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
)

// mountedSecrets is a directory as Kubernetes mounts it: the files are links into a
// directory that is replaced as a whole.
type mountedSecrets struct {
	t       *testing.T
	dir     string
	version int
}

func (m *mountedSecrets) set(name, value string) {
	m.t.Helper()
	m.version++
	data := fmt.Sprint("..data", m.version)
	write(m.t, filepath.Join(m.dir, data, name), value)
	next := filepath.Join(m.dir, "..next")
	if err := os.Symlink(data, next); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(m.dir, "..data")); err != nil {
		m.t.Fatal(err)
	}
	if m.version == 1 {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(m.dir, name)); err != nil {
			m.t.Fatal(err)
		}
	}
}

// What functions do with a secret in these tests: print it, and say whose hash it
// has, as a variable and as a file.
var tellers = map[string]string{
	"program.py": `import hashlib, json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class F(BaseHTTPRequestHandler):
    protocol_version, wbufsize = "HTTP/1.1", -1
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = os.environ["TOKEN"]
        print("the token is", token, flush=True)
        with open(os.environ["SIGNALBOX_MOUNTS"] + "/etc/token") as f: file = f.read()
        body = json.dumps({"by": "program", "hash": hashlib.sha256(token.encode()).hexdigest(), "same": file == token}).encode()
        self.send_response(200)
        for k, v in {"ce-specversion": "1.0", "ce-id": "x", "ce-source": "/program", "ce-type": "com.example.told", "Content-Type": "application/json", "Content-Length": str(len(body))}.items(): self.send_header(k, v)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
class S(ThreadingHTTPServer):
    request_queue_size = 128
S(("127.0.0.1", int(os.environ["PORT"])), F).serve_forever()
`,
	"script.py": `import hashlib, os
from signalbox import context
token = os.environ["TOKEN"]
print("the token is", token)
context.log.info("the token is " + token)
with open(context.mount("/etc/token")) as f: file = f.read()
context.events.send("com.example.told", {"by": "script", "hash": hashlib.sha256(token.encode()).hexdigest(), "same": file == token})
`,
	"script.cjs": `const { context } = require("signalbox");
const token = process.env.TOKEN;
console.error("the token is", token);
const file = require("fs").readFileSync(context.mount("/etc/token"), "utf8");
await context.events.send("com.example.told", { by: "node", hash: require("crypto").createHash("sha256").update(token).digest("hex"), same: file === token });
`,
}

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// A secret changes while events go to a program and to scripts: each goes on with
// the new one within seconds, no delivery fails or is tried twice, and no value is
// in anything that can be read afterwards.
func TestASecretChangesWithoutRedeployUnderLoad(t *testing.T) {
	const first, second = "first-secret-value", "second-secret-value"
	secrets := &mountedSecrets{t: t, dir: t.TempDir()}
	secrets.set("shop-token", first)
	s := start(t, append(embeddedArgs(t), "--secrets-dir", secrets.dir)...)
	dir := writeFiles(t, tellers)
	var manifests strings.Builder
	for name, what := range map[string]string{
		"program": "command: [python3, program.py]", "script": "scripts: {runtime: python, files: [script.py]}", "node": "scripts: {runtime: node, files: [script.cjs]}",
	} {
		fmt.Fprintf(&manifests, `---
apiVersion: signalbox.dev/v1
kind: Function
metadata: {name: %s}
spec:
  %s
  dir: %q
  on: [com.example.ask]
  env: [{name: TOKEN, secret: shop-token}]
  mounts: [{path: /etc/token, secret: shop-token}]
`, name, what, dir)
	}
	s.apply(manifests.String())
	type told struct {
		By, Hash string
		Same     bool
	}
	// hashes are the last that each function told.
	var mu sync.Mutex
	hashes, fault := map[string]string{}, ""
	sink := newRecorder(t, nil)
	s.apply(functionManifest("sink", sink.URL, "com.example.told"))
	look := func(want string) error {
		mu.Lock()
		defer mu.Unlock()
		calls := sink.all()
		for _, c := range calls[max(0, len(calls)-60):] {
			var one told
			if err := json.Unmarshal([]byte(c.body), &one); err != nil || !one.Same || one.Hash != hashOf(first) && one.Hash != hashOf(second) {
				fault = c.body
			}
			hashes[one.By] = one.Hash
		}
		for _, by := range []string{"program", "script", "node"} {
			if hashes[by] != hashOf(want) {
				return fmt.Errorf("%s has not told it yet", by)
			}
		}
		return nil
	}
	sent, stop := 0, make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := s.Emit(t.Context(), &event.Event{ID: fmt.Sprint(sent), Source: "/e2e", Type: "com.example.ask"}); err != nil {
				t.Error(err)
				return
			}
			sent++
		}
	})
	await(t, "the first secret to be told", func() error { return look(first) })
	secrets.set("shop-token", second)
	await(t, "the second secret to be told", func() error { return look(second) })
	close(stop)
	load.Wait()
	awaitFor(t, 2*bound, "all deliveries", func() error {
		if n := len(sink.all()); n != 3*sent {
			return fmt.Errorf("%d of %d", n, 3*sent)
		}
		return nil
	})
	if fault != "" {
		t.Errorf("a function told %s", fault)
	}
	t.Logf("%d deliveries", 3*sent)
	for _, name := range []string{"program", "script", "node"} {
		runs, err := s.Runs(t.Context(), client.Query{Function: name})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runs {
			if r.Outcome != event.Delivered && r.Outcome != event.Waiting || r.Attempt > 1 {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
	tellsNothing(t, s, first, second)
}

// tellsNothing looks for secrets in what can be read of a server.
func tellsNothing(t *testing.T, s *server, secrets ...string) {
	t.Helper()
	places := map[string]string{"the output": s.out.String()}
	for _, path := range []string{"/api/v1/functions", "/api/v1/runs", "/api/v1/logs", "/api/v1/deadletters", "/api/v1/decisions", "/api/v1/events", "/metrics"} {
		places[path] = fetch(t, "http://"+s.addr+path)
	}
	for place, text := range places {
		for _, secret := range secrets {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s tells a secret: …%.300s", place, text[max(0, at-150):])
			}
		}
	}
	if !strings.Contains(places["/api/v1/logs"], "the token is ***") {
		t.Errorf("the lines of functions are not there: %.500s", places["/api/v1/logs"])
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", url, answer.StatusCode, err)
	}
	return string(b)
}

// A function whose secret is not there waits without an attempt, and says for what;
// others go on.
func TestAMissingSecretSpendsNoAttempt(t *testing.T) {
	secrets := &mountedSecrets{t: t, dir: t.TempDir()}
	s := start(t, append(embeddedArgs(t), "--secrets-dir", secrets.dir)...)
	dir := writeFiles(t, map[string]string{"work.py": "from signalbox import context\ncontext.events.send('com.example.done', {'by': context.function, 'attempt': context.attempt})\n"})
	manifest := func(name, env string) string {
		return fmt.Sprintf(`---
apiVersion: signalbox.dev/v1
kind: Function
metadata: {name: %s}
spec: {scripts: {runtime: python, files: [work.py]}, dir: %q, on: [com.example.work], env: [%s]}
`, name, dir, env)
	}
	sink := newRecorder(t, nil)
	s.apply(manifest("lacks", "{name: TOKEN, secret: shop-token}") + manifest("has", "{name: TOKEN, value: plain}") + functionManifest("sink", sink.URL, "com.example.done"))
	if err := s.Emit(t.Context(), &event.Event{ID: "1", Source: "/e2e", Type: "com.example.work"}); err != nil {
		t.Fatal(err)
	}
	if c := sink.awaitCalls(t, 1)[0]; !strings.Contains(c.body, `"has"`) {
		t.Errorf("%s", c.body)
	}
	await(t, "the function to say what it lacks", func() error {
		o, err := s.Get(t.Context(), kindOf(t, "functions"), "lacks")
		if err == nil && !strings.Contains(string(o.Status), "shop-token") {
			err = fmt.Errorf("its status is %s", o.Status)
		}
		return err
	})
	secrets.set("shop-token", "s3cret-token")
	for _, c := range sink.awaitCalls(t, 2)[1:] {
		var done struct {
			By      string
			Attempt int
		}
		if err := json.Unmarshal([]byte(c.body), &done); err != nil || done.By != "lacks" || done.Attempt != 1 {
			t.Errorf("%s: want attempt 1 of lacks", c.body)
		}
	}
}
