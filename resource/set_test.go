package resource

import (
	"encoding/json"
	"testing"
)

func object(kind, name, spec string) Object {
	return Object{APIVersion: APIVersion, Kind: kind, Metadata: Metadata{Name: name, Revision: 3, Labels: map[string]string{"of": name}}, Spec: json.RawMessage(spec)}
}

func TestNewSet(t *testing.T) {
	s, faults := NewSet(9, []Object{
		object(KindFunction, "z", `{"url":"http://x","on":["a","b"]}`),
		object(KindFunction, "m", `{"url":"http://x","on":["c"],"version":"v1"}`),
		object(KindFunction, "a", `{"url":"http://x"}`),
		object(KindLink, "m", `{"function":"m","types":["own"]}`),
		object(KindPolicy, "p", `{"rego":"package x"}`),
		object(KindLink, "broken", `{"types":1}`),
		object("Other", "o", `{}`),
	})
	if len(faults) != 2 || faults[0].Resource != "Link/broken" || faults[1].Resource != "Other/o" {
		t.Errorf("faults %v", faults)
	}
	if s.Revision != 9 || len(s.Functions) != 3 || s.Functions[0].Metadata.Name != "a" || len(s.Policies) != 1 {
		t.Errorf("got %+v", s)
	}
	if len(s.Links) != 2 {
		t.Fatalf("%d links: want the one there is and the one `on` stands for, and not the broken one", len(s.Links))
	}
	if l := s.Links[0]; l.Metadata.Name != "m" || l.Spec.Types[0] != "own" {
		t.Errorf("a Link of the function's name does not win: %+v", l)
	}
	if l := s.Links[1]; l.Metadata.Name != "z" || l.Spec.Function != "z" || len(l.Spec.Types) != 2 || l.Metadata.Revision != 3 || l.Metadata.Labels["of"] != "z" {
		t.Errorf("the link of `on` is %+v", l)
	}
}

func TestSetFunction(t *testing.T) {
	s, _ := NewSet(1, []Object{object(KindFunction, "f", `{"url":"http://x","version":"v1"}`)})
	for _, tt := range []struct {
		name, version string
		want          bool
	}{{"f", "", true}, {"f", "v1", true}, {"f", "v2", false}, {"g", "", false}} {
		if got := s.Function(tt.name, tt.version) != nil; got != tt.want {
			t.Errorf("Function(%q, %q) found: %t", tt.name, tt.version, got)
		}
	}
	if (&Set{}).Function("f", "") != nil {
		t.Error("an empty set finds a function")
	}
}

func TestFunctionName(t *testing.T) {
	for ref, want := range map[string][2]string{"f": {"f", ""}, "f@v1": {"f", "v1"}} {
		s := LinkSpec{Function: ref}
		if name, version := s.FunctionName(); name != want[0] || version != want[1] {
			t.Errorf("%s: %s, %s", ref, name, version)
		}
	}
}
