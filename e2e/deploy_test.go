//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	moby "github.com/moby/moby/client"

	"github.com/signalbox-dev/signalbox/e2e/parts"
)

// imageRegistry is a registry of the test's own, as host:port.
func imageRegistry(t *testing.T) string {
	t.Helper()
	r := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(r.Close)
	return strings.TrimPrefix(r.URL, "http://")
}

// swept removes the images of a function from the engine when the test ends.
func swept(t *testing.T, socket, function string) {
	t.Helper()
	engine, err := moby.New(moby.WithHost("unix://" + socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		all, err := engine.ImageList(context.Background(), moby.ImageListOptions{})
		if err != nil {
			t.Error(err)
		}
		for _, image := range all.Items {
			if strings.Contains(strings.Join(append(image.RepoTags, image.RepoDigests...), " "), function) {
				if _, err := engine.ImageRemove(context.Background(), image.ID, moby.ImageRemoveOptions{Force: true}); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// begun is a function of `signalbox new`.
func begun(t *testing.T, language, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if out, err := exec.CommandContext(t.Context(), binary(t), "new", language, name, "--dir", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// greets calls the function and wants its greeting as an event.
func (s *server) greets(function string) {
	s.t.Helper()
	out, _ := s.command("invoke", function, "--data", `{"who":"Ada"}`, "-o", "json")
	var got struct {
		Status int
		Events []struct {
			Type string
			Data struct{ Text string }
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Status != 200 || len(got.Events) != 1 || got.Events[0].Data.Text != "Hello, Ada!" {
		s.t.Errorf("%s %v", out, err)
	}
}

// A Go function is built without an engine, pushed to a registry, pulled from there by
// Docker and run: nothing was written but the function itself.
func TestAGoFunctionIsDeployedAsAnImageWithoutADockerfile(t *testing.T) {
	env := parts.Up(t, "dockerd")
	name, images := unique(t), imageRegistry(t)
	swept(t, env.DockerSocket(), name)
	s := start(t, append(embeddedArgs(t), "--docker-host", "unix://"+env.DockerSocket())...)
	dir := begun(t, "go", name)
	began := time.Now()
	out, said := s.command("deploy", dir, "--image", images+"/team/"+name+":v1")
	t.Logf("deployed in %s:\n%s%s", time.Since(began), said, out)
	if !regexp.MustCompile(`built \w+: \S+@sha256:[0-9a-f]{64}\n`).MatchString(said) || !regexp.MustCompile(name+` is in force: `).MatchString(said) {
		t.Error(said)
	}
	s.greets(name)
	// What it is now: one digest, whatever becomes of the tag.
	if out, _ := s.command("get", "function", name, "-o", "yaml"); !regexp.MustCompile(`image: \S+@sha256:`).MatchString(out) {
		t.Error(out)
	}
	_, said = s.command("deploy", dir, "--image", images+"/team/"+name+":v2")
	if strings.Count(said, "@sha256:") != 1 {
		t.Error(said)
	}
	s.greets(name)
}

// podmanOf is a program that is podman with the configuration of the part.
func podmanOf(t *testing.T, env parts.Env) string {
	t.Helper()
	podman := filepath.Join(t.TempDir(), "podman")
	script := "#!/bin/sh\n"
	for _, v := range env.Environ() {
		script += "export '" + v + "'\n"
	}
	if err := os.WriteFile(podman, []byte(script+"exec podman \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return podman
}

// The same by an engine and a Dockerfile that is generated; the base image is a
// stand-in, since there is no public registry here.
func TestAFunctionIsDeployedByAGeneratedDockerfile(t *testing.T) {
	env := parts.Up(t, "podman", "golang-image", "dockerd")
	podman := podmanOf(t, env)
	name, images := unique(t), imageRegistry(t)
	swept(t, env.DockerSocket(), name)
	s := start(t, append(embeddedArgs(t), "--docker-host", "unix://"+env.DockerSocket())...)
	dir := begun(t, "go", name)
	args := []string{"deploy", dir, "--image", images + "/" + name + ":v1", "--engine", podman, "--base", env.Value("GOLANG_IMAGE")}
	for _, o := range env.GolangImageFlags() {
		args = append(args, "--build-option="+o)
	}
	began := time.Now()
	out, said := s.command(args...)
	t.Logf("deployed in %s:\n%s%s", time.Since(began), said, out)
	s.greets(name)
	// A second one, whose Dockerfile is its own.
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM "+images+"/"+name+":v1\nLABEL own=yes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.command("deploy", dir, "--image", images+"/"+name+":v2", "--engine", podman, "--build-option", "--isolation=chroot", "--build-option", "--tls-verify=false")
	s.greets(name)
}

// interpreted are programs of Python and Node that greet and say who they are; their files are their author's alone.
// They need nothing that would have to be fetched; what fetches it runs all the same.
func interpreted(language, name string) map[string]string {
	manifest := func(command string) string {
		return "apiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: " + name + "}\nspec:\n  command: " + command + "\n  on: [com.example." + name + "]\n  emits: [com.example.greeted]\n"
	}
	if language == "python" {
		return map[string]string{
			"fn.yaml": manifest("[python3, fn.py]"), "requirements.txt": "# none\n", ".env": "SECRET=1\n",
			"fn.py": `import json, os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        who = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["who"]
        body = json.dumps({"text": f"Hello, {who}!", "uid": os.getuid(), "files": sorted(os.listdir("."))}).encode()
        self.send_response(200)
        for name, value in {"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/fn", "Ce-Type": "com.example.greeted",
                            "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

HTTPServer((os.environ["SIGNALBOX_HOST"], int(os.environ["PORT"])), Handler).serve_forever()
`,
		}
	}
	return map[string]string{
		"fn.yaml": manifest("[node, fn.js]"), ".env": "SECRET=1\n",
		"package.json":      `{"name": "fn", "version": "1.0.0"}`,
		"package-lock.json": `{"name": "fn", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": {"name": "fn", "version": "1.0.0"}}}`,
		"fn.js": `const http = require("http"), fs = require("fs");
http.createServer(async (req, res) => {
  let body = "";
  for await (const part of req) body += part;
  res.writeHead(200, { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/fn", "ce-type": "com.example.greeted", "content-type": "application/json" });
  res.end(JSON.stringify({ text: "Hello, " + JSON.parse(body).who + "!", uid: process.getuid(), files: fs.readdirSync(".").sort() }));
}).listen(+process.env.PORT, process.env.SIGNALBOX_HOST);
`,
	}
}

// Python and Node are built by Dockerfiles that are generated, on stand-ins for the images that these begin with.
func TestProgramsOfPythonAndNodeAreDeployedByGeneratedDockerfiles(t *testing.T) {
	env := parts.Up(t, "podman", "slim-images", "dockerd")
	podman, images := podmanOf(t, env), imageRegistry(t)
	names := map[string]string{"python": "python" + unique(t), "node": "node" + unique(t)}
	for _, name := range names {
		swept(t, env.DockerSocket(), name)
	}
	s := start(t, append(embeddedArgs(t), "--docker-host", "unix://"+env.DockerSocket())...)
	for language, files := range map[string]string{"python": "fn.py fn.yaml requirements.txt", "node": "fn.js fn.yaml package-lock.json package.json"} {
		name := names[language]
		dir := writeFiles(t, interpreted(language, name))
		args := []string{"deploy", dir, "--image", images + "/" + name + ":v1", "--engine", podman}
		for _, o := range strings.Fields(env.Value("SLIM_IMAGE_FLAGS")) {
			args = append(args, "--build-option="+o)
		}
		began := time.Now()
		out, said := s.command(args...)
		t.Logf("deployed in %s:\n%s%s", time.Since(began), said, out)
		s.greets(name)
		status, body := s.post("/function/"+name, nil, `{"who": "Ada"}`)
		var got struct {
			UID   int
			Files []string
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || got.UID != 65532 || strings.Join(got.Files, " ") != files {
			t.Errorf("%s: %d %s: want user 65532 and the files %s", language, status, body, files)
		}
	}
}

// The files of a Go program go along too, and are run where Go is.
func TestAProgramIsDeployedWithItsFiles(t *testing.T) {
	s := start(t, embeddedArgs(t)...)
	for _, language := range []string{"go", "python", "node"} {
		name := language + unique(t)
		dir := begun(t, language, name)
		_, said := s.command("deploy", dir)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(said, "packed "+name) || !strings.Contains(said, name+" is ready after") {
			t.Error(said)
		}
		if language == "go" {
			s.greets(name)
			continue
		}
		if out, _ := s.command("invoke", name, "--data", `{"who":"Ada"}`); !strings.Contains(out, "answered 204") {
			t.Error(out)
		}
	}
}
