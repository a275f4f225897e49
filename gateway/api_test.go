package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/resource"
)

const asJSON, asPatch = "application/json", "application/merge-patch+json"

func function(name, extra string) string {
	return fmt.Sprintf(`{"apiVersion":"signalbox.dev/v1","kind":"Function","metadata":{"name":%q%s},"spec":{"url":"http://127.0.0.1:9000/"}}`, name, extra)
}

func (a answer) object(t *testing.T, status int) resource.Object {
	t.Helper()
	var o resource.Object
	if err := json.Unmarshal(a.body, &o); err != nil || a.StatusCode != status {
		t.Fatalf("%d %s: want %d and a resource", a.StatusCode, a.body, status)
	}
	return o
}

func (r *rig) json(method, path, body string, headers ...string) answer {
	r.t.Helper()
	return r.do(method, path, body, append([]string{"Content-Type", asJSON}, headers...)...)
}

func TestAddGetDelete(t *testing.T) {
	r := start(t, nil)
	a := r.json("POST", "/api/v1/functions", function("a", ""))
	if o := a.object(t, 201); o.Metadata.Revision != 1 || a.Header.Get("Location") != "/api/v1/functions/a" || a.Header.Get("ETag") != `"1"` {
		t.Errorf("%+v %v", o, a.Header)
	}
	r.json("POST", "/api/v1/functions", function("a", "")).refused(t, 409, "exists")
	a = r.do("GET", "/api/v1/functions/a", "")
	if o := a.object(t, 200); o.Metadata.Name != "a" || o.Kind != "Function" {
		t.Errorf("%+v", o)
	}
	if a := r.do("GET", "/api/v1/functions/a", "", "If-None-Match", `"1"`); a.StatusCode != 304 || len(a.body) != 0 {
		t.Errorf("If-None-Match: %d", a.StatusCode)
	}
	r.do("DELETE", "/api/v1/functions/a?revision=7", "").refused(t, 409, "revision-conflict")
	r.do("DELETE", "/api/v1/functions/a", "", "If-Match", `"7"`).refused(t, 412, "precondition-failed")
	if a := r.do("DELETE", "/api/v1/functions/a?revision=1", ""); a.StatusCode != 204 {
		t.Errorf("DELETE: %d", a.StatusCode)
	}
	r.do("DELETE", "/api/v1/functions/a", "").refused(t, 404, "not-found")
	r.do("GET", "/api/v1/functions/a", "").refused(t, 404, "not-found")
	r.do("DELETE", "/api/v1/functions/a?revision=x", "").refused(t, 400, "invalid-query")
}

func TestUpdate(t *testing.T) {
	r := start(t, nil)
	if a := r.json("PUT", "/api/v1/functions/a", function("a", "")); a.StatusCode != 201 || a.Header.Get("Location") == "" {
		t.Fatalf("PUT of a new one: %d", a.StatusCode)
	}
	if o := r.json("PUT", "/api/v1/functions/a", function("a", "")).object(t, 200); o.Metadata.Revision != 2 {
		t.Errorf("%+v", o)
	}
	r.json("PUT", "/api/v1/functions/a", function("a", `,"revision":1`)).refused(t, 409, "revision-conflict")
	r.json("PUT", "/api/v1/functions/a", function("a", `,"revision":2`)).object(t, 200)
	r.json("PUT", "/api/v1/functions/a", function("a", ""), "If-Match", `"2"`).refused(t, 412, "precondition-failed")
	r.json("PUT", "/api/v1/functions/a", function("a", ""), "If-Match", `"3"`).object(t, 200)
	r.json("PUT", "/api/v1/functions/a", function("a", ""), "If-None-Match", "*").refused(t, 412, "precondition-failed")
	r.json("PUT", "/api/v1/functions/a", function("a", `,"revision":9`), "If-Match", `"4"`).refused(t, 400, "invalid-query")
	r.json("PUT", "/api/v1/functions/b", function("a", "")).refused(t, 400, "invalid-resource")
	r.json("PUT", "/api/v1/links/a", function("a", "")).refused(t, 400, "invalid-resource")
}

func TestPatch(t *testing.T) {
	r := start(t, nil)
	patch := func(body string, h ...string) answer {
		return r.do("PATCH", "/api/v1/functions/a", body, append([]string{"Content-Type", asPatch + "; charset=utf-8"}, h...)...)
	}
	patch(`{}`).refused(t, 404, "not-found")
	r.json("POST", "/api/v1/functions", function("a", `,"labels":{"team":"media","old":"x"}`))
	o := patch(`{"metadata":{"labels":{"old":null,"new":"y"}},"spec":{"concurrency":7}}`).object(t, 200)
	if len(o.Metadata.Labels) != 2 || o.Metadata.Labels["new"] != "y" || !strings.Contains(string(o.Spec), `"concurrency":7`) || !strings.Contains(string(o.Spec), "9000") {
		t.Errorf("%+v %s", o, o.Spec)
	}
	patch(`{"metadata":{"revision":1}}`).refused(t, 409, "revision-conflict")
	patch(`{}`, "If-Match", `"1"`).refused(t, 412, "precondition-failed")
	patch(`{"metadata":{"revision":2}}`).object(t, 200)
	patch(`{"metadata":{"name":"b"}}`).refused(t, 400, "invalid-resource")
	patch(`{"spec":{"concurrency":"many"}}`).refused(t, 400, "invalid-resource")
	patch(`{"spec":{"nonsense":1}}`).refused(t, 400, "invalid-resource")
	patch(`[]`).refused(t, 400, "invalid-patch")
	patch(`null`).refused(t, 400, "invalid-patch")
	patch(`{} {}`).refused(t, 400, "invalid-patch")
	a := r.json("PATCH", "/api/v1/functions/a", `{}`)
	a.refused(t, 415, "unsupported-media-type")
	if a.Header.Get("Accept-Patch") != asPatch {
		t.Error("no Accept-Patch")
	}
	if o := r.do("GET", "/api/v1/functions/a", "").object(t, 200); o.Metadata.Revision != 3 {
		t.Errorf("a refused patch changed it: %+v", o)
	}
}

func TestPatchIsComputedAgainWhenSomebodyWasFaster(t *testing.T) {
	r := start(t, nil)
	r.json("POST", "/api/v1/functions", function("a", ""))
	once := true
	r.ledger.OnPut = func() {
		if once {
			once = false
			r.json("PUT", "/api/v1/functions/a", function("a", `,"labels":{"theirs":"1"}`))
		}
	}
	o := r.do("PATCH", "/api/v1/functions/a", `{"metadata":{"labels":{"mine":"1"}}}`, "Content-Type", asPatch).object(t, 200)
	if o.Metadata.Labels["theirs"] != "1" || o.Metadata.Labels["mine"] != "1" {
		t.Errorf("one change was lost: %v", o.Metadata.Labels)
	}
}

type page struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"next"`
}

func (a answer) page(t *testing.T) page {
	t.Helper()
	var p page
	if err := json.Unmarshal(a.body, &p); err != nil || a.StatusCode != 200 || p.Items == nil {
		t.Fatalf("%d %s: want a list", a.StatusCode, a.body)
	}
	return p
}

func TestListPagesAndSelects(t *testing.T) {
	r := start(t, nil)
	if n := len(r.do("GET", "/api/v1/functions", "").page(t).Items); n != 0 {
		t.Errorf("%d items", n)
	}
	for i := range 5 {
		r.json("POST", "/api/v1/functions", function(fmt.Sprintf("f%d", i), fmt.Sprintf(`,"labels":{"n":"%d","odd":"%t"}`, i, i%2 == 1)))
	}
	var names []string
	cursor := ""
	for pages := 0; pages < 4; pages++ {
		p := r.do("GET", "/api/v1/functions?limit=2&cursor="+cursor, "").page(t)
		for _, it := range p.Items {
			var o resource.Object
			_ = json.Unmarshal(it, &o)
			names = append(names, o.Metadata.Name)
		}
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "f0 f1 f2 f3 f4" {
		t.Errorf("pages give %s", got)
	}
	for sel, want := range map[string]int{
		"odd=true": 2, "odd==true": 2, "odd!=true": 3, "odd": 5, "!odd": 0, "nope": 0, "nope!=x": 5, "odd=true,n=1": 1,
	} {
		if n := len(r.do("GET", "/api/v1/functions?selector="+strings.ReplaceAll(sel, "=", "%3D"), "").page(t).Items); n != want {
			t.Errorf("selector %s: %d items, want %d", sel, n, want)
		}
	}
	for _, bad := range []string{"limit=0", "limit=x", "cursor=%21", "selector=a+in+(b)", "selector=,"} {
		r.do("GET", "/api/v1/functions?"+bad, "").refused(t, 400, "invalid-query")
	}
}

func TestWrongResourcesNameTheField(t *testing.T) {
	r := start(t, nil)
	p := r.json("POST", "/api/v1/functions", "{\"apiVersion\":\"signalbox.dev/v1\",\n\"kind\":\"Function\",\n\"metadata\":{\"name\":\"A b\"},\n\"spec\":{\"urll\":1}}").refused(t, 400, "invalid-resource")
	if b, _ := json.Marshal(p["faults"]); !strings.Contains(string(b), `"field":"spec.urll"`) || !strings.Contains(string(b), `"line":4`) {
		t.Errorf("faults %s", b)
	}
	r.json("POST", "/api/v1/functions", "").refused(t, 400, "invalid-resource")
	r.json("POST", "/api/v1/functions", "[").refused(t, 400, "invalid-resource")
	r.json("POST", "/api/v1/links", function("a", "")).refused(t, 400, "invalid-resource")
	r.do("POST", "/api/v1/functions", function("a", ""), "Content-Type", "text/plain").refused(t, 415, "unsupported-media-type")
	r.json("POST", "/api/v1/functions", function("a", `,"labels":{"x":"`+strings.Repeat("x", 1<<20)+`"}`)).refused(t, 413, "too-large")
}

func TestLedgerAwayIs503(t *testing.T) {
	r := start(t, nil)
	r.ledger.Err = fmt.Errorf("dial: %w", ErrUnavailable)
	for _, a := range []answer{
		r.do("GET", "/api/v1/functions", ""), r.do("GET", "/api/v1/functions/a", ""), r.json("POST", "/api/v1/functions", function("a", "")),
		r.do("DELETE", "/api/v1/functions/a", ""), r.json("POST", "/api/v1/apply", function("a", "")),
	} {
		a.refused(t, 503, "unavailable")
		if a.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	r.ledger.Err = errors.New("a secret of the inside")
	a := r.do("GET", "/api/v1/functions", "")
	a.refused(t, 500, "internal")
	if strings.Contains(string(a.body), "secret") || !strings.Contains(r.logs.String(), "secret") {
		t.Error("an unforeseen error belongs into the log, not into the answer")
	}
}

func yaml(name, url string) string {
	return "apiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: " + name + "}\nspec:\n  url: " + url + "\n"
}

func TestApplyIsAllOrNothing(t *testing.T) {
	r := start(t, nil)
	apply := func(query, body string) answer {
		return r.do("POST", "/api/v1/apply"+query, body, "Content-Type", "application/yaml")
	}
	good := yaml("a", "http://x/") + "---\n" + yaml("b", "http://x/")
	if n := len(apply("?dryRun=true", good).page(t).Items); n != 2 {
		t.Errorf("dry run: %d items", n)
	}
	if n := len(r.do("GET", "/api/v1/functions", "").page(t).Items); n != 0 {
		t.Errorf("a dry run wrote %d", n)
	}
	p := apply("?file=fn.yaml", good+"---\n"+yaml("c", "nowhere")).refused(t, 400, "invalid-resource")
	if b, _ := json.Marshal(p["faults"]); !strings.Contains(string(b), `"file":"fn.yaml","line":17`) || !strings.Contains(string(b), `"field":"spec.url"`) {
		t.Errorf("faults %s", b)
	}
	apply("", good+"---\n"+yaml("a", "http://y/")).refused(t, 400, "invalid-resource")
	apply("", "").refused(t, 400, "invalid-resource")
	apply("?dryRun=perhaps", good).refused(t, 400, "invalid-query")
	r.ledger.Check = func(o resource.Object) resource.Faults {
		if o.Metadata.Name == "b" {
			return resource.Faults{{Resource: "Function/b", Field: "spec.url", Problem: "not today"}}
		}
		return nil
	}
	p = apply("?file=fn.yaml", good).refused(t, 400, "invalid-resource")
	if b, _ := json.Marshal(p["faults"]); !strings.Contains(string(b), `"file":"fn.yaml","line":11`) {
		t.Errorf("a fault found later has no place: %s", b)
	}
	if n := len(r.do("GET", "/api/v1/functions", "").page(t).Items); n != 0 {
		t.Errorf("refused manifests wrote %d", n)
	}
	r.ledger.Check = nil
	if n := len(apply("", good).page(t).Items); n != 2 {
		t.Errorf("%d items", n)
	}
	stale := strings.Replace(good, "{name: b}", "{name: b, revision: 77}", 1)
	apply("", stale).refused(t, 409, "revision-conflict")
}

func TestHistory(t *testing.T) {
	r := start(t, nil)
	for i := range 5 {
		r.do("POST", "/events", fmt.Sprint(i), "ce-specversion", "1.0", "ce-id", fmt.Sprint(i), "ce-source", "/s", "ce-type", fmt.Sprintf("t.%d", i%2), "Content-Type", asJSON)
	}
	p := r.do("GET", "/api/v1/events?type=t.0&limit=2", "").page(t)
	if len(p.Items) != 2 || p.Next == "" || !strings.Contains(string(p.Items[0]), `"position":"0:0"`) || !strings.Contains(string(p.Items[0]), `"logtime":`) {
		t.Errorf("%s next %q", p.Items, p.Next)
	}
	if rest := r.do("GET", "/api/v1/events?type=t.0&limit=2&cursor="+p.Next, "").page(t); len(rest.Items) != 1 || rest.Next != "" {
		t.Errorf("%s next %q", rest.Items, rest.Next)
	}
	for q, want := range map[string]int{"type=t.*": 5, "id=3": 1, "source=/other": 0, "since=1h": 5, "since=0s": 0, "until=1h": 0, "since=2020-01-01T00:00:00Z&until=2999-01-01T00:00:00Z": 5} {
		if n := len(r.do("GET", "/api/v1/events?"+q, "").page(t).Items); n != want {
			t.Errorf("%s: %d events, want %d", q, n, want)
		}
	}
	for _, bad := range []string{"since=yesterday", "limit=-1", "cursor=x", "nonsense=1", "function=f", "since=1h&until=2h"} {
		r.do("GET", "/api/v1/events?"+bad, "").refused(t, 400, "invalid-query")
	}
}

func TestRunsAndDeadLetters(t *testing.T) {
	r := start(t, nil)
	r.log.AddRun(event.Run{ID: "r1", Link: "l", Function: "f", EventSource: "/s", EventID: "1", EventType: "t", Outcome: event.Delivered, Time: time.Now()})
	r.log.AddRun(event.Run{ID: "r2", Link: "l", Function: "g", EventSource: "/s", EventID: "1", EventType: "t", Outcome: event.Dead, Reason: "status 400", Time: time.Now()})
	e := &event.Event{ID: "1", Source: "/s", Type: "t", Data: []byte("x"), DataContentType: "text/plain"}
	r.log.AddDeadLetter(event.DeadLetter{ID: "d1", Event: e, Link: "l", Function: "g", Reason: "status 400", Position: "0:0", Time: time.Now(), Attempts: []event.Attempt{{Number: 1, Status: 400, Body: "no"}}})
	r.log.AddDeadLetter(event.DeadLetter{ID: "d2", Raw: event.Message{Value: []byte("junk"), Headers: []event.Header{{Key: "k", Value: []byte("v")}}}, Reason: "not a CloudEvent", Position: "0:1", Time: time.Now()})
	for q, want := range map[string]int{"runs": 2, "runs?function=f": 1, "runs?outcome=dead": 1, "runs?reason=400": 1, "runs?link=x": 0, "runs?source=/s&id=1": 2,
		"deadletters": 2, "deadletters?function=g": 1, "deadletters?reason=CloudEvent": 1, "deadletters?id=1": 1, "deadletters?type=t": 1} {
		if n := len(r.do("GET", "/api/v1/"+q, "").page(t).Items); n != want {
			t.Errorf("%s: %d items, want %d", q, n, want)
		}
	}
	r.do("GET", "/api/v1/runs?outcome=fine", "").refused(t, 400, "invalid-query")
	var d map[string]any
	_ = json.Unmarshal(r.do("GET", "/api/v1/deadletters/d1", "").body, &d)
	if ev, _ := d["event"].(map[string]any); ev["id"] != "1" || ev["data"] != "x" || d["link"] != "l" || d["function"] != "g" || d["reason"] != "status 400" || len(d["attempts"].([]any)) != 1 {
		t.Errorf("%v", d)
	}
	d = nil
	_ = json.Unmarshal(r.do("GET", "/api/v1/deadletters/d2", "").body, &d)
	if raw, _ := d["raw"].(map[string]any); raw["value"] != "anVuaw==" || d["event"] != nil || d["attempts"] == nil {
		t.Errorf("%v", d)
	}
	r.do("GET", "/api/v1/deadletters/none", "").refused(t, 404, "not-found")
}

func TestLines(t *testing.T) {
	r := start(t, nil)
	trace := strings.Repeat("a", 32)
	r.log.AddLine(event.Log{Time: time.Now(), Function: "f", Version: "v1", Stream: "stdout", Line: "one", Run: "r1", TraceID: trace})
	r.log.AddLine(event.Log{Time: time.Now(), Function: "f", Version: "v2", Stream: "stderr", Line: "two", Run: "r2"})
	r.log.AddLine(event.Log{Time: time.Now(), Function: "g", Stream: "log", Level: "info", Line: "three"})
	for q, want := range map[string]int{"": 3, "?function=f": 2, "?version=v2": 1, "?run=r1": 1, "?trace=" + trace: 1, "?since=1h&limit=2": 2, "?until=1h": 0} {
		if n := len(r.do("GET", "/api/v1/logs"+q, "").page(t).Items); n != want {
			t.Errorf("%s: %d items, want %d", q, n, want)
		}
	}
	r.do("GET", "/api/v1/logs?outcome=dead", "").refused(t, 400, "invalid-query")
}

// oneChain is a Tracer that knows one chain.
type oneChain struct{ asked history.TraceQuery }

func (o *oneChain) Trace(_ context.Context, q history.TraceQuery) (history.Trace, error) {
	o.asked = q
	if q.ID != "1" {
		return history.Trace{}, problem.ErrNotFound
	}
	run := history.TraceRun{Run: event.Run{ID: "r", Function: "f", Outcome: event.Delivered, Time: time.Now()}, Lines: []event.Log{{Line: "x"}}}
	run.Effects = []*history.TraceEvent{{Source: "/f", ID: "2", Type: "u", Runs: []history.TraceRun{}}}
	return history.Trace{Asked: "event", Traces: []history.TraceRef{{ID: "t"}}, Roots: []*history.TraceEvent{{Source: "/s", ID: "1", Type: "t", Runs: []history.TraceRun{run}}}}, nil
}

func TestTrace(t *testing.T) {
	chain := &oneChain{}
	r := start(t, func(_ *Config, d *Deps) { d.Tracer = chain })
	a := r.do("GET", "/api/v1/trace?id=1&source=/s&logs=true", "")
	for _, part := range []string{`"asked":"event"`, `"function":"f"`, `"effects":[{"source":"/f"`, `"lines":[`} {
		if a.StatusCode != 200 || !strings.Contains(string(a.body), part) {
			t.Errorf("%d %s: want %s", a.StatusCode, a.body, part)
		}
	}
	if chain.asked != (history.TraceQuery{ID: "1", Source: "/s", Lines: true}) {
		t.Errorf("asked %+v", chain.asked)
	}
	r.do("GET", "/api/v1/trace?id=2", "").refused(t, 404, "not-found")
	r.do("GET", "/api/v1/trace", "").refused(t, 400, "invalid-query")
	r.do("GET", "/api/v1/trace?id=1&logs=maybe", "").refused(t, 400, "invalid-query")
}

func TestExplain(t *testing.T) {
	r := start(t, nil)
	for _, source := range []string{"/a", "/b"} {
		r.do("POST", "/events", "", "ce-specversion", "1.0", "ce-id", "1", "ce-source", source, "ce-type", "t")
	}
	var x map[string]any
	_ = json.Unmarshal(r.do("GET", "/api/v1/explain?source=/b&id=1", "").body, &x)
	links, _ := x["links"].([]any)
	if x["position"] != "0:1" || x["event"].(map[string]any)["source"] != "/b" || len(links) != 1 || links[0].(map[string]any)["deliveries"] == nil {
		t.Errorf("%v", x)
	}
	p := r.do("GET", "/api/v1/explain?id=1", "").refused(t, 409, "ambiguous-event")
	if fmt.Sprint(p["sources"]) != "[/a /b]" {
		t.Errorf("candidates %v", p["sources"])
	}
	r.do("GET", "/api/v1/explain?id=2", "").refused(t, 404, "not-found")
	r.do("GET", "/api/v1/explain", "").refused(t, 400, "invalid-query")
}
