//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/e2e/parts"
)

// podman runs a command on the parts' images and containers and returns what it prints.
func podman(t *testing.T, env parts.Env, args ...string) string {
	t.Helper()
	cmd := exec.Command("podman", args...)
	cmd.Env = append(os.Environ(), env.PodmanEnviron()...)
	cmd.Dir = repoRoot(t)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("podman %s: %v\n%s%s", strings.Join(args, " "), err, out, errOut.Bytes())
	}
	return strings.TrimSpace(string(out))
}

func TestTheImageRunsAsNobodyWithoutRightsAndStopsCleanly(t *testing.T) {
	env := parts.Up(t, "podman", "golang-image")
	image := "localhost/signalbox-e2e:" + unique(t)
	podman(t, env, slices.Concat([]string{"build", "--layers=false"}, env.GolangImageFlags(), []string{"--build-arg", "VERSION=of-this-test", "-t", image, "."})...)
	t.Cleanup(func() { podman(t, env, "rmi", "--force", image) })
	if got := podman(t, env, "inspect", "--format", "{{.Config.User}}", image); got != "65532:65532" {
		t.Errorf("the image's user is %q", got)
	}
	run := []string{"podman", "run", "--rm", "--network", "host", "--read-only", "--cap-drop", "all", "--memory", "256m", "--security-opt", "no-new-privileges"}
	if got := podman(t, env, append(slices.Clone(run[1:]), image, "version")...); !strings.Contains(got, "of-this-test") {
		t.Errorf("its version is %q", got)
	}

	s := startProgram(t, env.PodmanEnviron(), append(run, image), realArgs(t))
	fn := newRecorder(t, nil)
	s.apply(functionManifest("sink", fn.URL, "com.example.a"))
	s.emitID("1", "com.example.a", `{"from": "the image"}`)
	if c := fn.awaitCalls(t, 1)[0]; c.body != `{"from": "the image"}` {
		t.Errorf("the function got %q", c.body)
	}
	s.stop() // podman passes the signal on and ends with the container's exit code
}
