package resource

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// link is a Link manifest whose spec goes on with more, from line 7.
func link(more string) string {
	return "apiVersion: signalbox.dev/v1\nkind: Link\nmetadata: {name: l}\nspec:\n  function: f\n  types: [a]\n" + more
}

// function is a Function manifest whose spec is more, from line 5.
func function(more string) string {
	return "apiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: f}\nspec:\n" + more
}

func TestDecodeNamesLineFieldAndWhatIsAllowed(t *testing.T) {
	const u = "  url: http://127.0.0.1:9000/\n"
	tests := []struct{ name, src, want string }{
		{"an unknown field at the top", link("") + "specs: {}\n", "m.yaml:7: specs: unknown field: want one of apiVersion, kind, metadata, spec, status"},
		{"an unknown field in a spec", link("  paued: true\n"), "m.yaml:7: spec.paued: unknown field: want one of delivery, filters, function, order, paused, startFrom, types"},
		{"an unknown field further in", link("  delivery:\n    backoff: {min: 1s}\n"), "m.yaml:8: spec.delivery.backoff.min: unknown field: want one of initial, max"},
		{"a field in another case", link("  Paused: true\n"), "m.yaml:7: spec.Paused: unknown field"},
		{"a field twice", link("  paused: true\n  paused: true\n"), "m.yaml:8: spec.paused: stands twice: want it once"},
		{"a label twice", "apiVersion: signalbox.dev/v1\nkind: Link\nmetadata:\n  name: l\n  labels:\n    a.b/c: x\n    a.b/c: y\nspec: {function: f, types: [a]}\n", "m.yaml:7: metadata.labels.a.b/c: stands twice"},
		{"a member of config twice", function(u + "  config:\n    a: {b: 1,\n      b: 2}\n"), "m.yaml:8: spec.config.a.b: stands twice"},
		{"a string that is a number", function(u + "  version: 2\n"), "m.yaml:6: spec.version: 2: want a string"},
		{"a list that is a string", link("") + "  filters: x\n", "m.yaml:7: spec.filters: \"x\": want a list"},
		{"a boolean that is a word", link("  paused: yes\n"), "m.yaml:7: spec.paused: \"yes\": want true or false"},
		{"a number that is a fraction", link("  delivery: {attempts: 2.5}\n"), "m.yaml:7: spec.delivery.attempts: 2.5: want a whole number"},
		{"a number of too many digits", link("  delivery: {attempts: 99999999999999999999}\n"), "m.yaml:7: spec.delivery.attempts: 99999999999999999999: want a whole number"},
		{"a mapping that is a list", link("  delivery: [a]\n"), "m.yaml:7: spec.delivery: a list: want a mapping"},
		{"a negative revision", "apiVersion: signalbox.dev/v1\nkind: Link\nmetadata: {name: l, revision: -1}\n", "m.yaml:3: metadata.revision: -1: want a whole number, not below 0"},
		{"a bad time", "apiVersion: signalbox.dev/v1\nkind: Link\nmetadata:\n  name: l\n  updatedAt: 2026-01-31\n", "m.yaml:5: metadata.updatedAt: 2026-01-31: want an RFC 3339 time"},
		{"a duration without a unit", link("  delivery:\n    timeout: 30\n"), "m.yaml:8: spec.delivery.timeout: duration 30: want a string with a unit"},
		{"a duration that is none", link("  delivery:\n    maxAge: 1 day\n"), `m.yaml:8: spec.delivery.maxAge: duration "1 day": want a number with a unit, such as 200ms, 30s, 5m, 24h`},
		{"a duration that is a mapping", link("  delivery:\n    maxAge: {a: b}\n"), "m.yaml:8: spec.delivery.maxAge: a mapping: want"},
		{"a duration beyond the limit", link("  delivery:\n    attempts: 3\n    timeout: 2h\n"), "m.yaml:9: spec.delivery.timeout: 2h0m0s: want 1ms to 1h0m0s"},
		{"a negative duration", link("  delivery: {timeout: -1s}\n"), "m.yaml:7: spec.delivery.timeout: -1s: want 1ms to 1h0m0s"},
		{"a backoff that begins above its end", link("  delivery:\n    backoff:\n      initial: 10m\n"), "m.yaml:9: spec.delivery.backoff.initial: 10m0s: want at most max, which is 5m0s"},
		{"attempts beyond the limit", link("  delivery: {attempts: 101}\n"), "m.yaml:7: spec.delivery.attempts: 101: want 1 to 100"},
		{"concurrency beyond the limit", link("  delivery: {concurrency: -1}\n"), "m.yaml:7: spec.delivery.concurrency: -1: want 1 to 10000"},
		{"a format there is not", link("  delivery: {format: xml}\n"), `m.yaml:7: spec.delivery.format: "xml": want binary, structured or batch`},
		{"an order there is not", link("  order: fifo\n"), `m.yaml:7: spec.order: "fifo": want none or key`},
		{"a start that is no time", link("  startFrom: yesterday\n"), `m.yaml:7: spec.startFrom: "yesterday": want latest, earliest or a time such as 2026-01-02T15:04:05Z`},
		{"a rate below zero", link("  delivery: {rate: -1}\n"), `m.yaml:7: spec.delivery.rate: -1: want 0.001 to 1000000 calls per second, or 0 for no bound`},
		{"an end of a key there is not", link("  delivery: {afterDead: stop}\n"), `m.yaml:7: spec.delivery.afterDead: "stop": want hold or continue`},
		{"a function's name that no topic can carry", "apiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: " + strings.Repeat("f", 201) + "}\nspec: {url: http://f}\n", "metadata.name: 201 characters: a function's name has at most 200"},
		{"a star within a type", strings.Replace(link(""), "[a]", "\n  - a\n  - a*b", 1), `m.yaml:8: spec.types[1]: "a*b": '*' is allowed at the end only`},
		{"an empty type", strings.Replace(link(""), "[a]", `["", "*"]`, 1), "m.yaml:6: spec.types[0]: empty"},
		{"no types", strings.Replace(link(""), "[a]", "[]", 1), "m.yaml:6: spec.types: empty: want at least one event type"},
		{"no function", "apiVersion: signalbox.dev/v1\nkind: Link\nmetadata: {name: l}\nspec: {types: [a]}\n", "m.yaml:4: spec.function: missing: want the name of a function"},
		{"a function's name that is none", strings.Replace(link(""), "function: f", "function: F@", 1), `m.yaml:5: spec.function: "F@": want the name of a function, or name@version`},
		{"a filter of no dialect", link("  filters:\n  - exact: {a: b}\n  - {}\n"), "m.yaml:9: spec.filters[1]: has 0 dialects []: want exactly one of"},
		{"a filter of two dialects", link("  filters:\n  - exact: {a: b}\n    sql: x\n"), "m.yaml:8: spec.filters[0]: has 2 dialects [exact sql]: want exactly one of"},
		{"an empty filter value", link("  filters:\n  - all:\n    - not:\n        prefix:\n          a: x\n          b: ''\n"), "m.yaml:12: spec.filters[0].all[0].not.prefix.b: empty"},
		{"an empty filter list", link("  filters: [any: []]\n"), "m.yaml:7: spec.filters[0].any: empty: want at least one filter"},
		{"an empty filter mapping", link("  filters: [suffix: {}]\n"), "m.yaml:7: spec.filters[0].suffix: empty: want at least one attribute"},
		{"an attribute that is none", link("  filters: [exact: {A_b: x}]\n"), `m.yaml:7: spec.filters[0].exact: attribute "A_b": want lower-case letters and digits`},
		{"an empty expression", link("  filters:\n  - exact: {a: b}\n  - sql: ''\n"), "m.yaml:9: spec.filters[1].sql: empty: want a CESQL expression"},
		{"url and command", function(u + "  command: [x]\n"), "m.yaml:4: spec: has url and command: want exactly one of them"},
		{"neither url nor command", function("  on: [a]\n"), "m.yaml:4: spec: want exactly one of url, command, scripts, image, knative, job"},
		{"a url without a host", function("  url: http://:80/\n"), `m.yaml:5: spec.url: "http://:80/": want an absolute http or https URL`},
		{"a url of another scheme", function("  url: ftp://x\n"), "m.yaml:5: spec.url: "},
		{"a url with a password", function("  url: http://u:secret@x/\n"), "m.yaml:5: spec.url: a URL with a user name or password"},
		{"a dir without a command", function(u + "  dir: x\n"), "m.yaml:6: spec.dir: only with command"},
		{"an empty program", function("  command: ['']\n"), "m.yaml:5: spec.command[0]: empty: want a program"},
		{"a version that is none", function(u + "  version: a/b\n"), `m.yaml:6: spec.version: "a/b": want at most 63`},
		{"an empty emitted type", function(u + "  emits:\n  - a\n  - ''\n"), "m.yaml:8: spec.emits[1]: empty: want an event type"},
		{"a function's concurrency", function(u + "  concurrency: 10001\n"), "m.yaml:6: spec.concurrency: 10001: want 1 to 10000"},
		{"an empty policy", "apiVersion: signalbox.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec: {rego: ' '}\n", "m.yaml:4: spec.rego: empty: want a Rego module"},
		{"a kind there is not", strings.Replace(link(""), "Link", "Lnk", 1), `m.yaml:2: kind: "Lnk": want one of Function, Link, Policy`},
		{"a kind in another case", strings.Replace(link(""), "Link", "link", 1), `m.yaml:2: kind: "link": want one of Function, Link, Policy`},
		{"no kind", "apiVersion: signalbox.dev/v1\nmetadata: {name: l}\n", `m.yaml:1: kind: "": want one of`},
		{"another API version", strings.Replace(link(""), "/v1", "/v2", 1), `m.yaml:1: apiVersion: "signalbox.dev/v2": want signalbox.dev/v1`},
		{"no name", strings.Replace(link(""), "{name: l}", "{}", 1), "m.yaml:3: metadata.name: missing"},
		{"a name that is none", strings.Replace(link(""), "name: l", "name: L_", 1), `m.yaml:3: metadata.name: "L_": want lower-case letters`},
		{"a label key that is none", strings.Replace(link(""), "name: l", "name: l, labels: {'a b': c}", 1), `m.yaml:3: metadata.labels: key "a b": want letters`},
		{"no spec", "apiVersion: signalbox.dev/v1\nkind: Link\nmetadata: {name: l}\n", "m.yaml:1: spec: missing"},
		{"no mapping", "\n- a\n", "m.yaml:2: want a mapping with apiVersion, kind, metadata and spec"},
		{"no YAML", "a: b\n c: d\n", "m.yaml:2: not YAML: "},
		{"an alias", link("") + "  filters: &a\n  - exact: {a: b}\nstatus: *a\n", "m.yaml:9: status: YAML aliases are not allowed"},
		{"an alias in a list", strings.Replace(link(""), "[a]", "[&a b, *a]", 1), "m.yaml:6: spec.types[1]: YAML aliases are not allowed"},
		{"an alias in config", function(u + "  config:\n    a: &a [1]\n    b: [*a, *a]\n"), "m.yaml:8: spec.config.b[0]: YAML aliases are not allowed"},
		{"a merge key", function(u + "  config:\n    <<: {a: b}\n"), "m.yaml:7: spec.config.<<: YAML aliases are not allowed"},
		{"a tag of one's own", function(u + "  config:\n    a: !secret x\n"), "m.yaml:7: spec.config.a: YAML tag !secret is not allowed"},
		{"binary", function(u + "  config: {a: !!binary aGk=}\n"), "m.yaml:6: spec.config.a: YAML tag !!binary is not allowed"},
		{"a number that is not finite", function(u + "  config:\n    a: .inf\n"), "m.yaml:7: spec.config.a: .inf: want a finite number"},
		{"a tag that does not fit", function(u + "  config:\n    a: !!int x\n"), "m.yaml:7: spec.config.a: x: "},
		{"a mapping tagged null", "apiVersion: signalbox.dev/v1\nkind: Link\nmetadata: !!null {name: l}\n", "m.yaml:3: metadata: YAML tag !!null is not allowed"},
		{"a key that is a list", function(u + "  config: {[a]: b}\n"), "m.yaml:6: spec.config: a key that is no plain text"},
		{"nesting without end", function(u + "  config: {a: " + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}\n"), "[0]: nested deeper than 64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			objects, err := Decode("m.yaml", []byte(tt.src))
			var faults Faults
			if objects != nil || !errors.As(err, &faults) || !contains(faults, tt.want) {
				t.Fatalf("got %v, %v\nwant %s", objects, err, tt.want)
			}
		})
	}
}

func contains(faults Faults, want string) bool {
	for _, f := range faults {
		if strings.Contains(f.String(), want) {
			return true
		}
	}
	return false
}

func TestDecodeTellsEveryFaultOfEveryDocument(t *testing.T) {
	_, err := Decode("m", []byte(link("  a: 1\n  b: 2\n")+"---\n"+link("  order: x\n")))
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != 3 || faults[0].Line != 7 || faults[1].Line != 8 || faults[2].Line != 16 {
		t.Errorf("got %v", err)
	}
	_, err = Decode("m", []byte(strings.Replace(link(""), "[a]", "["+strings.Repeat("1,", 5000)+"]", 1)))
	if !errors.As(err, &faults) || len(faults) != 101 || faults[100].Problem != "and 4900 more" {
		t.Errorf("%d faults, the last %v", len(faults), faults[len(faults)-1])
	}
}

func TestDecodeFaultOrderIsStable(t *testing.T) {
	src := []byte(link("  filters: [exact: {A: '', B: '', C: '', D: '', E: ''}]\n"))
	_, first := Decode("m", src)
	for range 20 {
		if _, err := Decode("m", src); err.Error() != first.Error() {
			t.Fatalf("got %v, then %v", first, err)
		}
	}
}

func TestDecodeTakes(t *testing.T) {
	objects, err := Decode("m", []byte("---\n# nothing\n---\n"+link("")+"---\n"+function("  url: http://x\n")+"---\nnull\n---\n"))
	if err != nil || len(objects) != 2 || objects[0].Kind != KindLink || objects[1].Kind != KindFunction {
		t.Errorf("two documents among empty ones: %v, %v", objects, err)
	}
	for _, src := range []string{"", "\n", "# nothing\n", "---\n---\n"} {
		if objects, err := Decode("m", []byte(src)); err != nil || len(objects) != 0 {
			t.Errorf("%q: %v, %v", src, objects, err)
		}
	}
	if _, err := Decode("m", []byte(link("")+"---\n"+link(""))); err == nil || !strings.Contains(err.Error(), "m:10: metadata.name: Link/l stands twice in this manifest") {
		t.Errorf("one resource twice: %v", err)
	}
}

func TestDecodeConverts(t *testing.T) {
	objects, err := Decode("m", []byte(function(`  url: http://x
  on: [a]
  config: {n: 9007199254740993, big: 123456789012345678901234567890, exp: 1e400, hex: 0x10, f: 0.10, s: "1", d: 2026-01-31, t: true, z: null, on: off}
`)))
	if err != nil {
		t.Fatal(err)
	}
	var spec struct{ Config map[string]json.RawMessage }
	if err := json.Unmarshal(objects[0].Spec, &spec); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"n": "9007199254740993", "big": "123456789012345678901234567890", "exp": "1e400", "hex": "16", "f": "0.10", "s": `"1"`,
		"d": `"2026-01-31"`, "t": "true", "z": "null", "on": `"off"`,
	}
	for k, v := range want {
		if got := string(spec.Config[k]); got != v {
			t.Errorf("%s = %s, want %s", k, got, v)
		}
	}
}

func TestDecodeOne(t *testing.T) {
	body := "{\n\t\"apiVersion\": \"signalbox.dev/v1\", \"kind\": \"Function\",\n\t\"metadata\": {\"name\": \"f\", \"revision\": 18446744073709551615, \"labels\": {\"e\": \"\\ud83d\\ude00\\/\"}},\n" +
		"\t\"spec\": {\"url\": \"http://x\", \"config\": {\"n\": 12345678901234567890123, \"m\": -9007199254740993}},\n\t\"status\": {\"a\": [1.50, null]}\n}\n"
	o, err := DecodeOne([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if o.Metadata.Revision != 18446744073709551615 || o.Metadata.Labels["e"] != "😀/" || string(o.Status) != `{"a":[1.50,null]}` ||
		string(o.Spec) != `{"config":{"m":-9007199254740993,"n":12345678901234567890123},"url":"http://x"}` {
		t.Errorf("got %+v %s %s", o, o.Spec, o.Status)
	}
	for name, tt := range map[string]struct{ src, want string }{
		"nothing":               {"", "holds 0 resources: want exactly one"},
		"two":                   {link("") + "---\n" + function("  url: http://x\n"), "holds 2 resources: want exactly one"},
		"a line of JSON":        {"{\"apiVersion\": \"signalbox.dev/v1\",\n\"kind\": \"Link\", \"metadata\": {\"name\": \"l\"},\n\"spec\": {\"function\": \"f\",\n\t\"types\": [\"a\",\n\t\t7]}}", "line 5: spec.types[1]: 7: want a string"},
		"a JSON member twice":   {strings.Replace(body, `"kind"`, `"kind": "Link", "kind"`, 1), "line 2: kind: stands twice"},
		"JSON nested too deep":  {`{"status": ` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, "nested deeper than 64"},
		"JSON that is no JSON":  {"{\n\"kind\": \"Link\",\n", "not YAML"},
		"a revision as text":    {strings.Replace(body, "18446744073709551615", `"1"`, 1), "metadata.revision: \"1\": want a whole number"},
		"a revision of 65 bits": {strings.Replace(body, "18446744073709551615", "18446744073709551616", 1), "line 3: metadata.revision: 18446744073709551616: want a whole number"},
	} {
		if _, err := DecodeOne([]byte(tt.src)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
}

func TestLineOf(t *testing.T) {
	src := link("") + `---
apiVersion: signalbox.dev/v1
kind: Policy
metadata:
  name: p
  labels:
    a: x
    a.b/c: y
    a.b: z
spec:
  rego: |
    package x
`
	for _, tt := range []struct {
		kind, name, field string
		want              int
	}{
		{"Link", "l", "spec.types[0]", 6}, {"Policy", "p", "spec.rego", 17}, {"Policy", "p", "spec", 16}, {"Policy", "p", "spec.other.more", 16},
		{"Policy", "p", "metadata.labels.a.b/c", 14}, {"Policy", "p", "metadata.labels.a.b", 15}, {"Policy", "p", "metadata.labels.a", 13},
		{"Policy", "p", "", 8}, {"Policy", "q", "spec", 0}, {"Link", "l", "spec.types[9]", 6}, {"Link", "l", "spec.types[x", 6},
	} {
		if got := LineOf([]byte(src), tt.kind, tt.name, tt.field); got != tt.want {
			t.Errorf("LineOf(%s/%s, %s) = %d, want %d", tt.kind, tt.name, tt.field, got, tt.want)
		}
	}
	if got := LineOf([]byte("{\n\"kind\":\"Link\",\n\"metadata\":{\"name\":\"l\"},\n\"spec\":{\n\"types\":[]}}"), "Link", "l", "spec.types"); got != 5 {
		t.Errorf("JSON: line %d, want 5", got)
	}
	if got := LineOf([]byte("a: [\n"), "Link", "l", "spec"); got != 0 {
		t.Errorf("no YAML: line %d, want 0", got)
	}
}

func TestABombOfAliasesIsRefusedQuickly(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", "))
	}
	src := function("  url: http://x\n  config:\n    " + strings.ReplaceAll(strings.TrimSpace(b.String()), "\n", "\n    ") + "\n")
	if _, err := Decode("m", []byte(src)); err == nil || !strings.Contains(err.Error(), "m:8: spec.config.a1[0]: YAML aliases are not allowed") {
		t.Errorf("got %.300v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, src := range []string{
		link("  filters: [all: [{exact: {a: b}}, not: {sql: x}]]\n  delivery: {timeout: 1s, backoff: {max: 1m}}\n"),
		function("  command: [a, b]\n  config: {a: [1, 2.5, .inf, 0x10, 1e400, ~, 2026-01-31]}\n"),
		"apiVersion: signalbox.dev/v1\nkind: Policy\nmetadata:\n  name: p\nspec:\n  rego: |\n    package x\n",
		`{"apiVersion": "signalbox.dev/v1", "kind": "Link", "metadata": {"name": "l", "revision": 1}, "spec": {"function": "f@v", "types": ["*"]}}`,
		"a: &a [*a]\n", "? [a]\n: b\n", "<<: {a: b}\n", "- a\n---\n...\n", "a: !!binary x\n",
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		objects, err := Decode("m", src)
		if err != nil {
			var faults Faults
			if !errors.As(err, &faults) || len(faults) == 0 || objects != nil {
				t.Fatalf("got %v, %v, want Faults", objects, err)
			}
			return
		}
		for i := range objects {
			b, err := objects[i].YAML()
			if err != nil {
				t.Fatal(err)
			}
			again, err := DecodeOne(b)
			if err != nil || !reflect.DeepEqual(again, objects[i]) {
				t.Fatalf("back from\n%s\n%+v %s, %v, want %+v %s", b, again, again.Spec, err, objects[i], objects[i].Spec)
			}
		}
		if _, faults := NewSet(1, objects); len(faults) > 0 {
			t.Fatal(faults)
		}
	})
}

func TestDecodeKeepsNothingOfItsInput(t *testing.T) {
	src := []byte(`{"apiVersion":"signalbox.dev/v1","kind":"Link","metadata":{"name":"l"},"spec":{"function":"f","types":["a"]}}`)
	o, err := DecodeOne(src)
	if err != nil {
		t.Fatal(err)
	}
	for i := range src {
		src[i] = 'x'
	}
	if o.Kind != "Link" || string(o.Spec) != `{"function":"f","types":["a"]}` {
		t.Errorf("got %+v %s", o, o.Spec)
	}
}

func TestLoadManifestsReadsADirectory(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.yaml", function("  command: [./x]\n  dir: sub\n"))
	write("b.json", `{"apiVersion":"signalbox.dev/v1","kind":"Link","metadata":{"name":"l"},"spec":{"function":"f","types":["a"]}}`)
	write(".hidden.yaml", "x")
	write("package.json", "{}")
	write("notes.txt", "x")
	m, err := LoadManifests(dir)
	if err != nil || len(m.Objects) != 2 {
		t.Fatalf("got %v, %v", m, err)
	}
	set, faults := NewSet(1, m.Objects)
	if len(faults) > 0 || set.Functions[0].Spec.Dir != dir+"/sub" {
		t.Errorf("dir %q: want it to start from the manifest's own; %v", set.Functions[0].Spec.Dir, faults)
	}
	write("c.yaml", link(""))
	if _, err := LoadManifests(dir); err == nil || !strings.Contains(err.Error(), "c.yaml:3: metadata.name: Link/l stands twice: in "+dir+"/b.json too") {
		t.Errorf("one resource in two files: %v", err)
	}
}

func TestADirectoryWithoutManifestsNamesTheOneBelowItThatHasSome(t *testing.T) {
	dir := writeTree(t, map[string]string{"data/notes.txt": "", "greet/l.yaml": aLink})
	_, err := LoadManifests(dir)
	if want := "holds no resources"; err == nil || !strings.Contains(err.Error(), want) || !strings.HasSuffix(err.Error(), "such as "+filepath.Join(dir, "greet")+": name one of them") {
		t.Errorf("%v", err)
	}
	if _, err := LoadManifests(filepath.Join(dir, "data")); err == nil || strings.Contains(err.Error(), "below") {
		t.Errorf("%v", err)
	}
}
