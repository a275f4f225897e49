package resource

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func versioned(name, version, more string) Object {
	return Object{APIVersion: APIVersion, Kind: KindFunction, Metadata: Metadata{Name: name},
		Spec: []byte(fmt.Sprintf(`{"url":"http://f/","version":%q%s}`, version, more))}
}

func TestVersionsStandBesideTheOneInForce(t *testing.T) {
	set, faults := NewSet(1, []Object{versioned("f@v1", "v1", `,"on":["t"]`), versioned("f", "v3", ""), versioned("f@v2", "v2", ""), versioned("gone@v1", "v1", "")})
	if faults != nil {
		t.Fatal(faults)
	}
	if len(set.Functions) != 1 || len(set.Links) != 0 {
		t.Errorf("%d functions in force, %d links: want 1, and none of what an old version is on", len(set.Functions), len(set.Links))
	}
	for version, want := range map[string]string{"": "v3", "v1": "v1", "v2": "v2", "v3": "v3"} {
		if fn := set.Function("f", version); fn == nil || fn.Spec.Version != want || fn.Metadata.Name != "f" {
			t.Errorf("version %q: %+v", version, fn)
		}
	}
	if set.Function("f", "v4") != nil || set.Function("gone", "") != nil || set.Route("gone") != nil {
		t.Error("found what is not there")
	}
	if fn := set.Route("f").Pick("k", "", ""); fn.Spec.Version != "v3" {
		t.Errorf("without traffic: %s, want the one in force", fn.Spec.Version)
	}
}

func TestTrafficIsSplitByWeightAndStaysWithItsKey(t *testing.T) {
	split := func(v1, v2 int) *Route {
		set, faults := NewSet(1, []Object{versioned("f@v1", "v1", ""),
			versioned("f", "v2", fmt.Sprintf(`,"traffic":[{"version":"v1","weight":%d},{"version":"v2","weight":%d}]`, v1, v2))})
		if faults != nil {
			t.Fatal(faults)
		}
		return set.Route("f")
	}
	before, after := split(90, 10), split(70, 30)
	const n = 20000
	second, moved, back := 0, 0, 0
	for i := range n {
		key := fmt.Sprintf("key-%d", i)
		was, is := before.Pick(key, "/a", "1").Spec.Version, after.Pick(key, "/b", "2").Spec.Version
		if was != before.Pick(key, "/c", "3").Spec.Version {
			t.Fatalf("%s goes to both", key)
		}
		if was == "v2" {
			second++
		}
		switch {
		case was == "v1" && is == "v2":
			moved++
		case was == "v2" && is == "v1":
			back++
		}
	}
	if second < n*9/100 || second > n*11/100 {
		t.Errorf("v2 gets %d of %d keys, want a tenth", second, n)
	}
	if back > 0 || moved < n*18/100 || moved > n*22/100 {
		t.Errorf("%d keys moved to v2 and %d back: want a fifth and none", moved, back)
	}
	if a, b := before.Pick("", "/s", "1"), before.Pick("", "/s", "1"); a != b {
		t.Error("without a key: the same event goes to both")
	}
	if n := testing.AllocsPerRun(100, func() {
		before.Pick("", "/a/source/of/more/than/32/bytes", "an-id-of-more-than-32-bytes-as-well")
		before.Pick("k", "", "")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTrafficToAVersionThatIsNotThereIsAFault(t *testing.T) {
	_, faults := NewSet(1, []Object{versioned("f", "v2", `,"traffic":[{"version":"v9","weight":1},{"version":"v2","weight":1}]`)})
	if len(faults) != 1 || !strings.Contains(faults.Error(), "v9") || !strings.Contains(faults.Error(), "v2") {
		t.Errorf("%v", faults)
	}
}

func TestTrafficValidation(t *testing.T) {
	for spec, want := range map[string]string{
		`,"traffic":[{"version":"","weight":1}]`:                              "spec.traffic[0].version",
		`,"traffic":[{"version":"a","weight":1},{"version":"a","weight":1}]`:  "stands twice",
		`,"traffic":[{"version":"a","weight":-1}]`:                            "0 to 1000",
		`,"traffic":[{"version":"a","weight":0},{"version":"v1","weight":0}]`: "all weights are 0",
	} {
		o := versioned("f", "v1", spec)
		if got := o.Validate().Error(); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", spec, got, want)
		}
	}
}

func document(name, version string) string {
	v := ""
	if version != "" {
		v = ", version: " + version
	}
	return "---\napiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: " + name + "}\nspec: {url: http://f/" + v + "}\n"
}

func TestSeveralVersionsOfAFunctionMayStandInOneManifest(t *testing.T) {
	tests := map[string]struct{ manifest, want string }{
		"versions":                      {document("f", "v1") + document("f", "v2") + document("g", "v1"), ""},
		"one version twice":             {document("f", "v1") + document("f", "v2") + document("f", "v1"), "14: metadata.name: Function/f with version v1 stands twice"},
		"two without a version":         {document("f", "") + document("f", ""), "Function/f stands twice"},
		"one without, then one with":    {document("f", "") + document("f", "v1"), "stands twice"},
		"one with, then one without":    {document("f", "v1") + document("f", ""), "stands twice"},
		"a version that is not written": {document("f@v1", "v1"), `write function "f" with spec.version "v1"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			objects, err := Decode("", []byte(test.manifest))
			switch {
			case test.want == "" && (err != nil || len(objects) != 3):
				t.Errorf("%d objects, %v", len(objects), err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

func TestAFaultIsFoundInTheVersionThatItIsAbout(t *testing.T) {
	src := []byte(document("f", "v1") + document("f", "v2"))
	for name, want := range map[string]int{"f": 9, "f@v1": 4, "f@v2": 9, "f@v3": 0} {
		if got := LineOf(src, KindFunction, name, "metadata.name"); got != want {
			t.Errorf("%s: line %d, want %d", name, got, want)
		}
	}
	dir := t.TempDir()
	for file, version := range map[string]string{"a.yaml": "v1", "b.yaml": "v2"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(document("f", version)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := LoadManifests(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"f": "b.yaml", "f@v1": "a.yaml", "f@v2": "b.yaml"} {
		got := m.Locate(Faults{{Resource: "Function/" + name, Field: "spec.url", Problem: "p"}})
		if filepath.Base(got[0].File) != want || got[0].Line != 5 {
			t.Errorf("%s: %v, want %s:5", name, got, want)
		}
	}
}

func TestVersionsInUse(t *testing.T) {
	link := func(function string) Object {
		return Object{APIVersion: APIVersion, Kind: KindLink, Metadata: Metadata{Name: "l"}, Spec: []byte(fmt.Sprintf(`{"function":%q,"types":["t"]}`, function))}
	}
	split := `,"traffic":[{"version":"v1","weight":1},{"version":"v2","weight":3},{"version":"v3","weight":0}]`
	for name, test := range map[string]struct {
		traffic, link, want string
	}{
		"the one in force":                {"", "f", "v3"},
		"those of the traffic":            {split, "f", "v1 v2"},
		"what a link names, too":          {"", "f@v1", "v3 v1"},
		"what a link names beside others": {split, "f@v3", "v3 v1 v2"},
		"a link to what is not there":     {"", "f@v9", "v3"},
	} {
		t.Run(name, func(t *testing.T) {
			set, faults := NewSet(1, []Object{versioned("f@v1", "v1", ""), versioned("f@v2", "v2", ""), versioned("f", "v3", test.traffic), link(test.link)})
			var got []string
			for _, fn := range set.VersionsInUse() {
				got = append(got, fn.Spec.Version)
			}
			if strings.Join(got, " ") != test.want || faults != nil {
				t.Errorf("%v %v, want %s", got, faults, test.want)
			}
			r := set.Route("f")
			if sum := r.Share("v1") + r.Share("v2") + r.Share("v3"); sum != 1 || test.traffic != "" && r.Share("v2") != 0.75 {
				t.Errorf("shares add up to %v, v2 has %v", sum, r.Share("v2"))
			}
		})
	}
}
