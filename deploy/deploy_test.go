package deploy

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var program = map[string]string{
	"go.mod":  "module fn\n\ngo 1.22\n",
	"main.go": "package main\n\nfunc main() { println(\"hello\") }\n",
}

// localRegistry is a registry of the test's own, as host:port.
func localRegistry(t *testing.T) string {
	t.Helper()
	r := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(r.Close)
	return strings.TrimPrefix(r.URL, "http://")
}

func build(t *testing.T, g GoImage) v1.Image {
	t.Helper()
	image, err := g.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestAGoProgramBecomesAnImageWithoutAnEngine(t *testing.T) {
	where := localRegistry(t)
	image := build(t, GoImage{Dir: write(t, program), Platform: "linux/arm64", Args: []string{"serve"}})
	ref, err := Registry{}.Push(t.Context(), where+"/team/fn:v1", image)
	if err != nil || !strings.HasPrefix(ref, where+"/team/fn@sha256:") {
		t.Fatalf("%s %v", ref, err)
	}
	again := build(t, GoImage{Dir: write(t, program), Platform: "linux/arm64", Args: []string{"serve"}})
	if one, two := digest(t, image), digest(t, again); one != two {
		t.Errorf("the same program gives %s and %s", one, two)
	}
	if got, err := (Registry{}).Resolve(t.Context(), where+"/team/fn:v1"); got != ref || err != nil {
		t.Errorf("%s %v", got, err)
	}
	parsed, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(parsed)
	if err != nil {
		t.Fatal(err)
	}
	config, err := pulled.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config
	if c.User != "65532:65532" || config.Architecture != "arm64" || strings.Join(append(c.Entrypoint, c.Cmd...), " ") != "/function serve" || !strings.Contains(strings.Join(c.Env, " "), "PORT=8080 SIGNALBOX_HOST=0.0.0.0") {
		t.Errorf("%+v", config)
	}
	if got := filesOf(t, pulled); got["function"] != 0o755 || got["tmp/"] != 0o1777 || got["etc/passwd"] != 0o644 {
		t.Errorf("%v", got)
	}
	if _, err := (Registry{}).Resolve(t.Context(), where+"/team/other:v1"); err == nil {
		t.Error("an image that is not there is found")
	}
}

func digest(t *testing.T, image v1.Image) string {
	t.Helper()
	d, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// filesOf are the modes of an image's files.
func filesOf(t *testing.T, image v1.Image) map[string]int64 {
	t.Helper()
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatal(layers, err)
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	files := map[string]int64{}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = h.Mode
	}
}

func TestWhyAGoProgramIsNotBuiltIsSaid(t *testing.T) {
	var said bytes.Buffer
	broken := map[string]string{"go.mod": program["go.mod"], "main.go": "package main\n\nfunc main() { nonsense }\n"}
	if _, err := (GoImage{Dir: write(t, broken), Output: &said}).Build(t.Context()); err == nil || !strings.Contains(err.Error(), "undefined: nonsense") || !strings.Contains(said.String(), "nonsense") {
		t.Errorf("%v", err)
	}
	if _, err := (GoImage{Platform: "linux"}).Build(t.Context()); err == nil || !strings.Contains(err.Error(), "want os/arch") {
		t.Errorf("%v", err)
	}
	if _, err := (Registry{}).Reference("no good"); err == nil {
		t.Error("that is no name")
	}
}

func TestTheLanguageFollowsFromTheFiles(t *testing.T) {
	for want, files := range map[Language]map[string]string{
		Go: {"go.mod": "", "tool.py": ""}, Node: {"package.json": "{}"}, Python: {"app.py": ""},
	} {
		if got, err := LanguageOf(write(t, files)); got != want || err != nil {
			t.Errorf("%s %v, want %s", got, err, want)
		}
	}
	if _, err := LanguageOf(write(t, map[string]string{"README.md": ""})); !errors.Is(err, ErrUnknownLanguage) {
		t.Errorf("%v", err)
	}
}

func TestGeneratedDockerfiles(t *testing.T) {
	dir := write(t, map[string]string{"requirements.txt": "x", "package.json": "{}", "package-lock.json": "{}"})
	for name, test := range map[string]struct {
		d    Dockerfile
		want []string
	}{
		"python":         {Dockerfile{Dir: dir, Language: Python, Command: []string{"python", "app.py"}}, []string{"FROM python:3.13-slim\n", "COPY requirements.txt .\nRUN pip install", "USER 65532:65532\nCMD [\"python\",\"app.py\"]\n"}},
		"node":           {Dockerfile{Dir: dir, Language: Node, Command: []string{"node", "a.js"}}, []string{"RUN npm ci --omit=dev\n", "NODE_ENV=production"}},
		"nothing needed": {Dockerfile{Dir: t.TempDir(), Language: Node, Command: []string{"node", "a.js"}, Base: "own:1"}, []string{"FROM own:1\nWORKDIR /app\nCOPY --chown=65532:65532 . .\nENV "}},
		"go":             {Dockerfile{Dir: dir, Language: Go}, []string{"FROM golang:1.26 AS build", "FROM scratch\n", "ENTRYPOINT [\"/function\"]"}},
	} {
		got, err := test.d.String()
		for _, want := range test.want {
			if !strings.Contains(got, want) || err != nil {
				t.Errorf("%s: %v\n%s\nwant %s", name, err, got, want)
			}
		}
	}
	if _, err := (Dockerfile{Language: Python}).String(); err == nil || !strings.Contains(err.Error(), "spec.command") {
		t.Errorf("without a command: %v", err)
	}
}

// recording is an engine that writes down how it is called.
const recording = `#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
for a; do [ "$before" = -f ] && cat "$a" >> "$(dirname "$0")/calls"; before=$a; done
case "$*" in *broken*) echo "it is broken" >&2; exit 1;; esac
`

func TestTheEngineIsCalledAsItWantsToBe(t *testing.T) {
	dir := write(t, map[string]string{"podman": recording})
	e, err := FindEngine(filepath.Join(dir, "podman"))
	if err != nil {
		t.Fatal(err)
	}
	e.Insecure, e.BuildOptions = true, []string{"--isolation", "chroot"}
	source := t.TempDir()
	err = errors.Join(e.Build(t.Context(), source, "FROM scratch\n", "r/fn:1", "linux/arm64"), e.Build(t.Context(), source, "", "r/fn:2", ""), e.Push(t.Context(), "r/fn:1"), e.Load(t.Context(), "f.tar"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"build -t r/fn:1 --isolation chroot --platform linux/arm64 --ignorefile ", "FROM scratch\n", "build -t r/fn:2 --isolation chroot " + source + "\n",
		"push --tls-verify=false r/fn:1\n", "load -i f.tar\n",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s\nwant %s", b, want)
		}
	}
	if err := e.Push(t.Context(), "broken"); err == nil || !strings.Contains(err.Error(), "podman push: exit status 1: it is broken") {
		t.Errorf("%v", err)
	}
	if _, err := FindEngine("nowhere-to-be-found"); err == nil {
		t.Error("an engine that is not there is found")
	}
}
