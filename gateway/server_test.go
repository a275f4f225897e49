package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/gateway/gatewaytest"
)

// rig is a running gateway with its fakes.
type rig struct {
	t      testing.TB
	server *Server
	log    *gatewaytest.Log
	ledger *gatewaytest.Ledger
	url    string
	stop   context.CancelFunc
	done   chan error
	logs   *bytes.Buffer
}

func start(t testing.TB, change func(*Config, *Deps)) *rig {
	t.Helper()
	r := &rig{t: t, log: &gatewaytest.Log{}, ledger: &gatewaytest.Ledger{}, done: make(chan error, 1), logs: &bytes.Buffer{}}
	c := DefaultConfig()
	c.Addr, c.StopTimeout = "127.0.0.1:0", 5*time.Second
	d := Deps{
		Appender: r.log, Resources: r.ledger, Reader: r.log, Letters: r.log, Deliveries: r.log, Explainer: r.log, WhatIfs: r.log,
		Logger: slog.New(slog.NewTextHandler(r.logs, nil)),
	}
	if change != nil {
		change(&c, &d)
	}
	var err error
	if r.server, err = New(c, d); err != nil {
		t.Fatal(err)
	}
	if err := r.server.Listen(); err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + r.server.Addr()
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { r.done <- r.server.Run(ctx); close(r.done) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err, ok := <-r.done; ok && err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body []byte
}

func (r *rig) do(method, path, body string, headers ...string) answer {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	req.Host = req.Header.Get("Host")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{resp, b}
}

// refused checks status and problem document, and returns the document.
func (a answer) refused(t testing.TB, status int, slug string) map[string]any {
	t.Helper()
	if a.StatusCode != status || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%d %s %s: want %d and a problem document", a.StatusCode, a.Header.Get("Content-Type"), a.body, status)
	}
	var p map[string]any
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatal(err)
	}
	if want := "https://signalbox.dev/problems/" + slug; p["type"] != want || p["status"] != float64(status) || p["title"] == "" {
		t.Fatalf("problem %s: want type %s, status %d and a title", a.body, want, status)
	}
	return p
}

// raw sends bytes on a connection of its own and returns all that comes back.
func (r *rig) raw(request string) string {
	r.t.Helper()
	c, err := net.Dial("tcp", r.server.Addr())
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		r.t.Fatalf("%q: %v", request, err)
	}
	b, _ := io.ReadAll(resp.Body)
	return resp.Status + " " + string(b)
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	r := start(t, nil)
	const event = "ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\nContent-Length: 2\r\n"
	for name, request := range map[string]string{
		"no Host":                      "POST /events HTTP/1.1\r\n" + event + "\r\nhi",
		"two Hosts":                    "POST /events HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n" + event + "\r\nhi",
		"two Content-Types":            "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n" + event + "\r\nhi",
		"unknown version":              "POST /events HTTP/9.1\r\nHost: localhost\r\n" + event + "\r\nhi",
		"bare line feeds":              strings.ReplaceAll("POST /events HTTP/1.1\r\nHost: localhost\r\n"+event+"\r\nhi", "\r\n", "\n"),
		"control character in a name":  "POST /events HTTP/1.1\r\nHost: localhost\r\nfo\x01o: b\r\n" + event + "\r\nhi",
		"control character in a value": "POST /events HTTP/1.1\r\nHost: localhost\r\nfoo: b\x02c\r\n" + event + "\r\nhi",
		"folded line":                  "POST /events HTTP/1.1\r\nHost: localhost\r\nfoo: b\r\n c\r\n" + event + "\r\nhi",
		"line without colon":           "POST /events HTTP/1.1\r\nHost: localhost\r\nfoo\r\n" + event + "\r\nhi",
		"unknown transfer coding":      "POST /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\nce-id: 1\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
		"two ways of framing":          "POST /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n" + event + "\r\n2\r\nhi\r\n0\r\n\r\n",
		"two lengths":                  "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n" + event + "\r\nhi",
		"negative length":              "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: -2\r\n\r\nhi",
		"nonsense":                     "garbage\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got := r.raw(request); !strings.HasPrefix(got, "400 ") || !strings.Contains(got, `"status":400`) {
				t.Errorf("answered %s", got)
			}
		})
	}
	if n := len(r.log.Records()); n != 0 {
		t.Errorf("%d events were appended", n)
	}
	if got := r.raw("POST /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + event + "\r\nhi"); !strings.HasPrefix(got, "202 ") {
		t.Errorf("a good one is answered %s", got)
	}
	if got := r.raw("POST /events HTTP/1.0\r\n" + event + "\r\nhi"); !strings.HasPrefix(got, "202 ") {
		t.Errorf("HTTP/1.0 needs no Host, but is answered %s", got)
	}
}

func TestUnknownRoutesAndMethods(t *testing.T) {
	r := start(t, nil)
	r.do("GET", "/nowhere", "").refused(t, 404, "not-found")
	r.do("GET", "/api/v1/gadgets", "").refused(t, 404, "not-found")
	for path, allow := range map[string][]string{
		"/events":               {"POST", "OPTIONS"},
		"/api/v1/functions":     {"GET", "POST", "HEAD"},
		"/api/v1/functions/a":   {"GET", "HEAD", "PUT", "PATCH", "DELETE"},
		"/api/v1/deadletters/x": {"GET", "HEAD"},
		"/healthz":              {"GET", "HEAD"},
	} {
		r.do("BREW", path, "").refused(t, 405, "method-not-allowed")
		a := r.do("TRACE", path, "")
		a.refused(t, 405, "method-not-allowed")
		for _, m := range allow {
			if !strings.Contains(a.Header.Get("Allow"), m) {
				t.Errorf("%s: Allow is %q: want %s in it", path, a.Header.Get("Allow"), m)
			}
		}
	}
	r.do("GET", "/events", "").refused(t, 405, "method-not-allowed")
}

func TestPanicIsA500AndLogged(t *testing.T) {
	r := start(t, func(c *Config, d *Deps) {
		d.Appender = panicking{}
	})
	r.do("POST", "/events", "x", "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t").refused(t, 500, "internal")
	if !strings.Contains(r.logs.String(), "this is a bug") {
		t.Error("it was not logged")
	}
}

func TestTakenPortNamesTheFlag(t *testing.T) {
	r := start(t, nil)
	c := DefaultConfig()
	c.Addr = r.server.Addr()
	s, err := New(c, r.server.deps)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), "--http "+c.Addr) || !strings.Contains(err.Error(), "taken") {
		t.Errorf("error is %v", err)
	}
}

func TestConfigListsEveryFault(t *testing.T) {
	c := DefaultConfig()
	c.MaxBody, c.Ingest.MaxBatch, c.Subscribe.QueueLength = 1, 0, 0
	_, err := New(c, Deps{})
	for _, want := range []string{"MaxBody 1", "MaxBatch 0", "QueueLength 0", "Deps.Appender", "Deps.Reader"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestHealth(t *testing.T) {
	ledger := errors.New("ledger: connection refused")
	r := start(t, func(c *Config, d *Deps) {
		d.Checks = []Check{
			{"log", func(context.Context) error { return nil }},
			{"ledger", func(context.Context) error { return ledger }},
		}
	})
	if a := r.do("GET", "/healthz", ""); a.StatusCode != 200 {
		t.Errorf("healthz: %d", a.StatusCode)
	}
	a := r.do("GET", "/readyz", "")
	if a.StatusCode != 503 || !strings.Contains(string(a.body), `"ledger":{"status":"failing","error":"ledger: connection refused"}`) ||
		!strings.Contains(string(a.body), `"log":{"status":"ok"}`) {
		t.Errorf("readyz: %d %s", a.StatusCode, a.body)
	}
	ledger = nil
	if a := r.do("GET", "/readyz", ""); a.StatusCode != 200 || !strings.Contains(string(a.body), `"status":"ready"`) {
		t.Errorf("readyz: %d %s", a.StatusCode, a.body)
	}
}

func TestStopSaysUnreadyFirstAndFinishesWhatIsUnderWay(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	r := start(t, nil)
	r.log.Append = func(context.Context) error { close(arrived); <-release; return nil }
	status := make(chan int, 1)
	go func() {
		status <- r.do("POST", "/events", "x", "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t").StatusCode
	}()
	<-arrived
	r.stop()
	for !r.server.stopping.Load() {
		runtime.Gosched()
	}
	close(release)
	if got := <-status; got != 202 {
		t.Errorf("the request under way was answered %d", got)
	}
	if err := <-r.done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if c, err := net.Dial("tcp", r.server.Addr()); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}

func TestReadyzWhileStopping(t *testing.T) {
	r := start(t, nil)
	r.server.stopping.Store(true)
	if a := r.do("GET", "/readyz", ""); a.StatusCode != 503 || !strings.Contains(string(a.body), `"stopping"`) {
		t.Errorf("readyz: %d %s", a.StatusCode, a.body)
	}
}

func TestHomeIsSelfContained(t *testing.T) {
	a := start(t, nil).do("GET", "/", "")
	if a.StatusCode != 200 || a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	if bytes.Contains(a.body, []byte("src=")) || bytes.Contains(a.body, []byte("<script")) {
		t.Error("the page loads something")
	}
}

// Clients keep connections in store on which they have not sent anything yet.
func TestAStopDoesNotWaitForConnectionsThatWereNeverUsed(t *testing.T) {
	r := start(t, nil)
	unused, err := net.Dial("tcp", r.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer unused.Close()
	resp, err := http.Get(r.url + "/healthz") // by now the server has accepted the one before, too
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	began := time.Now()
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the stop took %s: it waited for an unused connection", took)
	}
}
