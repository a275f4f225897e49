package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

func TestADirectoryOfManifestsKeepsTheVersionsOfItsFunctions(t *testing.T) {
	s, dir := openShop(t), t.TempDir()
	m := &manifestDir{dir: dir, store: s, log: quiet()}
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fn := func(version string) string {
		return "---\napiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: f}\nspec: {url: http://f.example/, version: " + version + "}\n"
	}
	sync := func(summary, stand string) {
		t.Helper()
		if got, err := m.apply(t.Context()); err != nil || got != summary {
			t.Errorf("%q, %v; want %q", got, err, summary)
		}
		s.stands(stand)
	}
	write("g.yaml", "apiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: g}\nspec: {url: http://g.example/}\n")
	write("f.yaml", fn("v1"))
	sync("function/f, function/g", "v1")
	write("f.yaml", fn("v2"))
	sync("function/f, function/g", "v2 f@v1")
	write("f.yaml", fn("v3")+fn("v4"))
	sync("function/f@v3, function/f, function/g", "v4 f@v1 f@v2 f@v3")
	write("f.yaml", fn("v4"))
	sync("function/f, function/g", "v4 f@v1 f@v2 f@v3")
	if err := os.Remove(filepath.Join(dir, "f.yaml")); err != nil {
		t.Fatal(err)
	}
	sync("function/g; removed function/f", "")
	all, err := s.All(t.Context())
	if err != nil || len(all) != 1 || all[0].Kind != resource.KindFunction || !strings.HasPrefix(all[0].Metadata.Name, "g") {
		t.Errorf("what is left: %v, %v", all, err)
	}
}

func TestWhatOtherDirectoriesHaveLeftIsTold(t *testing.T) {
	s := openShop(t)
	var told []string
	sync := func(name string) {
		t.Helper()
		dir := t.TempDir()
		manifest := "apiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: " + name + "}\nspec: {url: http://g.example/, version: v1}\n"
		if err := os.WriteFile(filepath.Join(dir, "f.yaml"), []byte(manifest), 0o600); err != nil {
			t.Fatal(err)
		}
		m := &manifestDir{dir: dir, store: s, log: quiet(), warned: func(text string) { told = append(told, text) }}
		if _, err := m.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.tellOthers(t.Context())
	}
	sync("mine")
	if len(told) > 0 {
		t.Errorf("with fresh data: %v", told)
	}
	sync("yours")
	if len(told) != 1 || !strings.HasPrefix(told[0], "in force too, from before: function/mine (") {
		t.Errorf("%v", told)
	}
}
