package gateway

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

func withMetrics(_ *Config, d *Deps) {
	d.MetricsHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "up 1") })
}

func (r *rig) document() map[string]any {
	r.t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(r.do("GET", "/openapi.json", "").body, &doc); err != nil {
		r.t.Fatal(err)
	}
	return doc
}

func TestDocumentAndRouterKnowTheSameRoutes(t *testing.T) {
	r := start(t, withMetrics)
	var routed, documented []string
	for _, x := range r.server.app.GetRoutes(true) {
		if x.Method != fiber.MethodHead {
			routed = append(routed, x.Method+" "+openAPIPath(x.Path))
		}
	}
	ids := map[string]bool{}
	for path, item := range r.document()["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			documented = append(documented, strings.ToUpper(method)+" "+path)
			id, _ := op.(map[string]any)["operationId"].(string)
			if id == "" || ids[id] {
				t.Errorf("%s %s: operationId %q is empty or not unique", method, path, id)
			}
			ids[id] = true
		}
	}
	sort.Strings(routed)
	sort.Strings(documented)
	if !slices.Equal(routed, documented) {
		t.Errorf("routed     %v\ndocumented %v", routed, documented)
	}
	if a := r.do("GET", "/metrics", ""); a.StatusCode != 200 || string(a.body) != "up 1\n" {
		t.Errorf("metrics: %d %s", a.StatusCode, a.body)
	}
}

func TestReferencesOfTheDocumentResolve(t *testing.T) {
	doc := start(t, withMetrics).document()
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if r, ok := v["$ref"].(string); ok && resolve(doc, r) == nil {
				t.Errorf("%s leads nowhere", r)
			}
			for _, x := range v {
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(doc)
}

// TestAnswersAreAsDocumented asks every route for every kind of answer it can
// be brought to, and checks status, content type and body against the document.
func TestAnswersAreAsDocumented(t *testing.T) {
	r := start(t, func(c *Config, d *Deps) { withMetrics(c, d); d.Tracer = &oneChain{} })
	now := time.Now()
	e := &event.Event{ID: "1", Source: "/s", Type: "t", Data: []byte("x"), DataContentType: "text/plain"}
	r.log.AddRun(event.Run{ID: "r", Outcome: event.Delivered, Time: now, Replies: []event.ReplyRef{{Source: "/f", ID: "2", Type: "u"}}})
	r.log.AddLine(event.Log{Time: now, Function: "f", Stream: "stdout", Line: "x"})
	r.log.AddDeadLetter(event.DeadLetter{ID: "d1", Event: e, Time: now, Attempts: []event.Attempt{{Number: 1, Time: now}}})
	r.log.AddDeadLetter(event.DeadLetter{ID: "d2", Raw: event.Message{Value: []byte("x")}, Time: now})
	r.log.AddDecision(event.Decision{Kind: event.DecidedAdmission, Time: now, Event: &event.DecidedEvent{Source: "/s", ID: "1", Type: "t"}, Identity: map[string]any{"name": "x"}})
	r.log.AddDecision(event.Decision{Kind: event.DecidedManagement, Time: now, Before: json.RawMessage(`{"a":1}`), After: json.RawMessage(`null`)})
	r.emit("1", "t", `{"a":1}`)
	r.ledger.Keep(resource.Object{APIVersion: resource.APIVersion, Kind: resource.KindFunction, Metadata: resource.Metadata{Name: "c@v1"}, Spec: []byte(`{"version":"v1","url":"http://f/"}`)})
	doc := r.document()
	policy := `{"apiVersion":"signalbox.dev/v1","kind":"Policy","metadata":{"name":"p"},"spec":{"rego":"package signalbox.trigger"}}`
	link := `{"apiVersion":"signalbox.dev/v1","kind":"Link","metadata":{"name":"a"},"spec":{"function":"a","types":["t"],"filters":[{"not":{"exact":{"type":"x"}}}],"delivery":{"timeout":"3s","backoff":{"max":"1m"}}}}`
	for _, x := range []struct {
		method, path, query, body, contentType string
		status                                 int
	}{
		{"POST", "/events", "", structured, event.ContentTypeJSON, 202},
		{"POST", "/events", "", "[" + structured + `,{}]`, event.ContentTypeBatch, 400},
		{"POST", "/events", "", "x", "application/cloudevents+avro", 415},
		{"POST", "/events", "", strings.Repeat("x", 2<<20), "a/b", 413},
		{"OPTIONS", "/events", "", "", "", 200},
		{"GET", "/subscribe", "?since=x", "", "", 400},
		{"POST", "/api/v1/apply", "", function("a", ""), asJSON, 200},
		{"POST", "/api/v1/apply", "", function("A", ""), asJSON, 400},
		{"GET", "/api/v1/events", "", "", "", 200},
		{"GET", "/api/v1/events", "?limit=x", "", "", 400},
		{"GET", "/api/v1/runs", "", "", "", 200},
		{"GET", "/api/v1/logs", "", "", "", 200},
		{"GET", "/api/v1/logs", "?limit=x", "", "", 400},
		{"GET", "/api/v1/trace", "?id=1&logs=true", "", "", 200},
		{"GET", "/api/v1/trace", "?id=2", "", "", 404},
		{"GET", "/api/v1/decisions", "", "", "", 200},
		{"GET", "/api/v1/decisions", "?kind=nonsense", "", "", 400},
		{"GET", "/api/v1/deadletters", "", "", "", 200},
		{"GET", "/api/v1/deadletters/{id}", "d1", "", "", 200},
		{"GET", "/api/v1/deadletters/{id}", "d2", "", "", 200},
		{"GET", "/api/v1/deadletters/{id}", "none", "", "", 404},
		{"GET", "/api/v1/deadletters", "?state=gone", "", "", 400},
		{"POST", "/api/v1/deadletters/{id}/redrive", "d1", `{"event":` + structured + `}`, asJSON, 200},
		{"POST", "/api/v1/deadletters/{id}/redrive", "d1?dryRun=true", "", "", 200},
		{"POST", "/api/v1/deadletters/{id}/redrive", "d1", `{"events":1}`, asJSON, 400},
		{"POST", "/api/v1/deadletters/{id}/redrive", "d2", "", "", 409},
		{"POST", "/api/v1/deadletters/{id}/redrive", "none", "", "", 404},
		{"POST", "/api/v1/deadletters/{id}/redrive", "d1", "x", "text/plain", 415},
		{"POST", "/api/v1/deadletters/{id}/drop", "d1", "", "", 409},
		{"POST", "/api/v1/deadletters/{id}/drop", "d2?dryRun=true", "", "", 200},
		{"POST", "/api/v1/deadletters/{id}/drop", "none", "", "", 404},
		{"POST", "/api/v1/deadletters/redrive", "?all=true&limit=1", "", "", 200},
		{"POST", "/api/v1/deadletters/redrive", "?all=true", "", "", 200},
		{"POST", "/api/v1/deadletters/redrive", "", "", "", 400},
		{"POST", "/api/v1/deadletters/drop", "?since=1h&dryRun=true", "", "", 200},
		{"POST", "/api/v1/deadletters/drop", "?nonsense=1", "", "", 400},
		{"GET", "/api/v1/deadletters/{id}", "d1", "", "", 200},
		{"POST", "/api/v1/deliveries/{token}/complete", "f~l~0~1~1", "", "", 202},
		{"POST", "/api/v1/deliveries/{token}/complete", "f~l~0~1~1", structured, event.ContentTypeJSON, 202},
		{"POST", "/api/v1/deliveries/{token}/complete", "f~l~0~1~1", "{}", event.ContentTypeJSON, 400},
		{"POST", "/api/v1/deliveries/{token}/complete", "f~l~0~1~1?status=301", "", "", 400},
		{"POST", "/api/v1/deliveries/{token}/complete", "nonsense", "", "", 404},
		{"POST", "/api/v1/deliveries/{token}/complete", "f~l~7~1~1", "", "", 404},
		{"POST", "/api/v1/deliveries/{token}/complete", "f~l~0~1~1", "x", "application/cloudevents+avro", 415},
		{"POST", "/api/v1/deliveries/{token}/lease", "f~l~0~1~1?lease=90s", "", "", 202},
		{"POST", "/api/v1/deliveries/{token}/lease", "f~l~0~1~1", "", "", 400},
		{"POST", "/api/v1/deliveries/{token}/lease", "nonsense?lease=90s", "", "", 404},
		{"GET", "/api/v1/explain", "?id=1&source=/s&type=t", "", "", 400},
		{"GET", "/api/v1/explain", "?id=none", "", "", 404},
		{"POST", "/api/v1/whatif", "", `{"remove":["link/a"],"since":"1h"}`, asJSON, 200},
		{"POST", "/api/v1/whatif", "", `{"objects":[{"kind":"Link"}]}`, asJSON, 400},
		{"POST", "/api/v1/whatif", "", `{"nonsense":1}`, asJSON, 400},
		{"POST", "/api/v1/whatif", "", `{"remove":["link/a"],"cursor":"other"}`, asJSON, 409},
		{"GET", "/healthz", "", "", "", 200},
		{"GET", "/readyz", "", "", "", 200},
		{"GET", "/metrics", "", "", "", 200},
		{"GET", "/", "", "", "", 200},
		{"GET", "/openapi.json", "", "", "", 200},
		{"GET", "/api/v1/functions", "", "", "", 200},
		{"POST", "/api/v1/functions", "", function("b", ""), asJSON, 201},
		{"POST", "/api/v1/functions", "", function("b", ""), asJSON, 409},
		{"POST", "/api/v1/links", "", link, asJSON, 201},
		{"POST", "/api/v1/policies", "", policy, asJSON, 201},
		{"GET", "/api/v1/links", "", "", "", 200},
		{"GET", "/api/v1/policies/{name}", "p", "", "", 200},
		{"GET", "/api/v1/policies/{name}", "q", "", "", 404},
		{"PUT", "/api/v1/functions/{name}", "b", function("b", ""), asJSON, 200},
		{"PUT", "/api/v1/functions/{name}", "c", function("c", ""), asJSON, 201},
		{"PUT", "/api/v1/functions/{name}", "c", function("c", `,"revision":1`), asJSON, 409},
		{"PATCH", "/api/v1/functions/{name}", "c", `{}`, asPatch, 200},
		{"PATCH", "/api/v1/functions/{name}", "c", `[]`, asPatch, 400},
		{"PATCH", "/api/v1/functions/{name}", "c", `[]`, asJSON, 415},
		{"GET", "/api/v1/functions/{name}", "c@v1", "", "", 200},
		{"GET", "/api/v1/functions/{name}", "c%40v1", "", "", 200},
		{"PUT", "/api/v1/functions/{name}", "c@v1", function("c@v1", ""), asJSON, 400},
		{"POST", "/api/v1/functions/{name}/rollback", "c", `{"version":"v1"}`, asJSON, 200},
		{"POST", "/api/v1/functions/{name}/rollback", "c", "", "", 409},
		{"POST", "/api/v1/functions/{name}/rollback", "c", `{"revision":1}`, asJSON, 400},
		{"POST", "/api/v1/functions/{name}/rollback", "c", "x", "text/plain", 415},
		{"POST", "/api/v1/functions/{name}/rollback", "none", "", "", 404},
		{"DELETE", "/api/v1/functions/{name}", "c", "", "", 204},
		{"DELETE", "/api/v1/functions/{name}", "c", "", "", 404},
	} {
		t.Run(fmt.Sprint(x.method, x.path, x.status), func(t *testing.T) {
			path := x.path + x.query
			if before, after, ok := strings.Cut(x.path, "{"); ok {
				value, query, _ := strings.Cut(x.query, "?")
				_, after, _ = strings.Cut(after, "}")
				path = before + value + after + "?" + query
			}
			var h []string
			if x.contentType != "" {
				h = []string{"Content-Type", x.contentType}
			}
			a := r.do(x.method, path, x.body, h...)
			if a.StatusCode != x.status {
				t.Fatalf("answered %d %s", a.StatusCode, a.body)
			}
			op := doc["paths"].(map[string]any)[x.path].(map[string]any)[strings.ToLower(x.method)].(map[string]any)
			checkAnswer(t, doc, op, a)
		})
	}
	a := r.do("GET", "/api/v1/explain?id=1&source=/s", "")
	if a.StatusCode == 409 { // posted twice above
		checkAnswer(t, doc, doc["paths"].(map[string]any)["/api/v1/explain"].(map[string]any)["get"].(map[string]any), a)
	}
	r.emit("only", "t", "1")
	checkAnswer(t, doc, doc["paths"].(map[string]any)["/api/v1/explain"].(map[string]any)["get"].(map[string]any), r.do("GET", "/api/v1/explain?id=only", ""))
}

func checkAnswer(t *testing.T, doc, op map[string]any, a answer) {
	t.Helper()
	documented, ok := op["responses"].(map[string]any)[fmt.Sprint(a.StatusCode)].(map[string]any)
	if !ok {
		t.Fatalf("status %d is not documented", a.StatusCode)
	}
	content, _ := documented["content"].(map[string]any)
	if len(content) == 0 {
		if len(a.body) > 0 {
			t.Errorf("a body that is not documented: %s", a.body)
		}
		return
	}
	got, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	media, ok := content[got].(map[string]any)
	if !ok {
		t.Fatalf("content type %s is not documented", got)
	}
	if !strings.HasSuffix(got, "json") {
		return
	}
	var v any
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatal(err)
	}
	for _, fault := range conforms(doc, media["schema"], v, "") {
		t.Errorf("%s\n%s", fault, a.body)
	}
}

func TestExamplesAreAsDocumented(t *testing.T) {
	r := start(t, withMetrics)
	doc := r.document()
	n := 0
	for _, item := range doc["paths"].(map[string]any) {
		for _, op := range item.(map[string]any) {
			body, _ := op.(map[string]any)["requestBody"].(map[string]any)
			content, _ := body["content"].(map[string]any)
			for contentType, m := range content {
				if ex, ok := m.(map[string]any)["example"]; ok {
					n++
					for _, fault := range conforms(doc, m.(map[string]any)["schema"], ex, "") {
						t.Errorf("%s: %s", contentType, fault)
					}
				}
			}
		}
	}
	if n == 0 {
		t.Error("no examples")
	}
	example, _ := json.Marshal(exampleEvent)
	if a := r.do("POST", "/events", string(example), "Content-Type", event.ContentTypeJSON); a.StatusCode != 202 {
		t.Errorf("the example is answered %s", a.body)
	}
}

func TestEveryKindHasASchemaOfItsSpec(t *testing.T) {
	all := components()
	for _, k := range resource.Kinds() {
		if all[k.Name+"Spec"] == nil {
			t.Errorf("kind %s: no schema of its spec in schemas.kind", k.Name)
		}
	}
}

func TestTheCheckerSeesWhatIsWrong(t *testing.T) {
	doc := start(t, nil).document()
	for _, wrong := range []string{
		`{"items":null}`, `{}`, `{"items":[{"id":"1"}]}`, `{"items":[{"specversion":"0.3","id":"1","source":"s","type":"t","logtime":""}]}`,
	} {
		var v any
		_ = json.Unmarshal([]byte(wrong), &v)
		if len(conforms(doc, ref("LoggedEventList"), v, "")) == 0 {
			t.Errorf("%s passes", wrong)
		}
	}
}

func resolve(doc map[string]any, ref string) any {
	var v any = doc
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		m, _ := v.(map[string]any)
		v = m[part]
	}
	return v
}

// conforms checks v against the part of JSON Schema that the document uses.
func conforms(doc map[string]any, s any, v any, at string) (faults []string) {
	sch, _ := s.(map[string]any)
	if r, ok := sch["$ref"].(string); ok {
		return conforms(doc, resolve(doc, r), v, at)
	}
	all, _ := sch["allOf"].([]any)
	for _, x := range all {
		faults = append(faults, conforms(doc, x, v, at)...)
	}
	if c, ok := sch["const"]; ok && c != v {
		faults = append(faults, fmt.Sprintf("%s: %v, want %v", at, v, c))
	}
	if t, ok := sch["type"].(string); ok && !hasType(t, v) {
		return append(faults, fmt.Sprintf("%s: %v is no %s", at, v, t))
	}
	switch v := v.(type) {
	case map[string]any:
		required, _ := sch["required"].([]any)
		for _, name := range required {
			if _, ok := v[name.(string)]; !ok {
				faults = append(faults, fmt.Sprintf("%s: %s is missing", at, name))
			}
		}
		properties, _ := sch["properties"].(map[string]any)
		for name, x := range v {
			sub, ok := properties[name]
			if !ok {
				sub = sch["additionalProperties"]
			}
			faults = append(faults, conforms(doc, sub, x, at+"/"+name)...)
		}
	case []any:
		for i, x := range v {
			faults = append(faults, conforms(doc, sch["items"], x, fmt.Sprint(at, "/", i))...)
		}
	}
	return faults
}

func hasType(t string, v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return t == "object"
	case []any:
		return t == "array"
	case string:
		return t == "string"
	case bool:
		return t == "boolean"
	case float64:
		return t == "number" || t == "integer" && v == math.Trunc(v)
	}
	return false
}
