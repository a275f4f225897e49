package gateway

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/catalogue"
	"github.com/signalbox-dev/signalbox/gateway/gatewaytest"
	"github.com/signalbox-dev/signalbox/resource"
)

func typed(name string) catalogue.Type {
	return catalogue.Type{
		Name: name, Count: 1, LastSeen: time.Now(), Sources: []string{"/s"}, ContentTypes: []string{}, EmittedBy: []string{}, DeclaredBy: []string{},
		Listeners: []catalogue.Listener{{Link: "l", Function: "f"}}, Schemas: []string{}, Sample: json.RawMessage(`{"id":"1"}`),
	}
}

func withGraphs(c *Config, d *Deps) {
	withMetrics(c, d)
	objects, err := resource.Decode("", []byte(`{"apiVersion":"signalbox.dev/v1","kind":"Function","metadata":{"name":"a"},"spec":{"url":"http://f","on":["t"],"emits":["u"],"version":"v1"}}
---
{"apiVersion":"signalbox.dev/v1","kind":"Function","metadata":{"name":"b"},"spec":{"url":"http://f","on":["u"]}}`))
	if err != nil {
		panic(err)
	}
	d.Graphs = &gatewaytest.Graphs{Objects: objects}
	d.Catalogue = gatewaytest.Catalogue{typed("a.b"), typed("a.c"), typed("b/c d"), typed("z")}
}

func TestAnswersOfGraphAndCatalogueAreAsDocumented(t *testing.T) {
	r := start(t, withGraphs)
	doc := r.document()
	for _, x := range []struct {
		method, route, path, body, accept string
		status                            int
		says                              string
	}{
		{"GET", "/api/v1/graph", "", "", "", 200, `"from":"function:a"`},
		{"GET", "/api/v1/graph", "?function=b", "", "", 200, `"id":"function:b"`},
		{"GET", "/api/v1/graph", "?type=t", "", "", 200, `"id":"type:t"`},
		{"GET", "/api/v1/graph", "?format=mermaid", "", "", 200, "flowchart LR\n"},
		{"GET", "/api/v1/graph", "?format=dot&type=u", "", "", 200, "digraph signalbox {"},
		{"GET", "/api/v1/graph", "", "", "text/vnd.mermaid", 200, "flowchart LR\n"},
		{"GET", "/api/v1/graph", "", "", "text/vnd.graphviz, */*;q=0.1", 200, "digraph"},
		{"GET", "/api/v1/graph", "?format=svg", "", "", 400, "want json, mermaid or dot"},
		{"GET", "/api/v1/graph", "?type=t&function=a", "", "", 400, "want one of them"},
		{"GET", "/api/v1/graph", "?function=nobody", "", "", 404, "there is no function nobody"},
		{"GET", "/api/v1/types", "", "", "", 200, `"name":"a.b"`},
		{"GET", "/api/v1/types", "?type=a.*&limit=1", "", "", 200, `"next":`},
		{"GET", "/api/v1/types", "?source=x", "", "", 400, "parameter"},
		{"GET", "/api/v1/types", "?cursor=%21", "", "", 400, "cursor"},
		{"GET", "/api/v1/types/{name}", "/a.b", "", "", 200, `"sample":{"id":"1"}`},
		{"GET", "/api/v1/types/{name}", "/b%2Fc%20d", "", "", 200, `"name":"b/c d"`},
		{"GET", "/api/v1/types/{name}", "/none", "", "", 404, "none"},
		{"POST", "/api/v1/apply", "?dryRun=true", function("c", ""), "", 200, `"distance":0`},
		{"POST", "/api/v1/apply", "", function("c", ""), "", 200, `"kind":"unreachable"`},
	} {
		path := strings.TrimSuffix(x.route, "/{name}") + x.path
		var h []string
		if x.accept != "" {
			h = append(h, "Accept", x.accept)
		}
		a := r.do(x.method, path, x.body, h...)
		if a.StatusCode != x.status || !strings.Contains(string(a.body), x.says) {
			t.Errorf("%s: %d %s, want %d and %s", path, a.StatusCode, a.body, x.status, x.says)
		}
		checkAnswer(t, doc, doc["paths"].(map[string]any)[x.route].(map[string]any)[strings.ToLower(x.method)].(map[string]any), a)
	}
}

func TestTypesArePaged(t *testing.T) {
	r := start(t, withGraphs)
	var names []string
	for path := "/api/v1/types?limit=3"; path != ""; {
		var p struct {
			Items []catalogue.Type
			Next  string
		}
		if err := json.Unmarshal(r.do("GET", path, "").body, &p); err != nil {
			t.Fatal(err)
		}
		for _, x := range p.Items {
			names = append(names, x.Name)
		}
		if path = ""; p.Next != "" {
			path = "/api/v1/types?limit=3&cursor=" + p.Next
		}
	}
	if got := strings.Join(names, ", "); got != "a.b, a.c, b/c d, z" {
		t.Error(got)
	}
}

func TestAGraphThatCannotBeHadKeepsNoChangeFromBeingMade(t *testing.T) {
	r := start(t, func(_ *Config, d *Deps) { d.Graphs = &gatewaytest.Graphs{Err: errors.New("away")} })
	if a := r.do("POST", "/api/v1/apply", function("c", "")); a.StatusCode != 200 || strings.Contains(string(a.body), "warnings") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	r = start(t, nil)
	for _, path := range []string{"/api/v1/graph", "/api/v1/types", "/api/v1/types/t"} {
		if a := r.do("GET", path, ""); a.StatusCode != 503 {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
}
