package access

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

func object(kind, name string, revision uint64, spec string) *resource.Object {
	return &resource.Object{Kind: kind, Metadata: resource.Metadata{Name: name, Revision: revision}, Spec: json.RawMessage(spec)}
}

func TestAChangeSaysWhatDiffers(t *testing.T) {
	for _, c := range []struct{ name, before, after, want string }{
		{"a field", `{"url":"a","on":["x"]}`, `{"url":"b","on":["x"]}`, "spec.url"},
		{"one that came and one that went", `{"a":{"b":1,"c":2}}`, `{"a":{"b":1,"d":2}}`, "spec.a.c spec.a.d"},
		{"an element", `{"l":[{"n":1},{"n":2}]}`, `{"l":[{"n":1},{"n":3}]}`, "spec.l[1].n"},
		{"a longer list", `{"l":[1]}`, `{"l":[1,2]}`, "spec.l"},
		{"another type", `{"a":{}}`, `{"a":[]}`, "spec.a"},
		{"a value for an object", `{"a":1}`, `{"a":{}}`, "spec.a"},
		{"large numbers", `{"a":9007199254740993}`, `{"a":9007199254740992}`, "spec.a"},
		{"nothing but the revision", `{"a":1}`, `{"a":1}`, ""},
	} {
		d := Changed(object("Function", "f", 1, c.before), object("Function", "f", 2, c.after))
		if got := strings.Join(d.Changed, " "); got != c.want || d.Resource != "Function/f" || d.Revision != 2 || d.Before == nil || d.After == nil {
			t.Errorf("%s: got %q in %+v", c.name, got, d)
		}
	}
	if d := Changed(nil, object("Function", "f", 1, `{"a":1}`)); d.Changed != nil || d.Before != nil || d.After == nil {
		t.Errorf("made: %+v", d)
	}
	if d := Changed(object("Function", "f", 7, `{"a":1}`), nil); d.Changed != nil || d.After != nil || d.Resource != "Function/f" {
		t.Errorf("deleted: %+v", d)
	}
}

func TestWhatIsSaidOfAChangeIsBounded(t *testing.T) {
	spec := func(v int) string {
		parts := []string{}
		for i := range 100 {
			parts = append(parts, fmt.Sprintf("%q:%d", fmt.Sprintf("k%02d%s", i, strings.Repeat("x", 300)), v))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	d := Changed(object("Function", "f", 1, spec(1)), object("Function", "f", 2, spec(2)))
	if len(d.Changed) != maxChanged+1 || d.Changed[maxChanged] != "…" || slices.ContainsFunc(d.Changed, func(s string) bool { return len(s) > maxChangedPath+3 }) {
		t.Errorf("%d of them: %.300v", len(d.Changed), d.Changed)
	}
}

func TestAChangeOfAKeyHoldsNoHash(t *testing.T) {
	key := func(hash string, rate int) *resource.Object {
		return object(resource.KindKey, "k", uint64(rate), fmt.Sprintf(`{"roles":["admin"],"hash":"sha256:%s","rate":%d}`, strings.Repeat(hash, 64), rate))
	}
	d := Changed(key("a", 1), key("b", 2))
	b, err := json.Marshal(d)
	if err != nil || strings.Contains(string(b), "aaaa") || strings.Contains(string(b), "bbbb") || strings.Join(d.Changed, " ") != "spec.hash spec.rate" {
		t.Errorf("%s, %v", b, err)
	}
}
