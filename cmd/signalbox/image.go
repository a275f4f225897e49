package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/signalbox-dev/signalbox/deploy"
	"github.com/signalbox-dev/signalbox/resource"
)

// imageFlags are the options about images.
type imageFlags struct {
	image, platform, target, engine, base string
	options                               []string
	push, insecure                        bool
}

func (f *imageFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.image, "image", "", "build the function as this image, such as registry.example.com/team/greet:v1")
	flags.StringVar(&f.platform, "platform", "", "what runs the image: docker, kubernetes, knative or openfaas (default: what the manifest says, else docker)")
	flags.StringVar(&f.target, "target", "", "os/arch of the image, such as linux/arm64 (default: linux and this machine's)")
	flags.BoolVar(&f.push, "push", true, "push the image to its registry; else it stays in the engine on this machine")
	flags.StringVar(&f.engine, "engine", "", "docker, podman or a path to one (default: the first that works)")
	flags.StringArrayVar(&f.options, "build-option", nil, "a further option for the engine's build; may be repeated")
	flags.StringVar(&f.base, "base", "", "image that a generated Dockerfile begins with")
	flags.BoolVar(&f.insecure, "insecure-registry", false, "speak http to the registry; to one on this machine that is done anyway")
}

// wants reports whether an image is to be built for a function.
func (f *imageFlags) wants(o *resource.Object, dir string) bool {
	spec := functionSpec(o)
	if f.image != "" {
		return len(spec.Command) > 0 || spec.Image != ""
	}
	return spec.Image != "" && !strings.Contains(spec.Image, "@") && deploy.HasDockerfile(dir)
}

// buildFor builds the image of a function and lets it be what the function runs.
func (f *imageFlags) buildFor(ctx context.Context, said io.Writer, o *resource.Object, dir string) error {
	spec := functionSpec(o)
	image := f.image
	if image == "" {
		image = spec.Image
	}
	if strings.Contains(image, "@") {
		return errNoTag
	}
	ref, err := f.build(ctx, said, &spec, dir, image)
	if err != nil {
		return err
	}
	fmt.Fprintf(said, "built %s: %s\n", o.Metadata.Name, ref)
	spec.Image, spec.Command, spec.Dir, spec.Artifact = ref, nil, "", ""
	if f.platform != "" {
		spec.Platform = f.platform
	}
	o.Spec, err = json.Marshal(spec)
	return err
}

// build returns the name by which the image is run: with its digest, where it was pushed.
func (f *imageFlags) build(ctx context.Context, said io.Writer, spec *resource.FunctionSpec, dir, image string) (string, error) {
	registry := deploy.Registry{Insecure: f.insecure}
	if _, err := registry.Reference(image); err != nil {
		return "", &usageError{err}
	}
	dockerfile, language := "", deploy.Language("")
	if !deploy.HasDockerfile(dir) {
		var err error
		if language, err = deploy.LanguageOf(dir); err != nil {
			return "", err
		}
		if language == deploy.Go && f.base == "" {
			return f.buildGo(ctx, said, spec, dir, image, registry)
		}
		if dockerfile, err = (deploy.Dockerfile{Dir: dir, Language: language, Command: spec.Command, Base: f.base}).String(); err != nil {
			return "", err
		}
	}
	engine, err := f.findEngine(said, image)
	if err != nil {
		return "", err
	}
	if err := engine.Build(ctx, dir, dockerfile, image, f.target); err != nil {
		return "", err
	}
	if !f.push {
		return image, nil
	}
	if err := engine.Push(ctx, image); err != nil {
		return "", err
	}
	return registry.Resolve(ctx, image)
}

// buildGo needs no engine, unless the image is to stay on this machine.
func (f *imageFlags) buildGo(ctx context.Context, said io.Writer, spec *resource.FunctionSpec, dir, image string, registry deploy.Registry) (string, error) {
	g := deploy.GoImage{Dir: dir, Platform: f.target, Output: said}
	g.Package, g.Args = goCommand(spec.Command)
	content, err := g.Build(ctx)
	if err != nil {
		return "", err
	}
	if f.push {
		return registry.Push(ctx, image, content)
	}
	engine, err := f.findEngine(said, image)
	if err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp("", "signalbox-deploy-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	file := filepath.Join(temp, "image.tar")
	if err := deploy.WriteTarball(file, image, content); err != nil {
		return "", err
	}
	return image, engine.Load(ctx, file)
}

// goCommand is the package that a command runs, and what it gives to it: of
// `go run ./cmd/x -v`, ./cmd/x and -v.
func goCommand(command []string) (pkg string, args []string) {
	if len(command) > 2 && filepath.Base(command[0]) == "go" && command[1] == "run" {
		at := 2 + slices.IndexFunc(command[2:], func(s string) bool { return !strings.HasPrefix(s, "-") })
		if at >= 2 && !strings.HasSuffix(command[at], ".go") {
			return command[at], command[at+1:]
		}
		return ".", nil
	}
	if len(command) > 0 {
		args = command[1:]
	}
	return ".", args
}

func (f *imageFlags) findEngine(said io.Writer, image string) (deploy.Engine, error) {
	engine, err := deploy.FindEngine(f.engine)
	engine.Output, engine.BuildOptions, engine.Insecure = said, f.options, f.insecure || onThisMachine(image)
	return engine, err
}

// onThisMachine reports whether an image's registry is one of loopback.
func onThisMachine(image string) bool {
	host, _, _ := strings.Cut(image, "/")
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
