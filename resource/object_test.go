package resource

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestYAMLHasAStableOrder(t *testing.T) {
	o := Object{
		APIVersion: APIVersion, Kind: KindLink,
		Metadata: Metadata{Name: "l", Labels: map[string]string{"z": "1", "a": "true"}, Revision: 7, UpdatedAt: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)},
		Spec:     json.RawMessage(`{"types":["a"],"delivery":{"maxAge":"1h0m0s","timeout":"1s"},"function":"f","filters":[{"sql":"x","exact":{"b":"2","a":"null"}}],"zzz":1}`),
		Status:   json.RawMessage(`{"b":1,"a":12345678901234567890123}`),
	}
	want := `apiVersion: signalbox.dev/v1
kind: Link
metadata:
  name: l
  labels:
    a: "true"
    z: "1"
  revision: 7
  updatedAt: "2026-01-31T12:00:00Z"
spec:
  function: f
  types:
    - a
  filters:
    - exact:
        a: "null"
        b: "2"
      sql: x
  delivery:
    timeout: 1s
    maxAge: 1h0m0s
  zzz: 1
status:
  a: 12345678901234567890123
  b: 1
`
	if b, err := o.YAML(); err != nil || string(b) != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, b, want)
	}
	o.Spec = json.RawMessage(`{`)
	if _, err := o.YAML(); err == nil {
		t.Error("a spec that is no JSON: want an error")
	}
}

func TestYAMLIsReadBack(t *testing.T) {
	for _, rego := range []string{"package x\n\ndeny if {\n\ttrue\n}\n", "package x", " leading\n", "trailing \n\n\n", "# \"quotes\" 'and' \\ €😀\u2028\n", "a\r\nb", "---\n", "\ttab", "- a: b", "12", "~"} {
		spec, _ := json.Marshal(PolicySpec{Rego: rego})
		o := Object{APIVersion: APIVersion, Kind: KindPolicy, Metadata: Metadata{Name: "p"}, Spec: spec}
		b, err := o.YAML()
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeOne(b)
		if err != nil {
			t.Errorf("%q: %v of\n%s", rego, err, b)
			continue
		}
		var got PolicySpec
		if json.Unmarshal(back.Spec, &got); got.Rego != rego {
			t.Errorf("%q came back as %q from\n%s", rego, got.Rego, b)
		}
	}
	o := Object{APIVersion: APIVersion, Kind: KindPolicy, Metadata: Metadata{Name: "p"}, Spec: json.RawMessage(`{"rego":"package x\n# y\n"}`)}
	if b, _ := o.YAML(); !strings.Contains(string(b), "rego: |\n    package x\n    # y\n") {
		t.Errorf("several lines are not written as lines:\n%s", b)
	}
}

func TestLookupKind(t *testing.T) {
	for _, name := range []string{"Function", "function", "FUNCTIONS", "fn"} {
		if k, err := LookupKind(name); err != nil || k.Name != KindFunction {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
	if _, err := LookupKind("pod"); err == nil || err.Error() != `kind "pod": want one of functions, links, policies, schemas, webhooks, replays, keys` {
		t.Errorf("got %v", err)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "a-b.c0": true, strings.Repeat("a", 253): true, strings.Repeat("a", 254): false, "": false, "-a": false, "a-": false, "a..b": false, "A": false, "a/b": false, "a\n": false,
	} {
		m := Metadata{Name: name}
		if got := len(m.validate()) == 0; got != want {
			t.Errorf("%q: valid is %t, want %t", name, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	var d Delivery
	if err := json.Unmarshal([]byte(`{"timeout":"1m30s"}`), &d); err != nil || d.Timeout.D() != 90*time.Second {
		t.Errorf("got %v, %v", d, err)
	}
	if b, err := json.Marshal(d); err != nil || string(b) != `{"timeout":"1m30s"}` {
		t.Errorf("got %s, %v", b, err)
	}
}

func TestDeliveryDefaults(t *testing.T) {
	want := Delivery{
		Timeout: Duration(30 * time.Second), Attempts: 8, Backoff: Backoff{Initial: Duration(200 * time.Millisecond), Max: Duration(5 * time.Minute)},
		MaxAge: Duration(24 * time.Hour), Concurrency: 64, AfterDead: "hold", Format: FormatBinary,
	}
	if got := (Delivery{}).WithDefaults(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	set := Delivery{Timeout: 1, Attempts: 2, Backoff: Backoff{Initial: 3, Max: 4}, MaxAge: 5, Concurrency: 6, AfterDead: "continue", Format: FormatBatch}
	if got := set.WithDefaults(); got != set {
		t.Errorf("what is set is changed: %+v", got)
	}
}
