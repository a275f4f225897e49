package app

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
	"github.com/signalbox-dev/signalbox/schema"
)

var update = flag.Bool("update", false, "write the generated parts of docs")

const (
	configurationPage = "../docs/configuration.md"
	tableBegins       = "<!-- The table is written by: go test ./app -run TestConfigurationPage -update -->\n"
	tableEnds         = "<!-- End of the table. -->\n"
)

// optionsTable is the table of every option, as the page has it.
func optionsTable() string {
	opts := DefaultOptions()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	flags.SortFlags = false
	opts.Flags(flags)
	var b strings.Builder
	b.WriteString("| flag | environment variable | key | default | meaning |\n| --- | --- | --- | --- | --- |\n")
	flags.VisitAll(func(f *pflag.Flag) {
		def := strings.Trim(f.DefValue, "[]")
		if def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | `%s` | %s | %s |\n", f.Name, EnvName(f.Name), f.Name, def, strings.ReplaceAll(f.Usage, "|", `\|`))
	})
	return b.String()
}

func TestConfigurationPageListsTheOptions(t *testing.T) {
	page, err := os.ReadFile(configurationPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(page), tableBegins)
	_, after, ok2 := strings.Cut(rest, tableEnds)
	if !ok1 || !ok2 {
		t.Fatalf("%s: want the marks %q and %q around the table", configurationPage, tableBegins, tableEnds)
	}
	want := before + tableBegins + "\n" + optionsTable() + "\n" + tableEnds + after
	if string(page) == want {
		return
	}
	if !*update {
		t.Fatalf("%s does not list the options as they are: go test ./app -run TestConfigurationPage -update", configurationPage)
	}
	if err := os.WriteFile(configurationPage, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// pages are those whose examples and links are checked.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found = append(found, "../README.md", "../functions/README.md", "../charts/signalbox/README.md")
	if len(found) < 7 {
		t.Fatalf("only %v: the pages are not where this test looks", found)
	}
	return found
}

// block is a fenced block of a page.
type block struct {
	where, language, text string
}

func blocksOf(t *testing.T, page string) []block {
	t.Helper()
	src, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var found []block
	var open *block
	for n, line := range strings.Split(string(src), "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &block{where: fmt.Sprintf("%s:%d", page, n+1), language: strings.TrimSpace(fence)}
		case isFence:
			found, open = append(found, *open), nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		t.Fatalf("%s: the block is not closed", open.where)
	}
	return found
}

// isFullPolicy tells a whole module from a fragment of one.
func isFullPolicy(b block) bool {
	return b.language == "rego" && strings.HasPrefix(b.text, "package signalbox.")
}

func TestExamplesOfThePagesAreValid(t *testing.T) {
	manifests, modules := 0, 0
	for _, page := range pages(t) {
		for _, b := range blocksOf(t, page) {
			switch {
			case b.language == "yaml" && strings.Contains(b.text, "apiVersion: signalbox.dev/"):
				manifests++
				checkManifests(t, b)
			case isFullPolicy(b):
				modules++
				policy := resource.Policy{Metadata: resource.Metadata{Name: "example"}, Spec: resource.PolicySpec{Rego: b.text}}
				report(t, b.where, policies.CheckPolicy(&policy))
			}
		}
	}
	if manifests < 10 || modules < 2 {
		t.Errorf("%d manifests and %d modules checked: the pages have more, the test does not find them", manifests, modules)
	}
}

// checkManifests decodes, validates and compiles a block as apply does.
func checkManifests(t *testing.T, b block) {
	t.Helper()
	objects, err := resource.Decode(b.where, []byte(b.text))
	if err != nil {
		t.Error(err) // says where
		return
	}
	for i := range objects {
		report(t, b.where, objects[i].Validate())
	}
	set, faults := resource.NewSet(0, objects)
	report(t, b.where, faults)
	for _, l := range set.Links {
		report(t, b.where, policies.CheckLink(l))
	}
	report(t, b.where, policies.CheckSet(set))
	report(t, b.where, schema.CheckSchemas(set))
}

func report(t *testing.T, where string, faults resource.Faults) {
	t.Helper()
	for _, f := range faults {
		t.Errorf("%s: %s", where, f.String())
	}
}

var (
	linkRE    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingRE = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	noSlugRE  = regexp.MustCompile(`[^\pL\pN_ -]`)
)

// texts are all that is written about the project, beside the code too.
func texts(t *testing.T) []string {
	t.Helper()
	found := append(pages(t), "../CHANGELOG.md")
	for _, pattern := range []string{"../*/DESIGN.md", "../*/*/DESIGN.md", "../*/README.md", "../*/*/README.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, more...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// linksOf are what a page links to in the repository: paths and what stands behind '#'.
func linksOf(t *testing.T, page string) (links [][2]string) {
	t.Helper()
	src, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range linkRE.FindAllStringSubmatch(string(src), -1) {
		if strings.Contains(m[1], "://") {
			continue
		}
		path, anchor, _ := strings.Cut(m[1], "#")
		if path == "" {
			path = filepath.Base(page)
		}
		links = append(links, [2]string{filepath.Join(filepath.Dir(page), path), anchor})
	}
	return links
}

// anchors are the names by which a page's headings are linked to, as GitHub makes them.
func anchors(t *testing.T, page string) (names []string) {
	t.Helper()
	src, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range headingRE.FindAllStringSubmatch(string(src), -1) {
		names = append(names, strings.ReplaceAll(noSlugRE.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return names
}

func TestLinksOfThePagesLeadSomewhere(t *testing.T) {
	for _, page := range texts(t) {
		for _, l := range linksOf(t, page) {
			if _, err := os.Stat(l[0]); err != nil {
				t.Errorf("%s: link to %s: %v", page, l[0], err)
			} else if l[1] != "" && strings.HasSuffix(l[0], ".md") && !slices.Contains(anchors(t, l[0]), l[1]) {
				t.Errorf("%s: link to %s: there is no heading %s", page, l[0], l[1])
			}
		}
	}
}

func TestReadmeLeadsToEveryPage(t *testing.T) {
	var named []string
	for _, l := range linksOf(t, "../README.md") {
		named = append(named, l[0])
	}
	for _, page := range pages(t) {
		if !slices.Contains(named, page) && page != "../README.md" {
			t.Errorf("README.md does not link to %s", page)
		}
	}
}
