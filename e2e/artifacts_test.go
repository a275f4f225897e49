//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/artifacts"
	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/e2e/parts"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// bucketArgs keep artifacts in the bucket, below a prefix.
func bucketArgs(b parts.Bucket, prefix string) []string {
	return []string{"--artifacts", "s3://" + b.Name + "/" + prefix, "--artifacts-endpoint", b.Endpoint, "--artifacts-access-key", b.AccessKey, "--artifacts-secret-key", b.SecretKey}
}

// command runs a command of the binary against the server.
func (s *server) command(args ...string) (stdout, stderr string) {
	s.t.Helper()
	stdout, stderr, err := s.tryCommand(args...)
	if err != nil {
		s.t.Fatalf("signalbox %s: %v\n%s%s", strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout, stderr
}

func (s *server) tryCommand(args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(s.t.Context(), binary(s.t), append(args, "--server", "http://"+s.addr)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// greeting is a directory with a function of scripts that says which version it is.
func greeting(t *testing.T, version, library string) string {
	return writeFiles(t, map[string]string{
		"greet.yaml": fmt.Sprintf(`apiVersion: signalbox.dev/v1
kind: Function
metadata: {name: greet}
spec:
  version: %s
  scripts: {runtime: python, files: [greet.py]}
---
apiVersion: signalbox.dev/v1
kind: Link
metadata: {name: to-greet}
spec: {function: greet, types: [com.example.asked], delivery: {backoff: {initial: 10ms, max: 50ms}, attempts: 1}}
`, version),
		"greet.py": "from signalbox import context\nimport words\ncontext.events.send('com.example.said', {'words': words.text, 'n': context.params.get('n')})\n",
		"words.py": "text = '" + library + "'\n",
	})
}

// Two processes with data directories of their own share a bucket: both run what
// was uploaded, a new version takes over in both, and a rollback brings the old one
// back although its files are on nobody's disk but theirs.
func TestEveryReplicaRunsTheFilesThatWereUploaded(t *testing.T) {
	env := parts.Up(t, "kafka", "redis", "bucket")
	name, bucket := unique(t), env.Bucket()
	args := func() []string {
		return append([]string{"serve", "--data", t.TempDir(), "--kafka", strings.Join(env.KafkaBrokers(), ","), "--redis", env.RedisURL(),
			"--topic-prefix", name + ".", "--redis-prefix", name + ":"}, bucketArgs(bucket, name)...)
	}
	one, two := start(t, args()...), start(t, args()...)
	sink := newRecorder(t, nil)
	one.apply(functionManifest("sink", sink.URL, "com.example.said"))
	round := 0
	// says emits events to all and wants each answered by the same words.
	says := func(want string, servers ...*server) {
		t.Helper()
		const each = 15
		round++
		tag := fmt.Sprintf("round-%d", round)
		for i := range each {
			for at, s := range servers {
				e := &event.Event{ID: fmt.Sprintf("%s-%d-%d", tag, at, i), Source: "/e2e", Type: "com.example.asked", DataContentType: "application/json", Data: fmt.Appendf(nil, `{"n":%q}`, tag)}
				if err := s.Emit(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			}
		}
		await(t, "all to be answered", func() error {
			answers := 0
			for _, c := range sink.all() {
				if strings.Contains(c.body, tag) {
					answers++
					if !strings.Contains(c.body, `"`+want+`"`) {
						t.Fatalf("%s, want %s", c.body, want)
					}
				}
			}
			if answers < each*len(servers) {
				return fmt.Errorf("%d answers", answers)
			}
			return nil
		})
	}
	first, second := greeting(t, "v1", "hello"), greeting(t, "v2", "good morning")
	began := time.Now()
	_, errs := one.command("apply", "-f", first)
	if !regexp.MustCompile(`packed greet: 2 files, \d+ B, \d+ B uploaded \(sha256:[0-9a-f]{12}\)`).MatchString(errs) {
		t.Error(errs)
	}
	for _, s := range []*server{one, two} {
		await(t, "a worker", func() error { return s.logged("scripts are ready", "greet@v1") })
	}
	t.Logf("from apply to a warm worker in both: %s", time.Since(began))
	says("hello", one, two)
	if err := os.RemoveAll(first); err != nil { // nobody needs it any more
		t.Fatal(err)
	}
	two.command("apply", "-f", second)
	for _, s := range []*server{one, two} {
		await(t, "a worker of the new version", func() error { return s.logged("scripts are ready", "greet@v2") })
	}
	says("good morning", one, two)
	one.command("rollback", "greet")
	one.awaitVersion(two, "greet", "v1")
	says("hello", one, two)
	// One that starts fresh gets it from the bucket.
	began = time.Now()
	three := start(t, args()...)
	await(t, "a worker in the fresh one", func() error { return three.logged("scripts are ready", "greet@v1") })
	t.Logf("from the start of a fresh process to a warm worker: %s; %s", time.Since(began), three.line("artifact fetched"))
	one.stop()
	two.stop()
	says("hello", three)
}

// awaitVersion waits until calls at both go to a version.
func (s *server) awaitVersion(other *server, function, version string) {
	s.t.Helper()
	for _, at := range []*server{s, other} {
		await(s.t, "calls to go to "+version, func() error {
			out, errs, err := at.tryCommand("invoke", function, "--data", "{}", "-o", "json")
			var call struct{ EventID string }
			if err == nil {
				err = json.Unmarshal([]byte(out), &call)
			}
			if err != nil {
				return fmt.Errorf("%w: %s%s", err, out, errs)
			}
			// That of this call: the last one of all may be of the other server.
			runs, err := at.Runs(s.t.Context(), client.Query{Function: function, ID: call.EventID, Since: time.Now().Add(-time.Hour)})
			if err != nil || len(runs) == 0 || runs[0].Version != version {
				return fmt.Errorf("the run is not of %s: %+v, %v", version, runs, err)
			}
			return nil
		})
	}
}

// logged looks for a line of the log that holds all texts.
func (s *server) logged(texts ...string) error {
	if s.line(texts...) == "" {
		return fmt.Errorf("no line with %q in\n%s", texts, s.out)
	}
	return nil
}

func (s *server) line(texts ...string) string {
lines:
	for line := range strings.Lines(s.out.String()) {
		for _, text := range texts {
			if !strings.Contains(line, text) {
				continue lines
			}
		}
		return strings.TrimSpace(line)
	}
	return ""
}

// While the bucket is away nothing is lost and no attempt is spent; what is on this
// machine goes on.
func TestAFunctionWaitsForItsFiles(t *testing.T) {
	env := parts.Up(t, "bucket")
	bucket, name := env.Bucket(), unique(t)
	front := newBarrier(t, bucket.Endpoint)
	bucket.Endpoint = front.URL
	data := t.TempDir()
	args := append([]string{"serve", "--data", data, "--kafka-listen", freeAddr(t), "--redis-listen", freeAddr(t)}, bucketArgs(bucket, name)...)
	s := start(t, args...)
	sink := newRecorder(t, nil)
	s.apply(functionManifest("sink", sink.URL, "com.example.said"))
	s.command("apply", "-f", greeting(t, "v1", "hello"))
	await(t, "a worker", func() error { return s.logged("scripts are ready", "greet@v1") })
	s.stop()
	// Again without the bucket: the files are here.
	front.shut.Store(true)
	s.launch()
	s.awaitReady()
	await(t, "a worker", func() error { return s.logged("scripts are ready", "greet@v1") })
	s.stop()
	// And without the files: the event waits.
	if err := os.Rename(filepath.Join(data, "artifacts-unpacked"), filepath.Join(data, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	s.launch()
	s.awaitReady()
	if err := s.Emit(t.Context(), &event.Event{ID: "1", Source: "/e2e", Type: "com.example.asked"}); err != nil {
		t.Fatal(err)
	}
	await(t, "the function to say why it does not run", func() error {
		o, err := s.Get(t.Context(), functionKind(t), "greet")
		if err != nil || !strings.Contains(string(o.Status), "the store of artifacts is not available") {
			return fmt.Errorf("%s %w", o.Status, err)
		}
		return nil
	})
	if _, errs, err := s.tryCommand("apply", "-f", greeting(t, "v2", "good morning")); err == nil || !strings.Contains(errs, "not available") {
		t.Errorf("an upload while the bucket is away: %v %s", err, errs)
	}
	front.shut.Store(false)
	if got := sink.awaitCalls(t, 1)[0]; !strings.Contains(got.body, "hello") {
		t.Error(got.body)
	}
	s.awaitStates("greet", "map[]") // one attempt was all it had
}

func functionKind(t *testing.T) resource.Kind {
	t.Helper()
	k, err := resource.LookupKind(resource.KindFunction)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// barrier stands before a server and can be closed.
type barrier struct {
	*httptest.Server
	target string
	shut   atomic.Bool
}

func newBarrier(t *testing.T, target string) *barrier {
	t.Helper()
	g := &barrier{target: target}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Server.Close)
	return g
}

func (g *barrier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.shut.Load() {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return
	}
	// The signature covers the host, so it is passed on as it came.
	out, err := http.NewRequestWithContext(r.Context(), r.Method, g.target+r.URL.RequestURI(), r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	out.Header, out.Host, out.ContentLength = r.Header, r.Host, r.ContentLength
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

// incompressible is what stays as large as it is.
func incompressible(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // never fails
	return string(b)
}

// The store keeps its promises on a real S3 server as it does on a directory.
func TestTheStoreOnS3(t *testing.T) {
	bucket, name := parts.Up(t, "bucket").Bucket(), unique(t)
	objects, err := artifacts.NewS3(artifacts.S3Config{Bucket: bucket.Name, Prefix: name, Endpoint: bucket.Endpoint, AccessKey: bucket.AccessKey, SecretKey: bucket.SecretKey})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	store, err := artifacts.NewStore(artifacts.StoreConfig{Objects: objects, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	dir := writeFiles(t, map[string]string{"a.py": "print(1)\n", "big.bin": incompressible(20 << 20)}) // more than S3 clients send at a time
	var packed bytes.Buffer
	p, err := artifacts.Pack(dir, artifacts.DefaultLimits(), nil, &packed)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := store.Stat(ctx, p.Digest); !errors.Is(err, artifacts.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	half := packed.Len() / 2
	for i, part := range [][]byte{packed.Bytes()[:half], packed.Bytes()[half:]} {
		if err := store.PutPart(ctx, p.Digest, "uploadone", i+1, bytes.NewReader(part), int64(len(part))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Assemble(ctx, p.Digest, "uploadone", 3); !errors.Is(err, artifacts.ErrNotFound) {
		t.Errorf("a part that is missing: %v", err)
	}
	if _, err := store.Assemble(ctx, p.Digest, "uploadone", 2); err != nil {
		t.Fatal(err)
	}
	cache, err := artifacts.NewCache(artifacts.CacheConfig{Dir: t.TempDir(), Source: store})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	files, release, err := cache.Use(ctx, p.Digest)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes fetched and unpacked in %s", packed.Len(), time.Since(began))
	if b, err := os.ReadFile(filepath.Join(files, "a.py")); string(b) != "print(1)\n" || err != nil {
		t.Errorf("%q %v", b, err)
	}
	release()
	cache.Close()
	if removed, err := store.Sweep(ctx, nil); len(removed) > 0 || err != nil {
		t.Errorf("at first sight: %v %v", removed, err)
	}
	now = now.Add(25 * time.Hour)
	if removed, err := store.Sweep(ctx, nil); len(removed) != 1 || err != nil {
		t.Errorf("%v %v", removed, err)
	}
	if _, err := store.Stat(ctx, p.Digest); !errors.Is(err, artifacts.ErrNotFound) {
		t.Errorf("after: %v", err)
	}
	left := 0
	for _, prefix := range []string{"artifacts/", "unnamed/", "uploads/"} {
		if err := objects.List(ctx, prefix, func(artifacts.Object) error { left++; return nil }); err != nil || left > 0 {
			t.Errorf("%s: %d left, %v", prefix, left, err)
		}
	}
	wrong, err := artifacts.NewS3(artifacts.S3Config{Bucket: "nobodys", Endpoint: bucket.Endpoint, AccessKey: bucket.AccessKey, SecretKey: bucket.SecretKey})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.Stat(ctx, "x"); !errors.Is(err, artifacts.ErrUnavailable) && !errors.Is(err, artifacts.ErrNotFound) {
		t.Errorf("a bucket that is not there: %v", err)
	}
}
