package resource

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// Manifests are resources with the files they came from.
type Manifests struct {
	Objects []Object
	origins documentNames
}

// origin is where a resource was read.
type origin struct {
	file string
	src  []byte
	// rego: the file is a policy's module, or its data, as a whole.
	rego bool
}

// LoadManifests reads manifests and .rego files, and of directories every .yaml, .yml
// and .json file (not of those below it) and the Rego files (those below it
// too, see FindRego). Relative directories of commands are made absolute,
// starting from the manifest's own. Every fault names file, line and field; with
// one fault nothing is returned.
func LoadManifests(paths ...string) (*Manifests, error) {
	all := &Manifests{origins: documentNames{}}
	var faults Faults
	for _, path := range paths {
		before := len(all.Objects)
		if err := all.load(path, &faults); err != nil {
			return nil, err
		}
		if len(all.Objects) == before && len(faults) == 0 {
			return nil, fmt.Errorf("%s: holds no resources: want .yaml, .yml or .json files with apiVersion: %s, or .rego files%s", path, APIVersion, below(path))
		}
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return all, nil
}

// below says which directory below path holds manifests, since those are not read.
func below(path string) string {
	entries, err := os.ReadDir(path)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		dir := filepath.Join(path, e.Name())
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if files, err := manifestFiles(dir); err == nil && len(files) > 0 {
			return fmt.Sprintf("; directories below it are not read, such as %s: name one of them", dir)
		}
	}
	return ""
}

// load reads a file or a directory.
func (m *Manifests) load(path string, faults *Faults) error {
	files, err := manifestFiles(path)
	if err != nil {
		return err
	}
	if err := m.loadRego(path, faults); err != nil {
		return err
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := m.add(f, src, filepath.Dir(f), faults); err != nil {
			return err
		}
	}
	return nil
}

// ReadManifests reads manifests from r; name is what faults call it.
func ReadManifests(name string, r io.Reader) (*Manifests, error) {
	src, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	all := &Manifests{origins: documentNames{}}
	var faults Faults
	if err := all.add(name, src, ".", &faults); err != nil {
		return nil, err
	}
	return all, faults.Err()
}

// add reads one file; what is wrong with it joins faults.
func (m *Manifests) add(file string, src []byte, dir string, faults *Faults) error {
	objects, err := decodeAnchored(file, src, dir)
	if err != nil {
		var fs Faults
		if !errors.As(err, &fs) {
			return err
		}
		*faults = append(*faults, fs...)
		return nil
	}
	m.take(file, src, objects, false, faults)
	return nil
}

// take adds what a file holds; a name that stands twice joins faults.
func (m *Manifests) take(file string, src []byte, objects []Object, rego bool, faults *Faults) {
	for _, o := range objects {
		if other, once := m.origins.add(&o, origin{file: file, src: src, rego: rego}); !once {
			f := Fault{File: file, Field: "metadata.name", Problem: fmt.Sprintf("%s: in %s too", twice(&o), other.file)}
			if rego {
				f.Field = ""
				f.Problem += " (a file is named after its path)"
			} else {
				f.Line = LineOf(src, o.Kind, o.Metadata.Name, "metadata.name")
			}
			*faults = append(*faults, f)
		}
	}
	m.Objects = append(m.Objects, objects...)
}

// File is where a resource was read; "" for one that these manifests do not hold.
func (m *Manifests) File(kind, name string) string {
	from, _ := m.origins.find(kind + "/" + name)
	return from.file
}

// Locate returns the faults with file and line filled in where they name a
// resource that came from these manifests.
func (m *Manifests) Locate(faults Faults) Faults {
	located := slices.Clone(faults)
	for i, f := range located {
		o, ok := m.origins.find(f.Resource)
		if !ok || f.File != "" {
			continue
		}
		kind, name, _ := strings.Cut(f.Resource, "/")
		located[i].File = o.file
		if o.rego {
			located[i].Resource = ""
			continue
		}
		located[i].Line = LineOf(o.src, kind, name, f.Field)
		if f.Line > 0 && f.Field == "spec.rego" {
			located[i].Line += f.Line // of the module, which begins below its key
		}
	}
	return located
}

func manifestFiles(path string) ([]string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		if IsRego(filepath.Base(path)) {
			return nil, nil
		}
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && IsManifest(e.Name()) {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	sort.Strings(files)
	return files, nil
}

// IsManifest reports whether a file's name says that it is one. Documents and
// cases of policies are none.
func IsManifest(name string) bool {
	if base := filepath.Base(name); isDocument(base) || isCases(base) {
		return false
	}
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return !strings.HasPrefix(filepath.Base(name), ".") && !strings.HasPrefix(filepath.Base(name), "package")
	}
	return false
}

func decodeAnchored(name string, src []byte, dir string) ([]Object, error) {
	objects, err := Decode(name, src)
	if err != nil {
		return nil, err
	}
	for i := range objects {
		if err := anchorDir(&objects[i], dir); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// anchorDir makes the directory of a function that has files in one absolute.
func anchorDir(o *Object, dir string) error {
	if o.Kind != KindFunction {
		return nil
	}
	var spec FunctionSpec
	if err := json.Unmarshal(o.Spec, &spec); err != nil {
		return err
	}
	if !spec.HasFiles() || spec.Artifact != "" || filepath.IsAbs(spec.Dir) {
		return nil
	}
	abs, err := filepath.Abs(filepath.Join(dir, spec.Dir))
	if err != nil {
		return err
	}
	spec.Dir = abs
	o.Spec, err = json.Marshal(spec)
	return err
}
