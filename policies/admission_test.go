package policies

import (
	"context"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

func TestAdmission(t *testing.T) {
	x := ev("t", "tenant", "acme", "vip", "true")
	x.Data = []byte(`{"n": 1}`)
	a := Admission{Event: x, Identity: map[string]any{"name": "eve", "groups": []any{"dev"}}, Route: "/events"}
	for name, c := range map[string]struct {
		policies []*resource.Policy
		want     Verdict
	}{
		"no policy":                     {nil, Verdict{Allowed: true}},
		"a trigger policy only":         {[]*resource.Policy{trigger("p", `deny contains "x"`)}, Verdict{Allowed: true}},
		"a denial by identity":          {[]*resource.Policy{admission("p", `deny contains "not you" if input.identity.name == "eve"`)}, Verdict{Reason: "not you", Policy: "p"}},
		"a denial with an object":       {[]*resource.Policy{admission("p", `deny contains {"reason": "r"} if "dev" in input.identity.groups`)}, Verdict{Reason: "r", Policy: "p"}},
		"a denial that does not fire":   {[]*resource.Policy{admission("p", `deny contains "not you" if input.identity.name == "bob"`)}, Verdict{Allowed: true}},
		"allow that holds":              {[]*resource.Policy{admission("p", `allow if input.route == "/events"`)}, Verdict{Ruled: true, Allowed: true}},
		"allow that is undefined":       {[]*resource.Policy{admission("p", `allow if input.route == "/other"`)}, Verdict{Ruled: true, Reason: "no admission policy allows it"}},
		"allow of either policy":        {[]*resource.Policy{admission("p", `allow if input.route == "/other"`), admission("q", `allow if input.event.vip`)}, Verdict{Ruled: true, Allowed: true}},
		"a denial wins over allow":      {[]*resource.Policy{admission("p", "allow := true\ndeny contains \"no\"")}, Verdict{Ruled: true, Reason: "no", Policy: "p"}},
		"what else reads is there":      {[]*resource.Policy{admission("p", "allow := false if input.event.nothing else := h\nh := true if input.event.vip")}, Verdict{Ruled: true, Allowed: true}},
		"the first denial tells":        {[]*resource.Policy{admission("p", `deny contains {"b", "a"}[_]`), admission("q", `deny contains "c"`)}, Verdict{Reason: "a", Policy: "p"}},
		"size":                          {[]*resource.Policy{admission("p", `deny contains "big" if input.event.size > 7`)}, Verdict{Reason: "big", Policy: "p"}},
		"data":                          {[]*resource.Policy{admission("p", `deny contains "one" if input.event.data.n == 1`)}, Verdict{Reason: "one", Policy: "p"}},
		"the shipped allow is readable": {[]*resource.Policy{admission("p", `deny contains "x" if not allow`)}, Verdict{Allowed: true}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Revision = 7
			if got := newEngine(t, set(nil, c.policies...)).Admit(context.Background(), a); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
	v := newEngine(t, set(nil, admission("p", "deny contains 5"))).Admit(context.Background(), a)
	if v.Allowed || v.Err == nil || !strings.Contains(v.Err.Error(), "admission policy p failed: rule deny: 5") {
		t.Errorf("a wrong denial: %+v", v)
	}
}
