package resource

import (
	"strings"
	"testing"
)

func TestKeysSayWhatIsWrongWithThem(t *testing.T) {
	hash := HashPrefix + strings.Repeat("0a", 32)
	for name, c := range map[string]struct{ metadata, spec, want string }{
		"all there is":        {"ci", `{"hash":"` + hash + `","roles":["emitter","team.a"],"expires":"2027-01-02T15:04:05Z","sources":["/ci/*"],"types":["a","b.*"],"rate":0.5}`, ""},
		"a new one":           {"ci", `{"roles":["admin"]}`, ""},
		"no role":             {"ci", `{}`, "spec.roles"},
		"a role in capitals":  {"ci", `{"roles":["Admin"]}`, "spec.roles[0]"},
		"a token as its hash": {"ci", `{"roles":["admin"],"hash":"sbk_ci_SECRET"}`, "spec.hash"},
		"capitals in a hash":  {"ci", `{"roles":["admin"],"hash":"` + strings.ToUpper(hash) + `"}`, "spec.hash"},
		"a date":              {"ci", `{"roles":["admin"],"expires":"2027-01-02"}`, "spec.expires"},
		"a star within":       {"ci", `{"roles":["admin"],"types":["a*b"]}`, "spec.types[0]"},
		"a negative rate":     {"ci", `{"roles":["admin"],"rate":-1}`, "spec.rate"},
		"the root key's name": {"root", `{"roles":["admin"]}`, "metadata.name"},
		"a long name":         {strings.Repeat("a", 65), `{"roles":["admin"]}`, "metadata.name"},
	} {
		o := object(KindKey, c.metadata, c.spec)
		o.Metadata.Labels = nil
		f := o.Validate()
		if got := ""; len(f) == 1 {
			got = f[0].Field
			if got != c.want || strings.Contains(f[0].Problem, "SECRET") {
				t.Errorf("%s: %v, want a fault of %s", name, f, c.want)
			}
		} else if len(f) != 0 || c.want != "" {
			t.Errorf("%s: %v, want a fault of %q", name, f, c.want)
		}
	}
}

func TestASetHasItsKeysByName(t *testing.T) {
	s, faults := NewSet(1, []Object{object(KindKey, "b", `{"roles":["x"]}`), object(KindKey, "c", `{"roles":1}`), object(KindKey, "a", `{"roles":["x"]}`)})
	if len(s.Keys) != 2 || s.Keys[0].Metadata.Name != "a" || s.Keys[1].Metadata.Name != "b" || len(faults) != 1 {
		t.Errorf("%+v, faults %v", s.Keys, faults)
	}
}
