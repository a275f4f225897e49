package graph

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

// setOf makes a set from a manifest.
func setOf(t testing.TB, manifest string) resource.Set {
	t.Helper()
	objects, err := resource.Decode("test", []byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	set, faults := resource.NewSet(3, objects)
	if err := faults.Err(); err != nil && !strings.Contains(err.Error(), "no such version") {
		t.Fatal(err)
	}
	return set
}

// fn, link and doc write manifests.
func fn(name, on, emits string, more ...string) string {
	s := fmt.Sprintf("---\napiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: %s}\nspec: {url: \"http://f\", on: [%s], emits: [%s]", name, on, emits)
	return s + strings.Join(append([]string{""}, more...), ", ") + "}\n"
}

func link(name, function, types string, more ...string) string {
	s := fmt.Sprintf("---\napiVersion: signalbox.dev/v1\nkind: Link\nmetadata: {name: %s}\nspec: {function: %s, types: [%s]", name, function, types)
	return s + strings.Join(append([]string{""}, more...), ", ") + "}\n"
}

func edges(g *Graph) string {
	var all []string
	for _, e := range g.Edges {
		mark := ""
		if e.Observed {
			mark = "?"
		}
		all = append(all, e.From+">"+e.To+mark)
	}
	return strings.Join(all, "\n")
}

func findings(g *Graph) string {
	var all []string
	for _, f := range g.Findings {
		all = append(all, f.Kind+" "+f.Resource)
	}
	return strings.Join(all, "\n")
}

func TestTypesLeadByLinksToFunctionsAndOn(t *testing.T) {
	g := Build(setOf(t, fn("thumbs", "img.up", "img.thumb")+fn("audit", "", "")+link("all", "audit", `"*"`)+link("images", "audit", `"img.*"`)+link("exact", "audit", "img.thumb")),
		Observed{Types: []SeenType{{"doc.up", 2}, {"img.up", 0.5}}, Emits: []Emit{{"thumbs", "img.thumb"}, {"thumbs", "img.failed"}, {"gone", "x"}}})
	want := `function:thumbs>type:img.failed?
function:thumbs>type:img.thumb?
link:all>function:audit
link:exact>function:audit
link:images>function:audit
link:thumbs>function:thumbs
type:*>link:all
type:doc.up>link:all
type:img.*>link:images
type:img.failed>link:all
type:img.failed>link:images
type:img.thumb>link:all
type:img.thumb>link:exact
type:img.thumb>link:images
type:img.up>link:all
type:img.up>link:images
type:img.up>link:thumbs`
	if got := edges(g); got != want {
		t.Errorf("%s", got)
	}
	if len(g.Findings) != 0 {
		t.Errorf("%+v", g.Findings)
	}
}

func TestFindings(t *testing.T) {
	for name, x := range map[string]struct {
		manifest string
		seen     Observed
		want     string
		says     string
	}{
		"all is well":                          {fn("a", "t", "u") + fn("b", "u", ""), Observed{Types: []SeenType{{"t", 1}}}, "", ""},
		"a function that answers its own type": {fn("a", "t", "t"), Observed{}, "cycle Function/a", "t -> link a -> function a -> t"},
		"a cycle of two":                       {fn("a", "t", "u") + fn("b", "u", "t"), Observed{}, "cycle Function/a", "t -> link a -> function a -> u -> link b -> function b -> t"},
		"the shortest of several":              {fn("a", "t", "u, v") + fn("b", "u", "w") + fn("c", "w", "t") + fn("d", "v", "t"), Observed{}, "cycle Function/a", "function a -> v -> link d -> function d -> t"},
		"by a prefix":                          {fn("a", `"x.*"`, "x.y"), Observed{}, "cycle Function/a", "x.y -> link a -> function a -> x.y"},
		"by a prefix that is emitted":          {fn("a", "x.y", `"x.*"`), Observed{}, "cycle Function/a", "x.* -> link a -> function a -> x.*"},
		"by what was observed":                 {fn("a", "t", ""), Observed{Emits: []Emit{{"a", "t"}}}, "cycle Function/a", ""},
		"with filters":                         {fn("a", "", "t") + link("l", "a", "t", "filters: [{exact: {source: x}}]"), Observed{}, "cycle Function/a", "(unless the filters of l end it)"},
		"nothing leads to it":                  {fn("a", "", ""), Observed{}, "unreachable Function/a", "function a is never called"},
		"a policy leads to it":                 {fn("a", "", "") + policy, Observed{Policies: []Effect{{Policy: "p", Function: "a"}}}, "", ""},
		"a schedule runs it":                   {fn("a", "", "", "schedule: [{cron: '@daily'}]"), Observed{}, "", ""},
		"nobody listens":                       {fn("a", "t", "u"), Observed{Types: []SeenType{{"t", 1}}}, "unheard Function/a", "function a emits u, and no link listens to it"},
		"nobody listens to what was seen":      {fn("a", "t", ""), Observed{Types: []SeenType{{"t", 1}}, Emits: []Emit{{"a", "u"}}}, "unheard Function/a", "was seen to emit u"},
		"no function":                          {link("l", "f", "t"), Observed{Types: []SeenType{{"t", 1}}}, "off Link/l", "link l is off: there is no function f"},
		"no version":                           {fn("f", "t", "") + link("l", "f@v9", "t"), Observed{Types: []SeenType{{"t", 1}}}, "off Link/l", "function f has no version v9"},
		"nobody sends":                         {fn("f", "t", ""), Observed{}, "unsent Link/f", "link f listens to t: no function emits that"},
	} {
		t.Run(name, func(t *testing.T) {
			g := Build(setOf(t, x.manifest), x.seen)
			if got := findings(g); got != x.want {
				t.Fatalf("%s\nwant %s\n%s", got, x.want, edges(g))
			}
			if x.says != "" && !strings.Contains(g.Findings[0].Text, x.says) {
				t.Errorf("%s", g.Findings[0].Text)
			}
			if wantInfo := strings.HasPrefix(x.want, Unsent); len(g.Findings) > 0 && (g.Findings[0].Severity == Info) != wantInfo {
				t.Errorf("%s is %s", x.want, g.Findings[0].Severity)
			}
		})
	}
}

const policy = "---\napiVersion: signalbox.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec: {rego: \"package signalbox.trigger\"}\n"

func TestOnlyWhatAChangeIntroducesIsWarnedOf(t *testing.T) {
	old := fn("a", "t", "u") + fn("lonely", "", "")
	before := Build(setOf(t, old), Observed{})
	for name, x := range map[string]struct{ manifest, want string }{
		"nothing new":              {old + fn("b", "v", ""), ""},
		"a cycle":                  {old + fn("b", "u", "t"), "cycle"},
		"one more lonely function": {old + fn("b", "", ""), "unreachable"},
		"one more type":            {strings.Replace(old, "emits: [u]", "emits: [u, w]", 1), "unheard"},
	} {
		var got []string
		for _, f := range Introduced(before, Build(setOf(t, x.manifest), Observed{})) {
			got = append(got, f.Kind)
		}
		if strings.Join(got, " ") != x.want {
			t.Errorf("%s: %v, want %s", name, got, x.want)
		}
	}
}

func TestVersionsEmitAsFarAsTheyGetEvents(t *testing.T) {
	manifest := fn("f", "t", "two", "version: v2, traffic: [{version: v2, weight: 1}, {version: v1, weight: 3}]")
	objects, err := resource.Decode("", []byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	for version, emits := range map[string]string{"v1": "one", "v0": "zero", "vn": "named"} {
		o := objects[0]
		o.Metadata.Name = resource.VersionName("f", version)
		o.Spec = json.RawMessage(fmt.Sprintf(`{"version":%q,"url":"http://f","emits":[%q]}`, version, emits))
		objects = append(objects, o)
	}
	named, _ := resource.Decode("", []byte(link("l", "f@vn", "t")))
	set, faults := resource.NewSet(1, append(objects, named...))
	if faults != nil {
		t.Fatal(faults)
	}
	g := Build(set, Observed{})
	i := slices.IndexFunc(g.Nodes, func(n Node) bool { return n.Kind == KindFunction })
	if got := fmt.Sprint(g.Nodes[i].Versions); got != "[{v2 0.25} {v0 0} {v1 0.75} {vn 0}]" {
		t.Error(got)
	}
	got := edges(g)
	for typ, want := range map[string]bool{"one": true, "two": true, "zero": false, "named": true} {
		if strings.Contains(got, "function:f>type:"+typ) != want {
			t.Errorf("%s: want %t in\n%s", typ, want, got)
		}
	}
}

func TestRatesAreWrittenToBeRead(t *testing.T) {
	for r, want := range map[float64]string{0: "0/h", 1.0 / 3600: "1/h", 0.02: "1.2/min", 0.4: "24/min", 1: "1/s", 12.34: "12/s", 4567: "4567/s"} {
		if got := Rate(r); got != want {
			t.Errorf("%v: %s, want %s", r, got, want)
		}
	}
}

func TestPartIsTheNeighbourhood(t *testing.T) {
	chain := fn("a", "t1", "t2") + fn("b", "t2", "t3") + fn("c", "t3", "t4") + fn("d", "t4", "t5") + fn("e", "t5", "")
	g := Build(setOf(t, chain), Observed{})
	names := func(p *Graph) string {
		var all []string
		for _, n := range p.Nodes {
			if n.Kind == KindFunction {
				all = append(all, n.Name)
			}
		}
		return strings.Join(all, "")
	}
	if got := names(g.Part(KindFunction, "c")); got != "bcd" {
		t.Errorf("around c: %s", got)
	}
	if got := names(g.Part(KindType, "t3")); got != "bc" {
		t.Errorf("around t3: %s", got)
	}
	if g.Part(KindFunction, "x") != nil {
		t.Error("there is no x")
	}
}

func TestAChangeReachesWhatLiesDownstreamBeforeAndAfter(t *testing.T) {
	before := Build(setOf(t, fn("a", "t1", "t2")+fn("b", "t2", "t3")+fn("c", "t3", "")+fn("x", "q", "")+link("l", "b", "t1")), Observed{Types: []SeenType{{"t1", 2}, {"t2", 3}}})
	after := Build(setOf(t, fn("a", "t1", "t2")+fn("b", "t2", "t3")+fn("c", "t3", "")+fn("x", "q", "")+link("l", "x", "t1")), Observed{Types: []SeenType{{"t1", 2}, {"t2", 3}}})
	r := Affected(before, after, []Change{{"Link/l", Changed}, {"Function/a", Unchanged}, {"Policy/p", Added}, {"Schema/s", Added}}, map[string][]string{"s": {"t1"}})
	if got := fmt.Sprint(names(r.Functions), names(r.Types)); got != "[b0 5/s x0 2/s c1 -] [t31 -]" {
		t.Error(got)
	}
	if len(r.Notes) != 2 || !strings.Contains(r.Notes[1], "schema s checks the events of t1") {
		t.Errorf("%q", r.Notes)
	}
}

func TestAPreviewSaysWhatIsAddedChangedAndLeft(t *testing.T) {
	decode := func(manifest string) []resource.Object {
		objects, err := resource.Decode("", []byte(manifest))
		if err != nil {
			t.Fatal(err)
		}
		return objects
	}
	before := decode(fn("a", "t", "u") + fn("b", "u", ""))
	objects := decode(fn("a", "t", "u") + fn("b", "u", "t") + fn("c", "", ""))
	before[0].Spec = json.RawMessage(" {\"emits\":[\"u\"], \"url\":\"http://f\",\"on\":[\"t\"]} ") // the same, written otherwise
	p := PreviewOf(before, objects, objects, Observed{})
	if got := fmt.Sprint(p.Radius.Changes); got != "[{Function/a unchanged} {Function/b changed} {Function/c added}]" {
		t.Error(got)
	}
	var kinds []string
	for _, w := range p.Warnings {
		kinds = append(kinds, w.Kind)
	}
	if got := strings.Join(kinds, " "); got != "cycle unreachable" {
		t.Error(got)
	}
	if got := fmt.Sprint(names(p.Radius.Functions)); got != "[b0 - c0 - a1 -]" {
		t.Error(got)
	}
}

func names(all []Reached) []string {
	out := []string{}
	for _, r := range all {
		rate := "-"
		if r.Rate != nil {
			rate = Rate(*r.Rate)
		}
		out = append(out, fmt.Sprint(r.Name, r.Distance, " ", rate))
	}
	return out
}

// hostile are names that break out of careless drawings. Types may be any text.
var hostile = []string{
	`x"] --> n0["y`, `"]; n9 [label="`, "a\nb", "a;b", "%%{init: {'theme':'x'}}%%", "<script>alert(1)</script>", "#quot;", "`code`", `\`, `\"`, `\N\G\l`, "end", "click n0 href \"javascript:alert(1)\"",
	"subgraph x", "&quot;", "ünïcode 😀", "{{", "}}", "|", "-->", "\u202e", "a|b\"|c", "A((B", "$$x$$", "\x00", "@{ shape: cyl }", "---\ntitle: x\n---", "//", "/*", "*/", "\xff",
}

func hostileGraph(names ...string) *Graph {
	set := resource.Set{}
	for i, n := range names {
		set.Functions = append(set.Functions, &resource.Function{Metadata: resource.Metadata{Name: n}, Spec: resource.FunctionSpec{On: []string{n}, Emits: []string{n, "x" + n}, Version: n}})
		set.Links = append(set.Links, &resource.Link{Metadata: resource.Metadata{Name: n}, Spec: resource.LinkSpec{Function: n + "@" + n, Types: []string{n + "*", n}, Paused: i%2 == 0}})
	}
	return Build(set, Observed{Types: []SeenType{{strings.Join(names, ""), 3}}})
}

// The grammar of what is written: nothing else may stand in a line.
var (
	mermaidLine = regexp.MustCompile(`^(flowchart LR|  n\d+(\(\[|\[|\[\[|\{\{)"(?:[A-Za-z0-9 ._/-]|#\d+;|<br>)*"(\]\)|\]|\]\]|\}\})(:::off|:::policy)?|  n\d+ (-->|-\.->|--x)(\|"(?:[A-Za-z0-9 ._/-]|#\d+;)*"\|)? n\d+|  classDef (off|policy) [a-z0-9 :-]+)$`)
	dotLine     = regexp.MustCompile(`^(digraph signalbox \{|\}|  rankdir=LR;|  node \[fontname="sans-serif"\];|  n\d+ \[shape=(ellipse|box|component|hexagon), label="(?:[^"\\\n]|\\["\\n])*"(, style=dashed)?\];|  n\d+ -> n\d+( \[(label="(?:[^"\\\n]|\\["\\])*")?(, )?(style=dashed)?(, )?(arrowhead=tee)?\])?;)$`)
)

func checkDrawings(t *testing.T, g *Graph) {
	t.Helper()
	var m, d bytes.Buffer
	if err := g.WriteMermaid(&m); err != nil {
		t.Fatal(err)
	}
	if err := g.WriteDOT(&d); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		text string
		line *regexp.Regexp
		more int
	}{"mermaid": {m.String(), mermaidLine, 3}, "dot": {d.String(), dotLine, 4}} {
		lines := strings.Split(strings.TrimSuffix(x.text, "\n"), "\n")
		if len(lines) != len(g.Nodes)+len(g.Edges)+x.more {
			t.Errorf("%s: %d lines for %d nodes and %d edges", name, len(lines), len(g.Nodes), len(g.Edges))
		}
		for _, l := range lines {
			if !x.line.MatchString(l) {
				t.Errorf("%s: %q", name, l)
			}
		}
	}
}

func TestNamesDoNotBreakOutOfDrawings(t *testing.T) {
	for _, n := range hostile {
		checkDrawings(t, hostileGraph(n))
	}
	checkDrawings(t, hostileGraph(hostile...))
}

func FuzzDrawings(f *testing.F) {
	for _, n := range hostile {
		f.Add(n, "b")
	}
	f.Fuzz(func(t *testing.T, a, b string) { checkDrawings(t, hostileGraph(a, b)) })
}

func TestTheSameStateIsTheSameGraph(t *testing.T) {
	manifests := strings.SplitAfter(fn("a", "t, u", "v, w")+fn("b", "v", "t")+fn("c", `"*"`, "z")+link("l", "a", "q, r")+link("m", "nobody", `"v*"`), "\n---")
	var first string
	for range 20 {
		rand.Shuffle(len(manifests), func(i, j int) { manifests[i], manifests[j] = manifests[j], manifests[i] })
		seen := Observed{Types: []SeenType{{"a", 1}, {"b", 2}}, Emits: []Emit{{"a", "x"}, {"c", "y"}}}
		g := Build(setOf(t, strings.Join(manifests, "\n---\n")), seen)
		js, _ := json.Marshal(g)
		var b bytes.Buffer
		_ = g.WriteMermaid(&b)
		_ = g.WriteDOT(&b)
		if all := string(js) + b.String(); first == "" {
			first = all
		} else if all != first {
			t.Fatal("two graphs of one state differ")
		}
	}
}

// BenchmarkBuild is what an apply pays for its warnings, twice.
func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		set := resource.Set{}
		var objects []resource.Object
		for i := range n {
			fs, _ := json.Marshal(resource.FunctionSpec{URL: "http://f", Emits: []string{fmt.Sprintf("type.%d", i+1)}})
			ls, _ := json.Marshal(resource.LinkSpec{Function: fmt.Sprintf("f%d", i), Types: []string{fmt.Sprintf("type.%d", i), fmt.Sprintf("other.%d.*", i%100)}})
			objects = append(objects, resource.Object{Kind: resource.KindFunction, Metadata: resource.Metadata{Name: fmt.Sprintf("f%d", i)}, Spec: fs},
				resource.Object{Kind: resource.KindLink, Metadata: resource.Metadata{Name: fmt.Sprintf("l%d", i)}, Spec: ls})
		}
		set, _ = resource.NewSet(1, objects)
		b.Run(fmt.Sprint("links=", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Build(set, Observed{})
			}
		})
	}
}
