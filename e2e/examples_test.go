//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/e2e/parts"
)

// example is a directory of functions/examples.
func example(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(repoRoot(t), "functions", "examples", name)
}

// waitFor runs emit --wait as the example's page says, and returns what it prints. The
// first time waits for a program that is built.
func (s *server) waitFor(args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(s.t), append([]string{"emit", "--wait", "--timeout", "2m", "--server", "http://" + s.addr}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("emit %v: %v\n%s\n%s", args, err, out, s.out)
	}
	return string(out)
}

// devExample runs `signalbox dev` on an example.
func devExample(t *testing.T, name string, more ...string) *server {
	t.Helper()
	return start(t, append([]string{"dev", example(t, name), "--data", t.TempDir(), "--kafka-listen", freeAddr(t), "--redis-listen", freeAddr(t)}, more...)...)
}

func TestExampleThumbnails(t *testing.T) {
	s := devExample(t, "thumbnails")
	cmd := exec.CommandContext(t.Context(), "python3", "-B", "picture.py")
	cmd.Dir = example(t, "thumbnails")
	picture, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cat.png")
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		t.Fatal(err)
	}
	out := s.waitFor("com.example.uploaded", "--subject", "cat.png", "--content-type", "image/png", "--data", "@"+file)
	if !strings.Contains(out, "=> com.example.notified") {
		t.Errorf("%s", out)
	}
	await(t, "the notice", func() error { return s.printed("cat.png has a thumbnail of 64 x 48") })
}

func TestExampleDigest(t *testing.T) {
	s := devExample(t, "digest")
	for _, amount := range []string{"20", "22"} {
		s.waitFor("com.example.sale", "--data", `{"amount":`+amount+`}`)
	}
	cmd := exec.CommandContext(t.Context(), binary(t), "run", "digest", "--server", "http://"+s.addr)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "=> com.example.digest") {
		t.Errorf("%v\n%s", err, out)
	}
	// A full minute may come at any time, between the sales too: then the schedule's digest has a part of them.
	await(t, "the sum", func() error {
		sales, sum := 0, 0
		for _, m := range regexp.MustCompile(`(\d+) sales, (\d+) in all`).FindAllStringSubmatch(s.out.String(), -1) {
			count, _ := strconv.Atoi(m[1])
			total, _ := strconv.Atoi(m[2])
			sales, sum = sales+count, sum+total
		}
		if sales != 2 || sum != 42 {
			return fmt.Errorf("the digests have %d sales, %d in all:\n%s", sales, sum, s.out)
		}
		return nil
	})
}

func TestExampleDummyService(t *testing.T) {
	s := devExample(t, "dummy-service")
	if out := s.waitFor("com.example.dummy", "--data", `{"fan":20,"delay":"1ms"}`); strings.Count(out, "com.example.dummy.load -> dummy-service delivered") != 20 {
		t.Errorf("%s", out)
	}
	if out := s.waitFor("com.example.dummy", "--data", `{"fail":"error","failAttempts":2}`); !strings.Contains(out, "com.example.dummy.done") {
		t.Errorf("%s", out)
	}
}

// The image is made as its page says, with a stand-in for the public base image.
func TestExampleContainer(t *testing.T) {
	env := parts.Up(t, "podman", "podman-api", "golang-image")
	const image = "localhost/checksum:1"
	podman(t, env, slices.Concat([]string{"build", "--layers=false"}, env.GolangImageFlags(), []string{"-t", image, example(t, "container")})...)
	t.Cleanup(func() { podman(t, env, "rmi", "--force", image) })
	s := devExample(t, "container", "--docker-host", "unix://"+env.PodmanSocket())
	if out := s.waitFor("com.example.uploaded", "--subject", "notes.txt", "--data", "hello"); !strings.Contains(out, "=> com.example.checksum") {
		t.Errorf("%s", out)
	}
	await(t, "the container's line", func() error { return s.printed("5 bytes of notes.txt") })
	events := fetch(t, "http://"+s.addr+"/api/v1/events?type=com.example.checksum")
	if !strings.Contains(events, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824") {
		t.Errorf("%s", events)
	}
}
