//go:build e2e

package e2e

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/e2e/parts"
	"github.com/signalbox-dev/signalbox/event"
)

// sdkRoot is the directory of the SDKs.
const sdkRoot = "../functions/sdk"

// tool runs a program and returns what it printed.
func tool(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// copyOf is a copy of a directory: making packages leaves things behind.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), filepath.Base(dir))
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// only is the one file that a pattern names.
func only(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v %v", pattern, found, err)
	}
	return found[0]
}

// A user's programs, typed as far as their language can be.
var sdkPrograms = map[string]string{
	"main.py": `from typing import Optional

from signalbox import Event, Permanent, Reply, context, mount, serve


def handle(event: Event) -> Optional[Reply]:
    if context.params.get("fail"):
        raise Permanent("never")
    context.log.info("python works", attempt=context.attempt)
    return Reply("com.example.python", {"by": "python " + mount("/x")[-1], "width": context.config["width"]}, subject=event.subject)


serve(handle)
`,
	"main.mts": `import { context, mount, Permanent, serve, type Event, type Reply } from "signalbox";

const handle = async (event: Event): Promise<Reply> => {
  if (context.params.get("fail")) throw new Permanent("never");
  context.log.info("node works", { attempt: context.attempt });
  return { type: "com.example.node", data: { by: "node " + mount("/x").slice(-1), width: context.config.width }, subject: event.subject };
};

await serve(handle);
`,
	"main.go": `package main

import (
	"context"
	"log"

	"github.com/signalbox-dev/signalbox/functions/sdk/go/function"
)

func main() { log.Fatal(function.Serve(handle)) }

func handle(ctx context.Context, e function.Event) ([]function.Event, error) {
	var config struct{ Width int }
	if err := function.Config(&config); err != nil {
		return nil, function.Permanent(err)
	}
	function.Log(ctx).Info("go works", "attempt", function.RunOf(ctx).Attempt)
	replies, err := function.Reply("com.example.go", map[string]any{"by": "go x", "width": config.Width})
	if err != nil {
		return nil, err
	}
	replies[0].SetSubject(e.Subject())
	return replies, nil
}
`,
}

// Each SDK is tested, packed as its registry wants it, and installed into a clean
// project, all with the oldest version that it claims; then a function made with it
// is one of a chain.
func TestSDKsAsPackagesOnTheOldestVersions(t *testing.T) {
	sdks := parts.Up(t, "sdks").SDKs()
	var python, node, golang []string
	projects := t.TempDir()
	packed := t.Run("packed", func(t *testing.T) {
		t.Run("python", func(t *testing.T) { t.Parallel(); python = pythonSDK(t, sdks, projects) })
		t.Run("node", func(t *testing.T) { t.Parallel(); node = nodeSDK(t, sdks, projects) })
		t.Run("go", func(t *testing.T) { t.Parallel(); golang = goSDK(t, sdks, projects) })
	})
	if !packed {
		return
	}
	commands := map[string][]string{"python": python, "node": node, "go": golang}
	s := start(t, embeddedArgs(t)...)
	sink, on := newRecorder(t, nil), "com.example.asked"
	for _, language := range []string{"python", "node", "go"} {
		command, err := json.Marshal(commands[language])
		if err != nil {
			t.Fatal(err)
		}
		s.apply(fmt.Sprintf(`---
apiVersion: signalbox.dev/v1
kind: Function
metadata: {name: in-%s}
spec: {command: %s, on: [%s], config: {width: 200}}
`, language, command, on))
		on = "com.example." + language
	}
	s.apply(functionManifest("sink", sink.URL, on))
	if err := s.Emit(t.Context(), &event.Event{ID: "1", Source: "/e2e", Type: "com.example.asked", Subject: "Euro €", DataContentType: "application/json", Data: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	c := sink.awaitCalls(t, 1)[0]
	if c.body != `{"by":"go x","width":200}` || c.header.Get("Ce-Subject") != "Euro%20%E2%82%AC" || c.header.Get("Ce-Source") != "/functions/in-go" {
		t.Errorf("%v %s", c.header, c.body)
	}
}

func pythonSDK(t *testing.T, sdks parts.SDKs, projects string) []string {
	src := copyOf(t, filepath.Join(sdkRoot, "python"))
	tool(t, src, []string{"PYTHONPATH=src"}, sdks.Python, "-B", "-W", "error", "-m", "unittest", "discover", "-s", "tests")
	cache := "--cache-dir=" + filepath.Join(src, "types")
	tool(t, src, nil, sdks.Tools, "-m", "mypy", cache, "--python-version", "3.9", "src/signalbox", "src/fx_ef", "tests/test_sdk.py")
	tool(t, src, nil, sdks.Tools, "-m", "build", "--no-isolation")
	only(t, filepath.Join(src, "dist", "*.tar.gz"))
	project := filepath.Join(projects, "python")
	tool(t, src, nil, sdks.Python, "-m", "venv", "--without-pip", project)
	python := filepath.Join(project, "bin", "python")
	tool(t, src, nil, sdks.Tools, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check", "--no-index", only(t, filepath.Join(src, "dist", "*.whl")))
	program := filepath.Join(project, "main.py")
	write(t, program, sdkPrograms["main.py"])
	// py.typed: the types are found in what is installed.
	tool(t, project, nil, sdks.Tools, "-m", "mypy", cache, "--strict", "--python-version", "3.9", "--python-executable", python, program)
	return []string{python, program}
}

func nodeSDK(t *testing.T, sdks parts.SDKs, projects string) []string {
	src := copyOf(t, filepath.Join(sdkRoot, "node"))
	tool(t, src, nil, sdks.Node, "--test", "test/")
	tool(t, src, nil, "npm", "pack", "--silent")
	project := filepath.Join(projects, "node")
	write(t, filepath.Join(project, "package.json"), `{"name": "user", "private": true}`)
	tool(t, project, nil, "npm", "install", "--silent", "--offline", "--no-audit", "--no-fund", only(t, filepath.Join(src, "*.tgz")))
	write(t, filepath.Join(project, "main.mts"), sdkPrograms["main.mts"])
	// The same for require.
	write(t, filepath.Join(project, "script.cts"), "import { context } from \"signalbox\";\nconst n: string = context.event.id;\nconsole.log(n);\n")
	tool(t, project, nil, sdks.Node, sdks.TSC, "--strict", "--module", "node16", "--target", "es2022", "--types", "node", "--typeRoots", filepath.Join(sdks.NodeModules, "@types"), "main.mts", "script.cts")
	return []string{sdks.Node, filepath.Join(project, "main.mjs")}
}

func goSDK(t *testing.T, sdks parts.SDKs, projects string) []string {
	src := copyOf(t, filepath.Join(sdkRoot, "go"))
	tool(t, src, []string{"GOTOOLCHAIN=" + sdks.GoToolchain, "GOFLAGS="}, "go", "test", "./...")
	const module, version = "github.com/signalbox-dev/signalbox/functions/sdk/go", "v0.1.0"
	proxy := t.TempDir()
	publish(t, filepath.Join(proxy, module, "@v"), src, module, version)
	project := filepath.Join(projects, "go")
	write(t, filepath.Join(project, "main.go"), sdkPrograms["main.go"])
	setting := func(name string) string { return strings.TrimSpace(tool(t, "", nil, "go", "env", name)) }
	// This machine's Go, and a cache of its own, for which the machine's is a proxy.
	env := []string{"GOTOOLCHAIN=local", "GOFLAGS=-modcacherw", "GOMODCACHE=" + t.TempDir(), "GONOSUMDB=" + module,
		"GOPROXY=file://" + proxy + ",file://" + filepath.Join(setting("GOMODCACHE"), "cache", "download") + "," + setting("GOPROXY")}
	tool(t, project, env, "go", "mod", "init", "example.com/user")
	tool(t, project, env, "go", "get", module+"@"+version)
	tool(t, project, env, "go", "mod", "tidy")
	tool(t, project, env, "go", "build", "-o", "user", ".")
	return []string{filepath.Join(project, "user")}
}

// publish puts a module where a Go proxy has it.
func publish(t *testing.T, dir, src, module, version string) {
	t.Helper()
	mod, err := os.ReadFile(filepath.Join(src, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, version+".mod"), string(mod))
	write(t, filepath.Join(dir, version+".info"), fmt.Sprintf(`{"Version":%q,"Time":"2026-01-01T00:00:00Z"}`, version))
	write(t, filepath.Join(dir, "list"), version+"\n")
	out, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	z := zip.NewWriter(out)
	err = fs.WalkDir(os.DirFS(src), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(src, path))
		if err != nil {
			return err
		}
		w, err := z.Create(module + "@" + version + "/" + path)
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
