package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// callees are functions by name; versions are paths of their server.
type callees map[string]Callee

func (f callees) Find(name, version, _ string) (Callee, error) {
	t, ok := f[name]
	switch {
	case !ok || version != "" && version != "v2":
		return t, fmt.Errorf("function %s: %w", name, ErrNotFound)
	case t.URL == "":
		t.Function = name
		return t, fmt.Errorf("function %s: %w: it is not started", name, ErrUnavailable)
	}
	t.Function, t.Version, t.Concurrency = name, version, 2
	return t, nil
}

// callable is a gateway with the function f, which answers by handler.
func callable(t *testing.T, handler http.HandlerFunc, change func(*Config, *Deps)) (r *rig, runs func() []event.Run) {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	var mu sync.Mutex
	var all []event.Run
	r = start(t, func(c *Config, d *Deps) {
		d.Functions = callees{"f": {URL: s.URL + "/base/"}, "down": {URL: "http://127.0.0.1:1/"}, "starting": {}}
		d.Ran = func(run *event.Run) { mu.Lock(); defer mu.Unlock(); all = append(all, *run) }
		if change != nil {
			change(c, d)
		}
	})
	return r, func() []event.Run { mu.Lock(); defer mu.Unlock(); return all }
}

func TestACallPassesTheRequestOnAndTheAnswerBack(t *testing.T) {
	var got *http.Request
	var body string
	r, runs := callable(t, func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		got, body = req, string(b)
		w.Header().Set("X-Answer", "yes")
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	}, nil)
	a := r.do("PUT", "/function/f@v2/a%20b/c?x=1", "the body", "Content-Type", "text/plain", "X-Mine", "1", "Authorization", "Bearer secret", "Connection", "X-Hop", "X-Hop", "1")
	if a.StatusCode != http.StatusTeapot || string(a.body) != "short and stout" || a.Header.Get("X-Answer") != "yes" {
		t.Fatalf("%d %s %v", a.StatusCode, a.body, a.Header)
	}
	if got.Method != "PUT" || got.URL.Path != "/base/a b/c" || got.URL.RawQuery != "x=1" || body != "the body" || got.Header.Get("X-Mine") != "1" || got.Header.Get("X-Forwarded-For") == "" {
		t.Errorf("%s %s?%s %q %v", got.Method, got.URL.Path, got.URL.RawQuery, body, got.Header)
	}
	for _, name := range []string{"Authorization", "X-Hop"} {
		if v := got.Header.Get(name); v != "" {
			t.Errorf("%s %q is passed on", name, v)
		}
	}
	if got.Header.Get("Ce-Type") != "signalbox.invoke" || got.Header.Get("Ce-Source") != "/function/f" || got.Header.Get("Ce-Id") == "" {
		t.Errorf("as an event: %v", got.Header)
	}
	if all := runs(); len(all) != 1 || all[0].Function != "f" || all[0].Version != "v2" || all[0].Link != "invoke:f" || all[0].Status != 418 || all[0].Outcome != event.Delivered {
		t.Errorf("%+v", all)
	}
}

func TestAFunctionIsCalledByAnyMethod(t *testing.T) {
	r, _ := callable(t, func(w http.ResponseWriter, req *http.Request) { w.Header().Set("X-Method", req.Method) }, func(c *Config, _ *Deps) {
		c.CORSOrigins = []string{"https://app.example"}
	})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		for _, path := range []string{"/function/f", "/function/f/below"} {
			if a := r.do(method, path, ""); a.StatusCode != 200 || a.Header.Get("X-Method") != method {
				t.Errorf("%s %s: %d, called by %q", method, path, a.StatusCode, a.Header.Get("X-Method"))
			}
		}
	}
	asked := []string{"Access-Control-Request-Method", "POST", "Origin"}
	if a := r.do("OPTIONS", "/function/f", "", append(asked, "https://app.example")...); a.StatusCode != 204 || a.Header.Get("X-Method") != "" {
		t.Errorf("of an allowed origin the gateway answers: %d %v", a.StatusCode, a.Header)
	}
	if a := r.do("OPTIONS", "/function/f", "", append(asked, "https://other.example")...); a.Header.Get("X-Method") != "OPTIONS" {
		t.Errorf("of another origin the function answers: %d %v", a.StatusCode, a.Header)
	}
}

func TestTheVersionOfAFunctionMayBeEncoded(t *testing.T) {
	r, runs := callable(t, func(http.ResponseWriter, *http.Request) {}, nil)
	if a := r.do("POST", "/function/f%40v2/a", ""); a.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if all := runs(); len(all) != 1 || all[0].Function != "f" || all[0].Version != "v2" {
		t.Errorf("%+v", all)
	}
	later := laterRig(t)
	if a := later.do("POST", "/async-function/f%40v2", ""); a.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if _, fn := event.Direct(later.log.Records()[0].Event); fn != "f@v2" {
		t.Errorf("for %s", fn)
	}
}

func TestAFunctionAtTheRootOfItsServer(t *testing.T) {
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { got = req.URL.Path }))
	t.Cleanup(s.Close)
	r := start(t, func(_ *Config, d *Deps) { d.Functions = callees{"f": {URL: s.URL}} })
	for path, want := range map[string]string{"/function/f": "/", "/function/f/": "/", "/function/f/a/b": "/a/b", "/function/f/a/": "/a/", "/function/f/https://x//y": "/https://x//y"} {
		if a := r.do("GET", path, ""); a.StatusCode != 200 || got != want {
			t.Errorf("%s: %d at %s, want %s", path, a.StatusCode, got, want)
		}
	}
}

func TestACallThatIsAnEventStaysOne(t *testing.T) {
	var got http.Header
	r, _ := callable(t, func(_ http.ResponseWriter, req *http.Request) { got = req.Header }, nil)
	r.do("POST", "/function/f", `{}`, "ce-specversion", "1.0", "ce-id", "mine", "ce-source", "/me", "ce-type", "com.example.t", "Content-Type", "application/json",
		"ce-authid", "root", "Ce-Causeauthid", "root")
	if got.Get("Ce-Id") != "mine" || got.Get("Ce-Type") != "com.example.t" || len(got["Ce-Id"]) != 1 || got.Get("Ce-Authid") != "" || got.Get("Ce-Causeauthid") != "" {
		t.Errorf("%v", got)
	}
	if a := r.do("POST", "/function/f", "", "ce-id", "half"); a.StatusCode != 400 || !strings.Contains(string(a.body), "specversion") {
		t.Errorf("half an event: %d %s", a.StatusCode, a.body)
	}
}

// Whatever mode an event comes in, the function gets it in binary mode, and what only the gateway says is as the gateway says.
func TestACallThatIsAStructuredEvent(t *testing.T) {
	var got http.Header
	var body string
	r, runs := callable(t, func(_ http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		got, body = req.Header, string(b)
	}, nil)
	a := r.do("POST", "/function/f", `{"specversion":"1.0","id":"mine","source":"/me","type":"com.example.t","auth\u0069d":"root","calltarget":"g","tenant":"a","datacontenttype":"text/plain","data":"hello"}`,
		"Content-Type", "application/cloudevents+json", "Ce-Authid", "root")
	if a.StatusCode != 200 || body != "hello" || got.Get("Content-Type") != "text/plain" || got.Get("Ce-Id") != "mine" || got.Get("Ce-Tenant") != "a" || got.Get("Content-Length") != "5" {
		t.Errorf("%d %s: %q %v", a.StatusCode, a.body, body, got)
	}
	for _, name := range []string{"Ce-Authid", "Ce-Calltarget"} {
		if v := got.Get(name); v != "" {
			t.Errorf("%s %q is passed on", name, v)
		}
	}
	if all := runs(); len(all) != 1 || all[0].EventID != "mine" || all[0].EventType != "com.example.t" {
		t.Errorf("%+v", all)
	}
	got = nil
	for title, c := range map[string]struct {
		contentType, body, encoding string
		status                      int
	}{
		"a batch":          {"application/cloudevents-batch+json", "[]", "", 400},
		"no event":         {"application/cloudevents+json", `{"id":"x"}`, "", 400},
		"another format":   {"application/cloudevents+avro", "x", "", 415},
		"an event, packed": {"application/cloudevents+json", "x", "gzip", 415},
	} {
		if a := r.do("POST", "/function/f", c.body, "Content-Type", c.contentType, "Content-Encoding", c.encoding); a.StatusCode != c.status || got != nil {
			t.Errorf("%s: %d %s, %v", title, a.StatusCode, a.body, got)
		}
	}
	if a := r.do("POST", "/function/f", "packed", "Content-Encoding", "gzip"); a.StatusCode != 200 || got.Get("Content-Encoding") != "gzip" || body != "packed" {
		t.Errorf("a body that is no event: %d %q %v", a.StatusCode, body, got)
	}
}

func TestAnEventWhoseDataAreOne(t *testing.T) {
	var got http.Header
	var body string
	r, _ := callable(t, func(_ http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		got, body = req.Header, string(b)
	}, nil)
	r.do("POST", "/function/f", `{"specversion":"1.0","id":"outer","source":"/me","type":"t","datacontenttype":"application/cloudevents+json","data":{"id":"inner"}}`, "Content-Type", "application/cloudevents+json")
	if got.Get("Content-Type") != "application/cloudevents+json" || !strings.Contains(body, `"id":"outer"`) || !strings.Contains(body, `"inner"`) || got.Get("Ce-Id") != "" {
		t.Errorf("%s %v", body, got)
	}
}

func TestCallsThatCannotBeMade(t *testing.T) {
	slow, _ := callable(t, func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }, func(c *Config, _ *Deps) { c.Invoke.Timeout = 200 * time.Millisecond })
	slow.do("GET", "/function/f", "").refused(t, 504, "gateway-timeout")
	r, runs := callable(t, func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/base/long":
			_, _ = io.WriteString(w, strings.Repeat("x", 4096))
		case "/base/broken":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		case "/base/failing":
			http.Error(w, "its own words", http.StatusInternalServerError)
		}
	}, func(c *Config, _ *Deps) { c.Invoke.MaxAnswer = 2048 })
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"none": {404, "not-found"}, "f@v9": {404, "not-found"}, "starting": {503, "unavailable"}, "down": {502, "bad-gateway"},
		"f/%2e%2e/admin": {400, "leads out"}, "f/a/..%2f..%2fb": {400, "leads out"}, "f/long": {502, "bad-gateway"}, "f/broken": {502, "bad-gateway"}, "f/failing": {500, "its own words"},
	} {
		if a := r.do("GET", "/function/"+path, ""); a.StatusCode != want.status || !strings.Contains(string(a.body), want.text) || strings.Contains(string(a.body), "xxx") {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
	if a := r.do("GET", "/function/starting", ""); a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After while it starts")
	}
	for _, run := range runs() {
		if run.Outcome != event.Dead || run.Reason == "" {
			t.Errorf("%+v", run)
		}
	}
}

func TestAFunctionIsNotCalledMoreOftenAtATimeThanItMay(t *testing.T) {
	inside, out := make(chan struct{}), make(chan struct{})
	r, _ := callable(t, func(http.ResponseWriter, *http.Request) { inside <- struct{}{}; <-out }, nil)
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() { r.do("GET", "/function/f", "") })
		<-inside
	}
	if a := r.do("GET", "/function/f", ""); a.StatusCode != 429 || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	close(out)
	calls.Wait()
	go func() { <-inside }()
	if a := r.do("GET", "/function/f", ""); a.StatusCode != 200 {
		t.Errorf("afterwards: %d %s", a.StatusCode, a.body)
	}
}

func TestACallIsAdmittedAsAnEvent(t *testing.T) {
	called := false
	r, _ := callable(t, func(http.ResponseWriter, *http.Request) { called = true }, func(_ *Config, d *Deps) {
		d.Admitter = admitter(func(e *event.Event) (Verdict, error) {
			return Verdict{Denied: e.Type == "signalbox.invoke" && string(e.Data) == "no", Reason: "not that"}, nil
		})
	})
	if a := r.do("POST", "/function/f", "no"); a.StatusCode != 403 || !strings.Contains(string(a.body), "not that") || called {
		t.Errorf("%d %s, called %t", a.StatusCode, a.body, called)
	}
}
