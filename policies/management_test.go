package policies

import (
	"errors"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

func management(name, rules string) *resource.Policy {
	return policy(name, "package signalbox.management\nimport rego.v1\n"+rules)
}

func TestManagement(t *testing.T) {
	write := Management{
		Identity: map[string]any{"name": "eve", "groups": []any{"dev"}}, Route: "/api/v1/functions/:name", Method: "PUT", Verb: VerbWrite,
		Resource: &resource.Object{Kind: "Function", Metadata: resource.Metadata{Name: "thumbs", Labels: map[string]string{"team": "media"}, Revision: 4}, Spec: []byte(`{"url": "http://x/", "on": ["t"]}`)},
	}
	for name, c := range map[string]struct {
		policies []*resource.Policy
		ask      Management
		want     Verdict
	}{
		"no policy":                       {nil, write, Verdict{Allowed: true}},
		"an admission policy only":        {[]*resource.Policy{admission("p", `deny contains "x"`)}, write, Verdict{Allowed: true}},
		"a denial by verb":                {[]*resource.Policy{management("p", `deny contains "read only" if input.verb != "read"`)}, write, Verdict{Reason: "read only", Policy: "p"}},
		"a denial that does not fire":     {[]*resource.Policy{management("p", `deny contains "read only" if input.verb != "read"`)}, Management{Verb: VerbRead}, Verdict{Allowed: true}},
		"by identity":                     {[]*resource.Policy{management("p", `allow if "admin" in input.identity.groups`)}, write, Verdict{Reason: "no management policy allows it"}},
		"by identity, allowed":            {[]*resource.Policy{management("p", `allow if "dev" in input.identity.groups`)}, write, Verdict{Allowed: true}},
		"nobody in particular":            {[]*resource.Policy{management("p", `deny contains "who are you" if input.identity == {}`)}, Management{Verb: VerbRead}, Verdict{Reason: "who are you", Policy: "p"}},
		"by route and method":             {[]*resource.Policy{management("p", `deny contains "x" if { input.route == "/api/v1/functions/:name"; input.method == "PUT" }`)}, write, Verdict{Reason: "x", Policy: "p"}},
		"by kind and name":                {[]*resource.Policy{management("p", `deny contains "x" if { input.resource.kind == "Function"; input.resource.name == "thumbs" }`)}, write, Verdict{Reason: "x", Policy: "p"}},
		"by labels and revision":          {[]*resource.Policy{management("p", `deny contains "x" if { input.resource.labels.team == "media"; input.resource.revision == 4 }`)}, write, Verdict{Reason: "x", Policy: "p"}},
		"by spec":                         {[]*resource.Policy{management("p", `deny contains "x" if startswith(input.resource.spec.url, "http://")`)}, write, Verdict{Reason: "x", Policy: "p"}},
		"no resource":                     {[]*resource.Policy{management("p", `deny contains "x" if input.resource == {}`)}, Management{Verb: VerbAct}, Verdict{Reason: "x", Policy: "p"}},
		"the whole input":                 {[]*resource.Policy{management("p", `deny contains "x" if count(input) == 6`)}, write, Verdict{Reason: "x", Policy: "p"}},
		"a denial wins over allow":        {[]*resource.Policy{management("p", "allow := true\ndeny contains \"no\"")}, write, Verdict{Reason: "no", Policy: "p"}},
		"roles from a document":           {[]*resource.Policy{documentsOf("roles", `{"roles": {"eve": "viewer"}}`), management("p", `deny contains "viewers look" if { data.roles[input.identity.name] == "viewer"; input.verb != "read" }`)}, write, Verdict{Reason: "viewers look", Policy: "p"}},
		"one that fails open":             {[]*resource.Policy{open(management("p", `deny contains 5`))}, write, Verdict{Allowed: true}},
		"one that fails allows nothing":   {[]*resource.Policy{management("p", `deny contains 5`)}, write, Verdict{Reason: "the management policy failed", Policy: "p"}},
		"a spec that is not JSON, unread": {[]*resource.Policy{management("p", `deny contains "x" if input.verb == "read"`)}, Management{Resource: &resource.Object{Spec: []byte("{")}}, Verdict{Allowed: true}},
	} {
		t.Run(name, func(t *testing.T) {
			got := newEngine(t, set(nil, c.policies...)).Manage(t.Context(), c.ask)
			if failed := got.Err != nil; failed != (c.want.Reason == "the management policy failed") || failed && !errors.Is(got.Err, ErrPolicy) {
				t.Errorf("error %v", got.Err)
			}
			c.want.Revision, c.want.Ruled, c.want.Err = 7, got.Ruled, got.Err
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}
