//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const orderSchema = `---
apiVersion: signalbox.dev/v1
kind: Schema
metadata: {name: order}
spec:
  types: [com.example.ordered]
  schema: {type: object, required: [lines], properties: {lines: {type: array, items: {type: object, properties: {n: {type: integer, minimum: 1}}}}}}
---
apiVersion: signalbox.dev/v1
kind: Schema
metadata: {name: shipped}
spec: {types: [com.example.ship*], mode: warn, schema: {type: object, properties: {n: {type: integer}}}}
---
apiVersion: signalbox.dev/v1
kind: Schema
metadata: {name: address}
spec: {uri: "https://example.com/schemas/address", schema: {required: [city]}}
`

// violations are the places that a refusal names.
func violations(body string) string {
	var p struct {
		Type       string
		Index      *int
		Violations []struct{ Schema, Path, Keyword string }
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil || !strings.HasSuffix(p.Type, "/schema") {
		return "no refusal by a schema: " + body
	}
	var all []string
	if p.Index != nil {
		all = append(all, fmt.Sprint("event ", *p.Index))
	}
	for _, v := range p.Violations {
		all = append(all, v.Schema+" "+v.Path+" "+v.Keyword)
	}
	return strings.Join(all, ", ")
}

func TestSchemasAreEnforcedAtAccept(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newRecorder(t, nil)
		s.apply(functionManifest("sink", fn.URL, "com.example.*") + orderSchema)
		structured := map[string]string{"Content-Type": "application/cloudevents+json"}
		batch := map[string]string{"Content-Type": "application/cloudevents-batch+json"}
		one := func(id, data string) string {
			return `{"specversion":"1.0","id":"` + id + `","source":"/e2e","type":"com.example.ordered","data":` + data + `}`
		}
		named := binaryHeader("named", "com.example.other")
		named["Ce-Dataschema"] = "https://example.com/schemas/address"
		unknown := binaryHeader("unknown", "com.example.other")
		unknown["Ce-Dataschema"] = "https://example.com/schemas/nobody"
		plain := binaryHeader("plain", "com.example.ordered")
		plain["Content-Type"] = "text/plain"
		for name, x := range map[string]struct {
			header map[string]string
			body   string
			want   string // "" is accepted
		}{
			"binary":                  {binaryHeader("b1", "com.example.ordered"), `{"lines":[{"n":1},{"n":0}]}`, "order /lines/1/n minimum"},
			"good binary":             {binaryHeader("good-b", "com.example.ordered"), `{"lines":[{"n":1}]}`, ""},
			"structured":              {structured, one("s1", `{}`), "order  required"},
			"good structured":         {structured, one("good-s", `{"lines":[]}`), ""},
			"batch":                   {batch, "[" + one("1", `{"lines":[]}`) + "," + one("2", `{"lines":1}`) + "]", "event 1, order /lines type"},
			"good batch":              {batch, "[" + one("good-1", `{"lines":[]}`) + "," + one("good-2", `{"lines":[]}`) + "]", ""},
			"not JSON":                {plain, `{"lines":[]}`, "order  "},
			"dataschema":              {named, `{}`, "address  required"},
			"a dataschema of nobody":  {unknown, `{}`, ""},
			"warn mode":               {binaryHeader("warned", "com.example.shipped"), `{"n":"x"}`, ""},
			"a type without a schema": {binaryHeader("free", "com.example.free"), `not JSON`, ""},
		} {
			status, body := s.post("/events", x.header, x.body)
			if x.want == "" {
				if status != http.StatusAccepted {
					t.Errorf("%s: %d %s", name, status, body)
				}
				continue
			}
			if got := violations(body); status != http.StatusUnprocessableEntity || got != x.want {
				t.Errorf("%s: %d %s, want %s", name, status, got, x.want)
			}
		}
		got := map[string]bool{}
		for _, c := range fn.awaitCalls(t, 7) {
			got[c.id()] = true
		}
		for _, id := range []string{"good-b", "good-s", "good-1", "good-2", "unknown", "warned", "free"} {
			if !got[id] {
				t.Errorf("%s was not delivered", id)
			}
		}
		if n := s.metric(`signalbox_schema_violations_total{mode="enforce",schema="order"}`); n != 4 {
			t.Errorf("%v refused by order", n)
		}
		if n := s.metric(`signalbox_schema_violations_total{mode="warn",schema="shipped"}`); n != 1 {
			t.Errorf("%v let in by shipped", n)
		}
	})
}

func TestRepliesThatDoNotSatisfyASchemaAreCounted(t *testing.T) {
	s := start(t, embeddedArgs(t)...)
	fn := replying(t, "com.example.shipped") // with data that are wrong
	s.apply(functionManifest("ship", fn.URL, "com.example.go") + orderSchema)
	s.emitID("1", "com.example.go", "{}")
	await(t, "the reply to be counted", func() error {
		return s.metricAtLeast(`signalbox_schema_violations_total{mode="reply",schema="shipped"}`, 1)
	})
}
