package resource

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeTree writes files into a new directory.
func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const aLink = "apiVersion: signalbox.dev/v1\nkind: Link\nmetadata: {name: l}\nspec: {function: f, types: [t]}\n"

func TestRegoFilesOfADirectoryArePolicies(t *testing.T) {
	dir := writeTree(t, map[string]string{
		"link.yaml":              aLink,
		"Night_Watch.rego":       "# METADATA\n# custom:\n#   signalbox: {priority: 7, onError: open, mode: shadow}\npackage signalbox.trigger\n",
		"night_test.rego":        "package signalbox.trigger_test\n",
		"night.cases.yaml":       "cases: []\n",
		"teams/media/allow.rego": "package signalbox.admission\n",
		"teams/data.yaml":        "quiet: [1, 2]\n",
		"data.json":              `{"limits": {"a": 12345678901234567890}}`,
		"node_modules/x/x.rego":  "package x\n",
		".git/y.rego":            "package y\n",
		"testdata/z.rego":        "package z\n",
	})
	m, err := LoadManifests(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]PolicySpec{}
	for _, o := range m.Objects {
		if o.Kind == KindPolicy {
			var s PolicySpec
			if err := json.Unmarshal(o.Spec, &s); err != nil {
				t.Fatal(err)
			}
			got[o.Metadata.Name] = s
		}
	}
	if len(got) != 4 || len(m.Objects) != 5 {
		t.Fatalf("%d objects, policies %v", len(m.Objects), got)
	}
	if p := got["night-watch"]; p.Priority != 7 || !p.FailsOpen() || !p.Shadow() || !strings.Contains(p.Rego, "package signalbox.trigger") {
		t.Errorf("night-watch: %+v", p)
	}
	if p := got["teams.media.allow"]; p.Priority != 0 || p.OnError != "" || p.Mode != "" {
		t.Errorf("teams.media.allow: %+v", p)
	}
	if d := string(got["data"].Data["limits"]); d != `{"a":12345678901234567890}` {
		t.Errorf("data of data.json: %s", d)
	}
	if d := string(got["teams.data"].Data["teams"]); d != `{"quiet":[1,2]}` {
		t.Errorf("data of teams/data.yaml: %s", d)
	}
	if f := m.File(KindPolicy, "teams.data"); f != filepath.Join(dir, "teams", "data.yaml") {
		t.Errorf("teams.data is said to be in %s", f)
	}
}

func TestRegoFilesSayWhatIsWrongWithThem(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a manifest's policy has the name": {map[string]string{
			"p.yaml": "apiVersion: signalbox.dev/v1\nkind: Policy\nmetadata: {name: a.b}\nspec: {rego: package x}\n", "a/b.rego": "package y\n",
		}, "p.yaml:3: metadata.name: Policy/a.b stands twice: in $DIR/a/b.rego too"},
		"two files give one name":     {map[string]string{"a-b.rego": "package x\n", "a_b.rego": "package y\n"}, "a_b.rego: Policy/a-b stands twice: in $DIR/a-b.rego too (a file is named after its path)"},
		"empty":                       {map[string]string{"p.rego": " \n"}, "p.rego: spec.rego: empty"},
		"no document":                 {map[string]string{"p.rego": "package x\n", "data.json": "{"}, "data.json:"},
		"data that is no object":      {map[string]string{"p.rego": "package x\n", "data.json": "[]"}, "want an object at the root of data"},
		"settings that are none":      {map[string]string{"p.rego": "# METADATA\n# custom:\n#   signalbox: {prio: 1}\npackage x\n"}, `p.rego:1: custom.signalbox: json: unknown field "prio"`},
		"settings that are not valid": {map[string]string{"p.rego": "# METADATA\n# custom:\n#   signalbox: {mode: loud}\npackage x\n"}, `p.rego: spec.mode: "loud": want enforce or shadow`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeTree(t, tt.files)
			_, err := LoadManifests(dir)
			if err == nil {
				t.Fatal("no fault")
			}
			if want := strings.ReplaceAll(tt.want, "$DIR", dir); !strings.Contains(err.Error(), want) {
				t.Errorf("%v\nwant %s", err, want)
			}
		})
	}
}

func TestMetadataElsewhereSetsNothing(t *testing.T) {
	for _, src := range []string{
		"# METADATA\n# title: x\npackage x\n",
		"# METADATA\n# custom: {signalbox: {priority: 3}}\n\npackage x\n# METADATA\n# custom: {signalbox: {priority: 3}}\np := 1\n",
		"package x\n# METADATA\n# custom: {signalbox: {priority: 3}}\np := 1\n",
	} {
		o, err := ModulePolicy("p", []byte(src))
		if err != nil || strings.Contains(string(o.Spec), `"priority"`) {
			t.Errorf("%q: %s %v", src, o.Spec, err)
		}
	}
}

func TestWithoutModulesADocumentIsNobodysPolicy(t *testing.T) {
	m, err := LoadManifests(writeTree(t, map[string]string{"link.yaml": aLink, "data.json": "[1]"}))
	if err != nil || len(m.Objects) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestFaultsOfARegoFileAreLocated(t *testing.T) {
	dir := writeTree(t, map[string]string{"p.rego": "package x\n"})
	m, err := LoadManifests(filepath.Join(dir, "p.rego"))
	if err != nil || len(m.Objects) != 1 {
		t.Fatal(err)
	}
	f := m.Locate(Faults{{Resource: "Policy/p", Field: "spec.rego", Line: 7, Problem: "bad"}})
	if f[0].File != filepath.Join(dir, "p.rego") || f[0].Line != 7 {
		t.Errorf("%+v", f)
	}
}
