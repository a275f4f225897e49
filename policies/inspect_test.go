package policies

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

func TestInspectTellsWhatAPolicyIsAndReads(t *testing.T) {
	tenants := policy("tenants", "package acme.tenants\nimport rego.v1\n\nblocked(e) if e.tenant in data.acme.blocked\nlate if input.time > \"18\"")
	lists := documentsOf("lists", `{"acme": {"blocked": ["x"]}, "other": 1}`)
	for name, c := range map[string]struct {
		policy *resource.Policy
		want   PolicyReport
	}{
		"a trigger policy": {trigger("p", "deny contains {\"link\": l.name, \"reason\": \"x\"} if {\n  some l in input.links\n  input.event.tenant == \"x\"\n  input.event.type == data.other\n}\nhelper := 1"), PolicyReport{
			Kind: StageTrigger, Package: "signalbox.trigger", Rules: []string{"deny", "helper"}, Asked: []string{"deny"}, Remembered: true,
			Reads: PolicyReads{Attributes: []string{"tenant", "type"}, Links: true, Documents: []string{"other"}},
		}},
		"what keeps decisions from being remembered": {trigger("p", "import data.acme.tenants\nmatch contains \"l\" if tenants.blocked(input.event)\ndeny contains \"x\" if {\n  tenants.late\n  input.event.data.n > 1\n}\ndeny contains \"y\" if rand.intn(\"x\", 2) == input.event.id"), PolicyReport{
			Kind: StageTrigger, Package: "signalbox.trigger", Rules: []string{"match", "deny"}, Asked: []string{"match", "deny"},
			Obstacles: []Place{
				{"p", 4, "input.event", "reads the whole input.event"},
				{"p", 7, "input.event.data.n", "reads input.event.data"},
				{"tenants", 5, "input.time", "reads input.time"},
				{"p", 9, "rand.intn", "calls rand.intn"},
				{"p", 9, "input.event.id", "reads input.event.id, which differs from event to event"},
			},
			Reads: PolicyReads{Attributes: []string{"id"}, Event: true, Data: true, Time: true, Documents: []string{"acme.blocked"}},
		}},
		"a library": {policy("p", "package l.m\nimport rego.v1\nf(x) if x == input.event.tenant"), PolicyReport{
			Kind: KindLibrary, Package: "l.m", Rules: []string{"f"}, Reads: PolicyReads{Attributes: []string{"tenant"}},
		}},
		"documents": {documentsOf("p", `{"b": 1, "a": {"x": 1}}`), PolicyReport{Kind: KindDocuments, Documents: []string{"a", "b"}}},
		"a management policy in shadow": {shadowed(ranked(open(management("p", `allow if input.identity.admin`)), 7)), PolicyReport{
			Kind: StageManagement, Package: "signalbox.management", Rules: []string{"allow"}, Asked: []string{"allow"},
			Priority: 7, OnError: "open", Mode: "shadow", Reads: PolicyReads{Fields: []string{"identity"}},
		}},
		"a policy that is asked nothing": {admission("p", `x := input.event.size`), PolicyReport{
			Kind: StageAdmission, Package: "signalbox.admission", Rules: []string{"x"}, Reads: PolicyReads{Attributes: []string{"size"}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Policy = "p"
			if c.want.OnError == "" {
				c.want.OnError, c.want.Mode = "closed", "enforce"
			}
			got := Inspect(set(nil, tenants, lists, c.policy))
			if len(got) != 3 || !reflect.DeepEqual(got[2], c.want) {
				t.Errorf("%+v\nwant %+v", got[2], c.want)
			}
		})
	}
}

func TestInspectGivesEachPolicyItsFaults(t *testing.T) {
	got := Inspect(set(nil,
		trigger("net", "deny contains \"x\" if {\n  http.send({\"method\": \"get\", \"url\": \"http://x\"}).status == 200\n}"),
		trigger("good", `deny contains "x"`),
		policy("bad", "package signalbox.trigger\ndeny contains")))
	if len(got) != 3 || len(got[1].Faults) > 0 || len(got[2].Faults) == 0 || !strings.Contains(got[2].Faults[0].Problem, "rego_parse_error") {
		t.Fatalf("%+v", got)
	}
	if want := []Place{{"net", 4, "http.send", "calls http.send"}}; !reflect.DeepEqual(got[0].Refused, want) {
		t.Errorf("refused %v, want %v", got[0].Refused, want)
	}
	got = Inspect(set(nil, trigger("p", "deny contains x"), trigger("q", `deny contains "x"`)))
	if len(got[0].Faults) != 1 || len(got[1].Faults) > 0 || fmt.Sprint(got[0].Asked) != "[deny]" {
		t.Errorf("%+v", got)
	}
}
