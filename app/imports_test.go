package app

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/signalbox-dev/signalbox/"

// rooms lists what of this module each package may import (and all below it).
// Data goes round a ring, imports form a star: the six rooms in the middle
// know the leaves and nothing of each other, so that each can be understood,
// tested and replaced alone; app joins them. docs/architecture.md has the why.
var rooms = map[string][]string{
	"event":         {},
	"resource":      {},
	"otel":          {"event"},
	"failpoint":     {},
	"artifacts":     {},
	"deploy":        {},
	"eventlog":      {"event", "otel", "failpoint"},
	"ledger":        {"event", "resource", "otel", "failpoint", "catalogue"},
	"policies":      {"event", "resource", "otel"},
	"functions":     {"event", "resource", "otel"},
	"dispatcher":    {"event", "resource", "otel", "failpoint"},
	"gateway":       {"event", "resource", "graph", "catalogue", "history", "otel", "failpoint"},
	"replay":        {"event", "resource"},
	"schema":        {"event", "resource"},
	"graph":         {"event", "resource"},
	"catalogue":     {"event", "resource"},
	"history":       {"event", "resource"},
	"webhook":       {"event", "resource"},
	"secrets":       {"resource"},
	"schedule":      {"event", "resource"},
	"netguard":      {},
	"outbound":      {"resource"},
	"sink":          {"event"},
	"client":        {"event", "resource", "graph", "catalogue", "history"},
	"app":           {"event", "resource", "otel", "eventlog", "ledger", "policies", "functions", "dispatcher", "gateway", "replay", "webhook", "secrets", "schedule", "sink", "netguard", "outbound", "schema", "graph", "catalogue", "history", "artifacts"},
	"verify":        {"client", "event", "resource"},
	"cmd/signalbox": {"app", "artifacts", "client", "event", "graph", "catalogue", "history", "policies", "resource", "verify", "deploy"}, // policies are tested without a server
	"bench":         {"e2e"},
	"e2e":           {"artifacts", "graph", "catalogue", "history", "client", "event", "resource", "failpoint"},
}

// roomOf is the room a package's path belongs to; "" is none.
func roomOf(path string) string {
	for room := range rooms {
		if path == room || strings.HasPrefix(path, room+"/") {
			return room
		}
	}
	return ""
}

// eachFile calls fn with every Go file of the module that git would keep.
func eachFile(t *testing.T, fn func(path string)) {
	t.Helper()
	root := ".."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && rel != "." && (strings.HasPrefix(name, ".") || name == "bin" || name == "testdata" || name == "tools" || name == "node_modules" || rel == "functions/examples") {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(name, ".go") {
			fn(filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPackagesImportOnlyWhatTheirRoomMay(t *testing.T) {
	eachFile(t, func(path string) {
		room := roomOf(filepath.ToSlash(filepath.Dir(path)))
		if room == "" {
			t.Errorf("%s is in no room: add its package to the list above and to docs/architecture.md", path)
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", path), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			if !strings.HasPrefix(imported, module) {
				continue
			}
			target := roomOf(strings.TrimPrefix(imported, module))
			test := strings.HasSuffix(path, "_test.go") || strings.HasSuffix(filepath.Dir(path), "test")
			fake := strings.HasSuffix(imported, "test") // ships beside its package for everybody's tests
			if target == room || slices.Contains(rooms[room], target) || test && (fake || target == "e2e" || target == "client" && room == "app") {
				continue
			}
			t.Errorf("%s imports %s: %s may import %v of this module", path, imported, room, rooms[room])
		}
	})
}

func TestTheArchitecturePageSaysWhatMayImportWhat(t *testing.T) {
	page, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		first, _, _ := strings.Cut(strings.Trim(cells[1], " `"), "`")
		room := roomOf(first)
		if room == "" || said[room] { // a topic, or a part of a room
			continue
		}
		said[room] = true
		for other := range rooms {
			names := strings.Contains(cells[3], "`"+other+"`")
			if may := slices.Contains(rooms[room], other); may != names && room != "app" && other != room {
				t.Errorf("%s may import %s: %t, and the page says %t", room, other, may, names)
			}
		}
	}
	for room := range rooms {
		if !said[room] && room != "bench" && room != "e2e" {
			t.Errorf("the page does not tell of %s", room)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	documented := map[string]bool{}
	eachFile(t, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		dir := filepath.Dir(path)
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", path), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		documented[dir] = documented[dir] || f.Doc != nil
	})
	for dir, has := range documented {
		if !has {
			t.Errorf("package %s has no comment that says what it is for", dir)
		}
	}
}
