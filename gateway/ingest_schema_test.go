package gateway

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// wordy refuses events by the word their data hold.
type wordy struct{ asked []string }

func (w *wordy) Validate(a Admission) []Violation {
	w.asked = append(w.asked, a.Event.ID)
	switch data := string(a.Event.Data); {
	case strings.Contains(data, "bad"):
		return []Violation{{Schema: "order", Path: "/lines/0", Keyword: "type", Detail: "is wrong"}, {Schema: "order", Detail: "and odd"}}
	case strings.Contains(data, "all"):
		return make([]Violation, 500)
	}
	return nil
}

func withSchemas(w *wordy) func(*Config, *Deps) {
	return func(_ *Config, d *Deps) { d.Validator = w }
}

func TestDataThatDoNotSatisfyASchemaAreRefused(t *testing.T) {
	one := func(id, data string) string {
		return `{"specversion":"1.0","id":"` + id + `","source":"/s","type":"t","data":"` + data + `"}`
	}
	structured := []string{"Content-Type", "application/cloudevents+json"}
	batch := []string{"Content-Type", "application/cloudevents-batch+json"}
	for name, c := range map[string]struct {
		body   string
		header []string
		status int
		want   string // of index, errors and violations
	}{
		"binary":                  {"bad", binary, 422, `[null,0,2]`},
		"structured":              {one("1", "bad"), structured, 422, `[null,0,2]`},
		"batch":                   {"[" + one("1", "ok") + "," + one("2", "bad") + "," + one("3", "bad") + "]", batch, 422, `[1,2,2]`},
		"a great many violations": {"all", binary, 422, `[null,0,20]`},
		"good":                    {"ok", binary, 202, `[null,0,0]`},
		"good batch":              {"[" + one("1", "ok") + "]", batch, 202, `[null,0,0]`},
	} {
		t.Run(name, func(t *testing.T) {
			w := &wordy{}
			r := start(t, withSchemas(w))
			a := r.do("POST", "/events", c.body, c.header...)
			var p problem.Problem
			if err := json.Unmarshal(a.body, &p); err != nil {
				t.Fatal(err)
			}
			got, _ := json.Marshal([]any{p.Index, len(p.Errors), len(p.Violations)})
			if a.StatusCode != c.status || string(got) != c.want {
				t.Fatalf("%d %s: %s, want %d %s", a.StatusCode, a.body, got, c.status, c.want)
			}
			if n := len(r.log.Records()); (n > 0) != (c.status == 202) {
				t.Errorf("%d appended", n)
			}
			if name == "batch" && (p.Detail != "event 1: /lines/0: is wrong (schema order), and 1 more" || p.Violations[0].Keyword != "type" || !strings.HasSuffix(p.Type, "/schema")) {
				t.Errorf("%s", a.body)
			}
		})
	}
}

func TestABatchWithManyBadEventsIsToldOfSome(t *testing.T) {
	r := start(t, withSchemas(&wordy{}))
	event := `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":"bad"}`
	a := r.do("POST", "/events", "["+strings.Repeat(event+",", 499)+event+"]", "Content-Type", "application/cloudevents-batch+json")
	var p problem.Problem
	if err := json.Unmarshal(a.body, &p); err != nil || len(p.Errors) != 100 {
		t.Errorf("%d told: %v", len(p.Errors), err)
	}
}

func TestSchemasAreAskedAfterTheAdmissionPolicy(t *testing.T) {
	w := &wordy{}
	r := start(t, func(c *Config, d *Deps) {
		d.Validator = w
		d.Admitter = askedAs(func(context.Context, Admission) (Verdict, error) { return Verdict{Denied: true, Reason: "no"}, nil })
	})
	if a := r.do("POST", "/events", "bad", binary...); a.StatusCode != 403 || len(w.asked) != 0 {
		t.Errorf("%d %s, asked about %v", a.StatusCode, a.body, w.asked)
	}
}
