//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/client"
)

// snippet is a fenced block of a Markdown file; language "" is output.
type snippet struct{ language, text string }

// snippets are the fenced blocks of one section of README.md.
func snippets(t *testing.T, section string) []snippet {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(repoRoot(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(b), "\n## "+section+"\n")
	if !found {
		t.Fatalf("README.md has no section %q", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var all []snippet
	for _, m := range regexp.MustCompile("(?s)```([a-z]*)\n(.*?)```").FindAllStringSubmatch(text, -1) {
		all = append(all, snippet{m[1], m[2]})
	}
	return all
}

// masks replace what differs from run to run.
var masks = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`\b[A-Z2-7]{26}\b`), "ID"},
	{regexp.MustCompile(`\d+(\.\d+)? ms`), "N ms"},
	{regexp.MustCompile(`at \d+:\d+ in the log, by resources of revision \d+`), "at P:O in the log, by resources of revision R"},
	{regexp.MustCompile(`dropped, at \d+:\d+`), "dropped, at P:O"},
	{regexp.MustCompile(`(?m) +$`), ""},
}

func masked(s string) string {
	for _, m := range masks {
		s = m.pattern.ReplaceAllString(s, m.by)
	}
	return strings.TrimSpace(s)
}

// copyTree copies what git would commit into a directory of the test's own.
func copyTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = repoRoot(t)
	names, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.Trim(string(names), "\x00"), "\x00") {
		b, err := os.ReadFile(filepath.Join(repoRoot(t), name))
		if os.IsNotExist(err) {
			continue // deleted, but still in the index
		}
		to := filepath.Join(dir, name)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// terminal is a shell in a directory. The builds find what `make build` has cached.
func terminal(dir, command string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// typed runs a command to its end and returns what it prints.
func typed(t *testing.T, dir, command string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := terminal(dir, command)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, out.Bytes(), errOut.Bytes())
	}
	return out.String()
}

// leftRunning starts a command in another terminal; Ctrl-C ends it with the test.
func leftRunning(t *testing.T, dir, command string) *output {
	t.Helper()
	out := &output{}
	cmd := terminal(dir, command)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) // gone already: the ports tell
		select {
		case <-done: // with 1: what `go run` makes of Ctrl-C, whatever the program ends with
			if strings.Contains(out.String(), "signalbox: ") {
				t.Errorf("%s: after Ctrl-C:\n%s", command, out)
			}
			needDefaultPorts(t)
		case <-time.After(bound):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			t.Errorf("%s: still running %s after Ctrl-C\n%s", command, bound, out)
		}
	})
	return out
}

// needDefaultPorts fails the test while somebody listens where `signalbox dev` does.
func needDefaultPorts(t *testing.T) {
	t.Helper()
	for _, addr := range []string{"127.0.0.1:8080", "127.0.0.1:9092", "127.0.0.1:6379"} {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatalf("README's commands use the default ports, and one of them is taken: %v", err)
		}
		ln.Close()
	}
}

func TestWhatREADMEHasYouTryDoesWhatItSays(t *testing.T) {
	needDefaultPorts(t)
	var commands []string
	shows := map[int]string{} // what README shows after a command
	for _, s := range snippets(t, "Try it") {
		if s.language == "sh" {
			commands = append(commands, s.text)
		} else if s.language == "" {
			shows[len(commands)-1] = s.text
		}
	}
	if len(commands) != 4 {
		t.Fatalf("the section has %d blocks of commands, this test knows 4: dev, emit, curl, explain", len(commands))
	}
	dir := copyTree(t)
	dev := leftRunning(t, dir, "exec "+commands[0]) // no shell between Ctrl-C and the program
	awaitFor(t, 3*bound, "the development server, which has to be built", func() error {
		if !strings.Contains(dev.String(), "Signalbox is ready") {
			return fmt.Errorf("it says:\n%s", dev)
		}
		return nil
	})
	if strings.Contains(dev.String(), "level=") {
		t.Errorf("a first start has something to warn of:\n%s", dev)
	}

	matches := func(i int, got string) {
		t.Helper()
		if want := shows[i]; want == "" || masked(got) != masked(want) {
			t.Errorf("%sprints\n%s\nREADME shows\n%s", commands[i], got, want)
		}
	}
	matches(1, typed(t, dir, commands[1]))
	for range 2 {
		if got := typed(t, dir, commands[2]); !strings.HasPrefix(got, "HTTP/1.1 202 Accepted") || !strings.HasSuffix(got, `{"accepted":1}`) {
			t.Errorf("curl prints\n%s", got)
		}
	}
	s := &server{t: t, addr: "127.0.0.1:8080"}
	await(t, "the duplicate to be seen", func() error { return s.metricAtLeast(duplicatesDropped, 1) })
	await(t, "the chain of the event that curl sent", func() error {
		if n := strings.Count(dev.String(), "com.example.greeted -> shout delivered"); n < 2 {
			return fmt.Errorf("shout was called %d times", n)
		}
		return nil
	})
	matches(3, typed(t, dir, commands[3]))
	if n := strings.Count(dev.String(), "com.example.hello -> greet delivered"); n != 2 {
		t.Errorf("greet was called %d times, want once for emit and once for curl:\n%s", n, dev)
	}
	addedManifestIsInForce(t, s, filepath.Join(dir, "functions/examples/hello"))
}

// addedManifestIsInForce adds a manifest to the directory that dev watches.
func addedManifestIsInForce(t *testing.T, s *server, dir string) {
	t.Helper()
	var err error
	if s.Client, err = client.New("http://" + s.addr); err != nil {
		t.Fatal(err)
	}
	fn := newRecorder(t, nil)
	if err := os.WriteFile(filepath.Join(dir, "added.yaml"), []byte(functionManifest("added", fn.URL, "com.example.added")), 0o644); err != nil {
		t.Fatal(err)
	}
	added := time.Now()
	await(t, "the added function", func() error {
		if names, err := s.functionsKnown(); err != nil || !strings.Contains(names, "added") {
			return fmt.Errorf("the functions are %q, %v", names, err)
		}
		return nil
	})
	if took := time.Since(added); took > time.Second+slack {
		t.Errorf("in force after %s, README says within a second", took)
	}
	s.emitID("added", "com.example.added", "{}")
	fn.awaitCalls(t, 1)
}
