//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// audit is the part of the decision log about changes, oldest first, as
// "METHOD who RESOURCE what".
func (s *server) audit(t *testing.T, cli ...string) []string {
	t.Helper()
	cmd := exec.Command(binary(t), append([]string{"decisions", "--kind", "management", "-o", "json", "--server", "http://" + s.addr}, cli...)...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var decisions []event.Decision
	if err := json.Unmarshal(out, &decisions); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, d := range decisions {
		if !d.Allowed {
			continue
		}
		what := "changed " + strings.Join(d.Changed, " ")
		switch {
		case d.Before == nil && d.After == nil:
			what = d.Reason
		case d.Before == nil:
			what = "made"
		case d.After == nil:
			what = "deleted"
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %v %s %s", d.Method, d.Identity["name"], d.Resource, what)))
	}
	return lines
}

// says waits until the lines are there.
func says(t *testing.T, s *server, want []string, cli ...string) {
	t.Helper()
	await(t, "the audit", func() error {
		got := strings.Join(s.audit(t, cli...), "\n")
		for _, w := range want {
			if !strings.Contains("\n"+got+"\n", "\n"+w+"\n") {
				return fmt.Errorf("%q is missing in\n%s", w, got)
			}
		}
		return nil
	})
}

func TestEveryChangeSaysWhoAndWhat(t *testing.T) {
	s := start(t, withAuth(embeddedArgs(t))...)
	ada := s.key("ada", "author")
	author, functions := s.as(ada), kindOf(t, "functions")
	fn := func(version, at string) []resource.Object {
		return manifest(t, "---\napiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: f}\nspec: {version: "+version+", url: "+at+"}\n")
	}
	for _, objects := range [][]resource.Object{fn("v1", "http://127.0.0.1:9/a"), fn("v2", "http://127.0.0.1:9/b"), fn("v2", "http://127.0.0.1:9/b")} {
		if _, err := author.Apply(t.Context(), objects, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := author.Rollback(t.Context(), "f", "v1"); err != nil {
		t.Fatal(err)
	}
	if err := author.Delete(t.Context(), functions, "f"); err != nil {
		t.Fatal(err)
	}
	if err := s.as(rootKey).Delete(t.Context(), kindOf(t, "keys"), "ada"); err != nil {
		t.Fatal(err)
	}
	says(t, s, []string{
		"POST root Key/ada made",
		"POST ada Function/f made",
		"POST ada Function/f changed spec.url spec.version",
		"DELETE ada Function/f deleted",
		"DELETE root Key/ada deleted",
	}, "--token", rootKey)
	await(t, "the second version and the way back", func() error { // decisions lie in several partitions
		n, all := 0, s.audit(t, "--token", rootKey)
		for _, line := range all {
			if strings.HasPrefix(line, "POST ada Function/f changed") {
				n++
			}
		}
		if n != 2 {
			return fmt.Errorf("%d changes of the function: %q", n, all)
		}
		return nil
	})
	s.holdsNone(rootKey, ada)
}

func TestManifestsOfADirectoryAreInTheAudit(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "f.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	who, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	write(functionManifest("f", "http://127.0.0.1:9/a", "t"))
	args := embeddedArgs(t)
	s := start(t, append([]string{"dev", dir}, args[1:]...)...)
	says(t, s, []string{who + " Function/f made"})
	write(functionManifest("f", "http://127.0.0.1:9/b", "t"))
	says(t, s, []string{who + " Function/f changed spec.url"})
	write(functionManifest("g", "http://127.0.0.1:9/b", "t"))
	says(t, s, []string{who + " Function/f deleted"})
}
