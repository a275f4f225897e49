//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/e2e/parts"
)

// asked is what Schemathesis wants to hold of every answer. That a request which the
// document allows is taken is not among it: what is allowed depends on other
// resources, and a document cannot say so.
const asked = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance," +
	"unsupported_method,allow_header_conformance,negative_data_rejection,missing_required_header"

// TestTheAPIIsAsItsDocumentSays asks every operation but the live stream, which does
// not end, with what the document allows and with what it does not.
func TestTheAPIIsAsItsDocumentSays(t *testing.T) {
	env := parts.Up(t, "schemathesis")
	st, hooks := env.Schemathesis(), env.Client("schemathesis_hooks.py")
	for _, c := range []struct {
		name string
		args []string
		more []string
	}{
		{"open", embeddedArgs(t), []string{"--checks", asked, "--phases", "examples,coverage,fuzzing"}},
		{"guarded", withAuth(embeddedArgs(t)), []string{"--checks", asked + ",ignored_auth", "--phases", "examples,coverage", "--header", "Authorization: Bearer " + rootKey}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, c.args...)
			examples := os.Getenv("SIGNALBOX_SCHEMATHESIS_EXAMPLES") // of each operation; `make schemathesis` asks for many
			if examples == "" {
				examples = "5"
			}
			args := slices.Concat(st[1:], []string{"run", "http://" + s.addr + "/openapi.json", "--seed", "7", "--max-examples", examples, "--continue-on-failure", "--no-shrink",
				"--exclude-operation-id", "subscribe", "--request-timeout", "20", "--suppress-health-check", "all", "--warnings", "off", "--no-color"}, c.more)
			cmd := exec.CommandContext(t.Context(), st[0], args...)
			cmd.Dir = t.TempDir()
			cmd.Env = append(os.Environ(), "PYTHONUTF8=1", "PYTHONPATH="+filepath.Dir(hooks), "SCHEMATHESIS_HOOKS=schemathesis_hooks", "HYPOTHESIS_STORAGE_DIRECTORY="+cmd.Dir)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Log(lastLines(string(out), 6))
			if text := s.out.String(); strings.Contains(text, "this is a bug") {
				t.Errorf("the server says: %s", text)
			}
		})
	}
}

// lastLines are the last so many lines that are not empty.
func lastLines(text string, n int) string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
