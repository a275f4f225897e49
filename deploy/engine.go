package deploy

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Engine is the command line of a container engine.
type Engine struct {
	// Program is docker or podman, or a path that ends so.
	Program string
	// BuildOptions are given to `build`.
	BuildOptions []string
	// Insecure lets podman push without TLS; docker has that in its own settings.
	Insecure bool
	// Output gets what the engine says.
	Output io.Writer
}

// FindEngine finds the engine that is named, else podman or docker.
func FindEngine(named string) (Engine, error) {
	programs := []string{"docker", "podman"}
	if named != "" {
		programs = []string{named}
	}
	for _, p := range programs {
		if found, err := exec.LookPath(p); err == nil && (named != "" || works(found)) {
			return Engine{Program: found}, nil
		}
	}
	if named != "" {
		return Engine{}, fmt.Errorf("engine %q: there is no such program", named)
	}
	return Engine{}, ErrNoEngine
}

// works tells an engine from a client that has none.
func works(program string) bool {
	return exec.Command(program, "version").Run() == nil
}

func (e Engine) isPodman() bool { return strings.HasPrefix(filepath.Base(e.Program), "podman") }

// run runs a command; an error holds the end of what it said.
func (e Engine) run(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, e.Program, args...)
	return tell(cmd, e.Output, filepath.Base(e.Program)+" "+args[0])
}

// Build builds a directory by a Dockerfile: that of the directory for "", else the
// text that is given.
func (e Engine) Build(ctx context.Context, dir, dockerfile, image, platform string) error {
	args := append([]string{"build", "-t", image}, e.BuildOptions...)
	if platform != "" {
		args = append(args, "--platform", platform)
	}
	if dockerfile != "" {
		temp, err := os.MkdirTemp("", "signalbox-deploy-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temp)
		file := filepath.Join(temp, "Dockerfile")
		if err := os.WriteFile(file, []byte(dockerfile), 0o600); err != nil {
			return err
		}
		if !exists(filepath.Join(dir, ".dockerignore")) { // of this Dockerfile, and of nothing in the directory
			if err := os.WriteFile(file+".dockerignore", []byte(Ignored()), 0o600); err != nil {
				return err
			}
			if e.isPodman() {
				args = append(args, "--ignorefile", file+".dockerignore")
			}
		}
		args = append(args, "-f", file)
	}
	return e.run(ctx, append(args, dir)...)
}

// Push pushes an image that was built.
func (e Engine) Push(ctx context.Context, image string) error {
	args := []string{"push"}
	if e.Insecure && e.isPodman() {
		args = append(args, "--tls-verify=false")
	}
	return e.run(ctx, append(args, image)...)
}

// Load puts a tarball of WriteTarball into the engine's store.
func (e Engine) Load(ctx context.Context, file string) error { return e.run(ctx, "load", "-i", file) }
