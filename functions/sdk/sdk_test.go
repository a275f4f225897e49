//go:build unix

package sdk

import (
	"os"
	"os/exec"
	"testing"
)

// The SDKs have tests of their own, in their own languages; here they are run with
// what is in the PATH. e2e runs them with the oldest versions that they claim.
func TestSDKs(t *testing.T) {
	for name, test := range map[string]struct {
		dir     string
		command []string
	}{
		"python": {"python", []string{"python3", "-B", "-W", "error", "-m", "unittest", "discover", "-s", "tests"}},
		"node":   {"node", []string{"node", "--test", "test/"}},
		"go":     {"go", []string{"go", "test", "./..."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), test.command[0], test.command[1:]...)
			cmd.Dir = test.dir
			cmd.Env = append(os.Environ(), "PYTHONPATH=src")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %v\n%s", test.command, err, out)
			}
		})
	}
}
