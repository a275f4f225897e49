//go:build unix

// Package examples holds functions to read and to start from. This test runs
// each of them as its manifest says.
package examples

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/resource"
)

// start runs the functions of a directory's manifests.
func start(t *testing.T, dir string) (*functions.Registry, resource.Set) {
	t.Helper()
	return startWith(t, dir, nil)
}

// startWith is start where scripts are run too, which send what they send to outbox.
func startWith(t *testing.T, dir string, outbox *outbox) (*functions.Registry, resource.Set) {
	t.Helper()
	manifests, err := resource.LoadManifests(dir)
	if err != nil {
		t.Fatal(err)
	}
	set, faults := resource.NewSet(1, manifests.Objects)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	c := functions.DefaultConfig()
	c.ReadyTimeout = 3 * time.Minute // `go run` on a cold cache
	c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	c.Output = func(l event.Log) { t.Logf("%s %s: %s", l.Function, l.Stream, l.Line) }
	if outbox != nil {
		c.Scripts = &functions.ScriptsConfig{Dir: t.TempDir(), Sender: outbox, State: outbox}
	}
	r, err := functions.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	if err := r.Reconcile(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	return r, set
}

// step is one delivery: data goes in, the reply comes out.
type step struct {
	function, program string
	replyType         string
	contentType       string
	data              string
}

// follow hands an event from function to function, each reply to the next one.
func follow(t *testing.T, dir, eventType, data string, steps []step) {
	t.Helper()
	r, set := start(t, dir)
	id := "1%20a"
	for _, s := range steps {
		if _, err := exec.LookPath(s.program); errors.Is(err, exec.ErrNotFound) {
			t.Skipf("%s is not installed, so %s and what follows it were not tested", s.program, s.function)
		}
		listens(t, set, s.function, eventType)
		h, body := post(t, r, s.function, id, eventType, data)
		if h.Get("ce-type") != s.replyType || h.Get("ce-specversion") != "1.0" || h.Get("ce-source") == "" {
			t.Fatalf("%s answered with headers %v", s.function, h)
		}
		if !strings.HasPrefix(h.Get("ce-id"), id) {
			t.Errorf("%s made id %q of %q: want it to stay percent-encoded", s.function, h.Get("ce-id"), id)
		}
		if h.Get("Content-Type") != s.contentType || strings.TrimSpace(body) != s.data {
			t.Fatalf("%s answered %s %q, want %s %q", s.function, h.Get("Content-Type"), body, s.contentType, s.data)
		}
		id, eventType, data = h.Get("ce-id"), s.replyType, body
	}
}

// listens checks that the manifest links the type to the function.
func listens(t *testing.T, set resource.Set, function, eventType string) {
	t.Helper()
	for _, l := range set.Links {
		if l.Spec.Function == function && len(l.Spec.Types) == 1 && l.Spec.Types[0] == eventType {
			return
		}
	}
	t.Errorf("%s does not listen to %s", function, eventType)
}

// post delivers a binary event as the dispatcher does.
func post(t *testing.T, r *functions.Registry, function, id, eventType, data string) (http.Header, string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	url, err := r.WaitReady(ctx, function, "")
	if err != nil {
		t.Fatal(err)
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"ce-specversion": "1.0", "ce-id": id, "ce-source": "/test", "ce-type": eventType,
		"Content-Type": "application/json", "Prefer": "reply", "Signalbox-Attempt": "1",
	} {
		q.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answered %d %s (%v)", function, resp.StatusCode, body, err)
	}
	return resp.Header, string(body)
}

func TestHello(t *testing.T) {
	follow(t, "hello", "com.example.hello", `{"name":"Ada"}`, []step{
		{"greet", "go", "com.example.greeted", "application/json", `{"greeting":"Hello, Ada!"}`},
		{"shout", "go", "com.example.shouted", "application/json", `{"greeting":"HELLO, ADA!"}`},
	})
}

func TestHelloWithoutDataGreetsTheWorld(t *testing.T) {
	follow(t, "hello", "com.example.hello", "", []step{
		{"greet", "go", "com.example.greeted", "application/json", `{"greeting":"Hello, world!"}`},
	})
}

func TestChain(t *testing.T) {
	follow(t, "chain", "com.example.order.placed", `{"items":[{"name":"tea","price":350,"count":2},{"name":"cake","price":480,"count":1}]}`, []step{
		{"total", "go", "com.example.order.totalled", "application/json",
			`{"items":[{"name":"tea","price":350,"count":2},{"name":"cake","price":480,"count":1}],"total":1180}`},
		{"tax", "python3", "com.example.order.taxed", "application/json",
			`{"items": [{"name": "tea", "price": 350, "count": 2}, {"name": "cake", "price": 480, "count": 1}], "total": 1416, "tax": 236}`},
		{"receipt", "node", "com.example.order.receipt", "text/plain; charset=utf-8",
			"2 x tea: 7.00\n1 x cake: 4.80\ntax: 2.36\ntotal: 14.16"},
	})
}
