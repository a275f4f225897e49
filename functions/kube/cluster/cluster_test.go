package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// open makes a Cluster over a server, by a kubeconfig as people have it.
func open(t *testing.T, handler http.Handler) *Cluster {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	config := `{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: "` + server.URL + `"}}],
users: [{name: u, user: {token: tok}}], contexts: [{name: c, context: {cluster: c, user: u, namespace: fns}}]}`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	c.Kubeconfig = file
	got, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// script answers one request after the other.
type script struct {
	t     *testing.T
	mu    sync.Mutex
	steps []func(w http.ResponseWriter, r *http.Request)
	seen  []string
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	q := r.URL.Query()
	s.seen = append(s.seen, strings.TrimSpace(fmt.Sprintf("%s %s watch=%s at=%s select=%s", r.Method, r.URL.Path, q.Get("watch"), q.Get("resourceVersion"), q.Get("labelSelector"))))
	if len(s.steps) == 0 {
		s.mu.Unlock()
		<-r.Context().Done()
		return
	}
	step := s.steps[0]
	s.steps = s.steps[1:]
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	step(w, r)
}

func answer(status int, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func deployment(name, version string) string {
	return fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":%q,"namespace":"fns","resourceVersion":%q}}`, name, version)
}

// seen keeps what a watch says, and ends it once it said enough.
type seen struct {
	mu   sync.Mutex
	said []string
	want int
	end  context.CancelFunc
}

func (s *seen) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, text)
	if len(s.said) == s.want {
		s.end()
	}
}

func (s *seen) Replace(all []Object) {
	names := []string{"all"}
	for i := range all {
		names = append(names, all[i].GetName())
	}
	s.say(strings.Join(names, " "))
}
func (s *seen) Set(o *Object)    { s.say("set " + o.GetName()) }
func (s *seen) Delete(o *Object) { s.say("delete " + o.GetName()) }
func (s *seen) Failed(err error) {
	if err != nil {
		s.say("failed")
	}
}

func TestAWatchGoesOnWhereItWas(t *testing.T) {
	list := func(version, items string) string {
		return `{"apiVersion":"apps/v1","kind":"DeploymentList","metadata":{"resourceVersion":"` + version + `"},"items":[` + items + `]}`
	}
	event := func(kind, object string) string { return `{"type":"` + kind + `","object":` + object + "}\n" }
	gone := `{"apiVersion":"v1","kind":"Status","status":"Failure","code":410,"reason":"Expired","message":"too old"}`
	s := &script{t: t, steps: []func(http.ResponseWriter, *http.Request){
		answer(500, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":500,"message":"no"}`),
		answer(200, list("10", deployment("a", "9"))),
		answer(200, event("ADDED", deployment("b", "11"))+event("BOOKMARK", deployment("", "15"))),
		answer(200, event("DELETED", deployment("a", "16"))),
		answer(200, event("ERROR", gone)),
		answer(200, list("20", deployment("c", "19"))),
	}}
	ctx, cancel := context.WithCancel(t.Context())
	sink := &seen{want: 7, end: cancel}
	c := open(t, s)
	c.short = time.Hour // however busy the machine
	c.Watch(ctx, Deployments(), "fns", "a=b", sink)
	want := "failed, all a, set b, failed, delete a, failed, all c"
	if got := strings.Join(sink.said, ", "); got != want {
		t.Errorf("said  %s\nwant  %s", got, want)
	}
	path := "GET /apis/apps/v1/namespaces/fns/deployments"
	for i, w := range []string{"watch= at=", "watch= at=", "watch=true at=10", "watch=true at=15", "watch=true at=16", "watch= at="} {
		if w = path + " " + w + " select=a=b"; s.seen[i] != w {
			t.Errorf("request %d  %s\nwant       %s", i, s.seen[i], w)
		}
	}
}

func TestWhatIsAppliedIsChecked(t *testing.T) {
	var got *http.Request
	var body map[string]any
	c := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, body = r, nil
		_ = json.NewDecoder(r.Body).Decode(&body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, deployment("a", "1"))
	}))
	o := &Object{Object: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "a", "namespace": "fns"}}}
	if _, err := c.Apply(t.Context(), Deployments(), o, true); err != nil {
		t.Fatal(err)
	}
	q := got.URL.Query()
	if got.Method != http.MethodPatch || q.Get("fieldManager") != Manager || q.Get("fieldValidation") != "Strict" || q.Get("force") != "true" ||
		got.Header.Get("Content-Type") != "application/apply-patch+yaml" {
		t.Errorf("%s %s %v", got.Method, got.URL, got.Header)
	}
	if _, err := c.Annotate(t.Context(), Deployments(), "fns", "a", map[string]string{"k": "v"}); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(body) != "map[metadata:map[annotations:map[k:v]]]" || got.URL.Query().Get("fieldManager") == Manager {
		t.Errorf("annotated with %v as %s", body, got.URL)
	}
}

func TestErrorsSayWhatTheyAre(t *testing.T) {
	conflict := `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Conflict","code":409,"message":"Apply failed","details":{"causes":[
		{"reason":"FieldManagerConflict","message":"conflict with \"kubectl\" using apps/v1","field":".spec.replicas"}]}}`
	for name, c := range map[string]struct {
		status int
		body   string
		is     func(error) bool
		text   string
	}{
		"a kind that is not installed": {404, "404 page not found", NotFound, "does not know deployments.apps"},
		"an object that is not there": {404, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"message":"deployments.apps \"a\" not found","details":{"name":"a","group":"apps","kind":"deployments"}}`,
			NotFound, `get deployments.apps fns/a: deployments.apps "a" not found`},
		"no right":    {403, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"may not"}`, Refused, "may not"},
		"a conflict":  {409, conflict, func(err error) bool { return fmt.Sprint(Conflicts(err)) == "[{kubectl .spec.replicas}]" }, "Apply failed"},
		"another one": {500, conflict[:20], func(err error) bool { return Conflicts(err) == nil && !Refused(err) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, &script{t: t, steps: []func(http.ResponseWriter, *http.Request){answer(c.status, c.body)}}).Get(t.Context(), Deployments(), "fns", "a")
			if err == nil || !c.is(err) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v: want %q in it", err, c.text)
			}
		})
	}
}

func TestWhereThereIsNoCluster(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "of-the-user"))
	c, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if c.Configured() {
		t.Error("is configured")
	}
	if _, err := c.Get(t.Context(), Pods(), "a", "b"); !errors.Is(err, ErrNoCluster) || !strings.Contains(err.Error(), "--kubeconfig") {
		t.Errorf("%v: want ErrNoCluster and what to give", err)
	}
	bad := DefaultConfig()
	bad.Timeout, bad.Agent, bad.Log = 0, "", nil
	if _, err := New(bad); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("%v: want three faults", err)
	}
	file := DefaultConfig()
	file.Kubeconfig = filepath.Join(t.TempDir(), "none")
	missing, _ := New(file)
	if _, err := missing.Namespace(); !missing.Configured() || err == nil || !strings.Contains(err.Error(), file.Kubeconfig) {
		t.Errorf("%v: want the file that is not there", err)
	}
}

func TestNamespacesAndLogs(t *testing.T) {
	c := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "gone") {
			http.Error(w, "no such pod", http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, r.URL.String())
	}))
	if got, err := c.Namespace(); got != "fns" {
		t.Errorf("namespace %q, %v: want the context's", got, err)
	}
	out, err := c.Logs(t.Context(), "fns", "p", LogOptions{Container: "main", Follow: true, Timestamps: true, Since: time.Unix(1_800_000_000, 999)})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if b, _ := io.ReadAll(out); string(b) != "/api/v1/namespaces/fns/pods/p/log?container=main&follow=true&sinceTime=2027-01-15T08%3A00%3A00Z&timestamps=true" {
		t.Errorf("asked %s", b)
	}
	if _, err := c.Logs(t.Context(), "fns", "gone", LogOptions{}); !NotFound(err) {
		t.Errorf("%v: want NotFound", err)
	}
}
