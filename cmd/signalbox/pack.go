package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/signalbox-dev/signalbox/artifacts"
	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/resource"
)

// packer packs the files of functions and uploads what the server does not have.
type packer struct {
	client *client.Client
	// said is where it tells what it does.
	said io.Writer
	// upload is false for a dry run.
	upload bool
	// programs: those of all functions with a command, not only where dir is said.
	programs bool
	// done are the digests by directory.
	done map[string]string
}

// pack lets the functions among the manifests name their files as artifacts:
// scripts always, programs where the manifest says dir, or where all are packed.
func (p *packer) pack(ctx context.Context, m *resource.Manifests) error {
	for i := range m.Objects {
		o := &m.Objects[i]
		if o.Kind != resource.KindFunction {
			continue
		}
		spec := functionSpec(o)
		if !spec.HasFiles() || spec.Artifact != "" {
			continue
		}
		if spec.Scripts == nil && !p.programs && !saysDir(m.File(o.Kind, o.Metadata.Name), o) {
			continue
		}
		if faults := scriptsAreIn(o.Metadata.Name, spec.Dir, spec.Scripts); len(faults) > 0 {
			return m.Locate(faults)
		}
		digest, err := p.directory(ctx, o.Metadata.Name, spec.Dir)
		if err != nil {
			return fmt.Errorf("function %s: %w", o.Metadata.Name, err)
		}
		spec.Dir, spec.Artifact = "", digest
		if o.Spec, err = json.Marshal(spec); err != nil {
			return err
		}
	}
	return nil
}

// scriptsAreIn wants the files that scripts name, before anything is uploaded.
func scriptsAreIn(function, dir string, s *resource.Scripts) (faults resource.Faults) {
	if s == nil {
		return nil
	}
	want := func(field, name string) {
		fault := resource.Fault{Resource: resource.KindFunction + "/" + function, Field: field}
		switch info, err := os.Stat(filepath.Join(dir, name)); {
		case errors.Is(err, fs.ErrNotExist):
			fault.Problem = fmt.Sprintf("%q: there is no such file in %s", name, dir)
		case err != nil:
			fault.Problem = fmt.Sprintf("%q: %v", name, err)
		case !info.Mode().IsRegular():
			fault.Problem = fmt.Sprintf("%q: is no file in %s", name, dir)
		default:
			return
		}
		faults = append(faults, fault)
	}
	if s.Requirements != "" {
		want("spec.scripts.requirements", s.Requirements)
	}
	for i, name := range s.Files {
		want(fmt.Sprintf("spec.scripts.files[%d]", i), name)
	}
	return faults
}

// saysDir reports whether a manifest says dir; reading it has filled dir in.
func saysDir(file string, o *resource.Object) bool {
	src, err := os.ReadFile(file)
	if err != nil {
		return false // standard input: where it comes from is not where the files are
	}
	written, err := resource.Decode(file, src)
	if err != nil {
		return false
	}
	for i := range written {
		if written[i].Kind == o.Kind && written[i].Metadata.Name == o.Metadata.Name && functionSpec(&written[i]).Dir != "" {
			return true
		}
	}
	return false
}

// directory packs a directory and returns its digest.
func (p *packer) directory(ctx context.Context, name, dir string) (string, error) {
	if digest, done := p.done[dir]; done {
		return digest, nil
	}
	if err := checkPackable(dir); err != nil {
		return "", err
	}
	f, err := os.CreateTemp("", "signalbox-pack-*")
	if err != nil {
		return "", err
	}
	defer func() { _ = errors.Join(f.Close(), os.Remove(f.Name())) }()
	packed, err := artifacts.Pack(dir, artifacts.DefaultLimits(), func(file string) bool { return isManifestOf(dir, file) }, f)
	if err != nil {
		return "", err
	}
	if packed.Files == 0 {
		return "", fmt.Errorf("%s: holds no files for a function", dir)
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return "", err
	}
	if p.done == nil {
		p.done = map[string]string{}
	}
	p.done[dir] = packed.Digest
	return packed.Digest, p.send(ctx, name, packed, f, size)
}

// send uploads what the server does not have.
func (p *packer) send(ctx context.Context, name string, packed artifacts.Packed, content io.ReaderAt, size int64) error {
	how := "not uploaded"
	if p.upload {
		has, err := p.client.HasArtifact(ctx, packed.Digest)
		how = "there already"
		if err != nil { // the answer to the upload has a body, which says why
			has = false
		}
		if !has {
			if _, err := p.client.PutArtifact(ctx, packed.Digest, content, size); err != nil {
				return err
			}
			how = artifacts.Bytes(size) + " uploaded"
		}
	}
	files := "files"
	if packed.Files == 1 {
		files = "file"
	}
	fmt.Fprintf(p.said, "packed %s: %d %s, %s, %s (%s)\n", name, packed.Files, files, artifacts.Bytes(packed.Size), how, artifacts.Short(packed.Digest))
	return nil
}

// checkPackable refuses directories that nobody means.
func checkPackable(dir string) error {
	home, _ := os.UserHomeDir()
	if dir = filepath.Clean(dir); dir == filepath.VolumeName(dir)+string(filepath.Separator) || dir == filepath.Clean(home) {
		return fmt.Errorf("%s: all of it would be uploaded: put the function into a directory of its own", dir)
	}
	return nil
}

var ourAPI = regexp.MustCompile(`(?m)^\s*[{,]?\s*"?apiVersion"?\s*:\s*["']?signalbox\.dev/`)

// isManifestOf reports whether a file at the top of a directory is a manifest of
// ours: a function's files are not others when what is said of it is.
func isManifestOf(dir, name string) bool {
	if filepath.Base(name) != name || !resource.IsManifest(name) {
		return false
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return false
	}
	defer f.Close()
	var b bytes.Buffer
	_, err = io.Copy(&b, io.LimitReader(f, 1<<20))
	return err == nil && ourAPI.Match(b.Bytes())
}
