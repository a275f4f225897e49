package policies

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// FuzzPayload: whatever a stranger sends as payload, policies that read it
// answer or fail with an error, and Explain agrees.
func FuzzPayload(f *testing.F) {
	e := newEngine(f, set([]*resource.Link{link("l", "a", "t")},
		trigger("p", `deny contains "no" if { some k, v in input.event; k == "data"; v.n > 5 }`),
		admission("q", `deny contains "no" if input.event.data.n > 5`)))
	f.Add([]byte(`{"n": 6}`), "application/json", "true")
	f.Add([]byte(`{"n": 1e999999999}`), "", "x")
	f.Add([]byte(`[[[[`), "application/x+json; a=b", "")
	f.Add([]byte("\"\xff\""), "text/plain", "false")
	f.Fuzz(func(t *testing.T, data []byte, contentType, tenant string) {
		x := &event.Event{ID: "1", Source: "/s", Type: "t", DataContentType: contentType, Data: data}
		x.SetExtension("tenant", tenant)
		c, err := e.Choose(context.Background(), x, string(x.Key()), nil)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, e, x, c)
		if v := e.Admit(context.Background(), Admission{Event: x}); v.Err != nil || v.Allowed != (len(c.Denied) == 0) {
			t.Fatalf("%+v, chosen %s", v, describe(c))
		}
	})
}

// FuzzPolicy: whatever stands in a policy and in its documents, checking it
// ends soon, with faults or a policy that answers or fails; Explain agrees.
func FuzzPolicy(f *testing.F) {
	f.Add("package signalbox.trigger\ndeny contains data.x if input.event.tenant", `{"x": "y"}`, false)
	f.Add("package signalbox.trigger\nmatch contains l.name if some l in input.links\ntarget contains {\"function\": \"b\", \"reason\": \"r\"}", `{"signalbox": {}}`, true)
	f.Add("package l.m\nf(x) := y if y := [x | x]\ndefault g := 1", `{"l": {"m": {"f": 1}}}`, false)
	f.Add("package signalbox.trigger\n"+doubling(20), `{"a": {"a": [[[{}]]]}}`, true)
	f.Add("package signalbox.trigger\ndeny contains x if { x := "+strings.Repeat("[y | y := ", 20)+"1"+strings.Repeat("]", 20)+"}", `[]`, false)
	f.Add("package signalbox.trigger\ndeny contains x if { x := "+strings.Repeat("[", 3000)+strings.Repeat("]", 3000)+"}", `{"":null}`, false)
	f.Add("package signalbox.admission\nallow := input\ndeny contains {\"reason\": {}}", `{"x": 1e400}`, false)
	f.Add("package signalbox.management\nimport data.x as y\nallow if y with input as {}", `{"x": 1, "x": 2}`, true)
	f.Add("package l.management\nimport data\nx := data", `{"x": 1}`, true)
	f.Fuzz(func(t *testing.T, rego, data string, failsOpen bool) {
		p := policy("p", rego)
		if json.Unmarshal([]byte(data), &p.Spec.Data) != nil {
			p.Spec.Data = map[string]json.RawMessage{"x": json.RawMessage(data)}
		}
		if failsOpen {
			open(p)
		}
		start := time.Now()
		s := set([]*resource.Link{link("l", "a", "t")}, p)
		e := newEngine(t, resource.Set{})
		Inspect(s)
		if len(e.Load(s)) > 0 {
			return
		}
		budgetOf(e, 100*time.Millisecond)
		x := ev("t", "tenant", "x")
		c, err := e.Choose(t.Context(), x, "", nil)
		if err != nil && !errors.Is(err, ErrPolicy) {
			t.Fatal(err)
		}
		if err == nil && e.Stats().EvaluationErrors == 0 && !strings.Contains(rego, "now") && !strings.Contains(rego, "rand") && !strings.Contains(rego, "uuid") {
			agree(t, e, x, c)
		}
		e.Admit(t.Context(), Admission{Event: x})
		e.Manage(t.Context(), Management{})
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("took %s", took)
		}
	})
}
