package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Rego files are policies too: each file of a directory becomes a Policy named
// after its path, and so does each data.json, data.yaml and data.yml.

// RegoTree is the files of a directory, and those below it, that are policies
// without being manifests. Paths are relative to the directory, with slashes.
type RegoTree struct {
	// Modules are the .rego files but for the tests, Tests those that end in
	// _test.rego, Documents the data.json, data.yaml and data.yml.
	Modules, Tests, Documents []string
}

// FindRego lists the Rego files of a directory and of those below it, sorted.
// Directories whose names begin with a dot or an underscore, node_modules,
// vendor and testdata are passed over. Without any module there are no
// documents: a data.json is anybody's then.
func FindRego(dir string) (RegoTree, error) {
	var t RegoTree
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if file != dir && !IsRegoDir(d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(dir, file)
		if err == nil {
			t.add(filepath.ToSlash(rel))
		}
		return err
	})
	if len(t.Modules) == 0 {
		t.Documents = nil
	}
	return t, err
}

// IsRegoDir reports whether Rego is looked for in a directory of that name.
func IsRegoDir(name string) bool {
	return !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "_") && !slices.Contains([]string{"node_modules", "vendor", "testdata"}, name)
}

// IsRego reports whether a file's name says that it is a module, a test or a document.
func IsRego(name string) bool {
	return path.Ext(name) == ".rego" && !strings.HasPrefix(path.Base(name), ".") || isDocument(path.Base(name))
}

func isDocument(base string) bool {
	return base == "data.json" || base == "data.yaml" || base == "data.yml"
}

// isCases tells the cases of `signalbox policy test`.
func isCases(base string) bool {
	return strings.HasSuffix(base, ".cases.yaml") || strings.HasSuffix(base, ".cases.yml")
}

func (t *RegoTree) add(file string) {
	switch base := path.Base(file); {
	case strings.HasPrefix(base, "."):
	case strings.HasSuffix(base, "_test.rego"):
		t.Tests = append(t.Tests, file)
	case path.Ext(base) == ".rego":
		t.Modules = append(t.Modules, file)
	case isDocument(base):
		t.Documents = append(t.Documents, file)
	}
}

// RegoName is the name of the Policy that a module or document becomes: its path
// without the suffix, slashes as dots, in lower case, and a dash for whatever
// else a name cannot have.
func RegoName(file string) string {
	var parts []string
	for _, p := range strings.Split(strings.TrimSuffix(path.Clean(file), path.Ext(file)), "/") {
		p = strings.Map(func(r rune) rune {
			switch {
			case r >= 'A' && r <= 'Z':
				return r + 'a' - 'A'
			case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.':
				return r
			}
			return '-'
		}, p)
		for _, q := range strings.Split(p, ".") {
			if q = strings.Trim(q, "-"); q != "" {
				parts = append(parts, q)
			}
		}
	}
	return strings.Join(parts, ".")
}

// ModulePolicy makes a Policy of a module. Its priority, onError and mode stand
// in the metadata of the module's package, under custom.signalbox:
//
//	# METADATA
//	# custom:
//	#   signalbox: {priority: 10, mode: shadow}
//	package signalbox.trigger
//
// The error is Faults whose lines are those of the module.
func ModulePolicy(name string, src []byte) (Object, error) {
	spec := PolicySpec{}
	if err := settings(src, &spec); err != nil {
		return Object{}, err
	}
	spec.Rego = string(src)
	return policyObject(name, spec)
}

// DocumentPolicy makes a Policy of a document (JSON, or YAML), which stands in
// data below the directories of its path, as in an OPA bundle.
func DocumentPolicy(name, file string, src []byte) (Object, error) {
	var value any
	err := documents(src, func(root *yaml.Node) {
		if v, err := toJSON(root, 0); err == nil {
			value = v
		}
	})
	if err != nil {
		return Object{}, Faults{{Line: yamlErrorLine(err), Problem: "neither JSON nor YAML: " + yamlErrorText(err)}}
	}
	if dir := path.Dir(path.Clean(file)); dir != "." {
		parts := strings.Split(dir, "/")
		for _, p := range slices.Backward(parts) {
			value = map[string]any{p: value}
		}
	}
	return DataPolicy(name, value)
}

// DataPolicy makes a Policy that holds documents only; data must be an object.
func DataPolicy(name string, data any) (Object, error) {
	fields, ok := data.(map[string]any)
	if !ok {
		return Object{}, Faults{{Field: "spec.data", Problem: "want an object at the root of data"}}
	}
	spec := PolicySpec{Data: make(map[string]json.RawMessage, len(fields))}
	for k, v := range fields {
		b, err := json.Marshal(v)
		if err != nil {
			return Object{}, Faults{{Field: "spec.data." + k, Problem: err.Error()}}
		}
		spec.Data[k] = b
	}
	return policyObject(name, spec)
}

func policyObject(name string, spec PolicySpec) (Object, error) {
	b, err := json.Marshal(&spec)
	if err != nil {
		return Object{}, err
	}
	o := Object{APIVersion: APIVersion, Kind: KindPolicy, Metadata: Metadata{Name: name}, Spec: b}
	return o, o.Validate().Err()
}

// settings reads custom.signalbox of the metadata above the package.
func settings(src []byte, spec *PolicySpec) error {
	text, line := metadata(src)
	if text == nil {
		return nil
	}
	var meta struct {
		Custom struct {
			Signalbox yaml.Node `yaml:"signalbox"`
		} `yaml:"custom"`
	}
	if yaml.Unmarshal(text, &meta) != nil || meta.Custom.Signalbox.IsZero() {
		return nil // whether the metadata is well-formed is for OPA to say
	}
	v, err := toJSON(&meta.Custom.Signalbox, 0)
	if err != nil {
		return Faults{{Line: line, Field: "custom.signalbox", Problem: err.Error()}}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var in struct {
		Priority int    `json:"priority"`
		OnError  string `json:"onError"`
		Mode     string `json:"mode"`
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return Faults{{Line: line, Field: "custom.signalbox", Problem: fmt.Sprintf("%v: want an object with priority, onError and mode", err)}}
	}
	spec.Priority, spec.OnError, spec.Mode = in.Priority, in.OnError, in.Mode
	return nil
}

// metadata is the block of comments that stands right above the package, from
// its line METADATA on; nil when there is none.
func metadata(src []byte) (text []byte, line int) {
	number := 0
	for l := range bytes.Lines(src) {
		number++
		l = bytes.TrimRight(l, "\r\n")
		comment, isComment := bytes.CutPrefix(l, []byte("#"))
		switch {
		case isComment && string(bytes.TrimSpace(comment)) == "METADATA":
			text, line = []byte{}, number
		case isComment && text != nil:
			text = append(append(text, bytes.TrimPrefix(comment, []byte(" "))...), '\n')
		case bytes.HasPrefix(l, []byte("package ")):
			return text, line
		case !isComment:
			text = nil
		}
	}
	return nil, 0
}

// addRego reads the Rego files of a directory; what is wrong with them joins faults.
func (m *Manifests) addRego(dir string, faults *Faults) error {
	tree, err := FindRego(dir)
	if err != nil {
		return err
	}
	for _, file := range append(slices.Clone(tree.Modules), tree.Documents...) {
		if err := m.addRegoFile(dir, file, faults); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manifests) addRegoFile(dir, file string, faults *Faults) error {
	full := filepath.Join(dir, filepath.FromSlash(file))
	src, err := os.ReadFile(full)
	if err != nil {
		return err
	}
	o, err := regoObject(file, src)
	var wrong Faults
	switch {
	case errors.As(err, &wrong):
		for _, f := range wrong {
			f.File = full
			*faults = append(*faults, f)
		}
		return nil
	case err != nil:
		return err
	}
	m.take(full, src, []Object{o}, true, faults)
	return nil
}

func regoObject(file string, src []byte) (Object, error) {
	name := RegoName(file)
	if isDocument(path.Base(file)) {
		return DocumentPolicy(name, file, src)
	}
	return ModulePolicy(name, src)
}

// loadRego reads the Rego files of a directory, or the one file that path is.
func (m *Manifests) loadRego(path string, faults *Faults) error {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case st.IsDir():
		return m.addRego(path, faults)
	case IsRego(filepath.Base(path)):
		return m.addRegoFile(filepath.Dir(path), filepath.Base(path), faults)
	}
	return nil
}
