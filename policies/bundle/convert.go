package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/signalbox-dev/signalbox/resource"
)

// Annotations of the policies that a bundle brings.
const (
	// Annotation is the bundle's name, RevisionAnnotation its revision.
	Annotation         = "signalbox.dev/bundle"
	RevisionAnnotation = "signalbox.dev/bundle-revision"
)

// Bundle is what a bundle holds, as resources.
type Bundle struct {
	// Objects are its policies, sorted by name: <bundle>.<module>, and
	// <bundle>.data for its documents.
	Objects []resource.Object
	// Revision is that of its manifest, else a digest of what it holds.
	Revision string
	// ETag is the server's entity tag; "" where it sends none.
	ETag string
}

// convert makes policies of modules and documents; tests are left out.
func convert(name string, b *bundle.Bundle) (*Bundle, error) {
	switch {
	case b.Type() == bundle.DeltaBundleType:
		return nil, errors.New("a delta bundle: want a snapshot")
	case len(b.WasmModules) > 0 || len(b.PlanModules) > 0:
		return nil, errors.New("holds compiled policies: want Rego")
	}
	out := &Bundle{Revision: b.Manifest.Revision}
	seen := map[string]string{}
	add := func(file string, o resource.Object, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if other, twice := seen[o.Metadata.Name]; twice {
			return fmt.Errorf("%s and %s would both be policy %s", other, file, o.Metadata.Name)
		}
		seen[o.Metadata.Name] = file
		out.Objects = append(out.Objects, o)
		return nil
	}
	for _, m := range b.Modules {
		file := strings.TrimPrefix(m.Path, "/")
		if strings.HasSuffix(path.Base(file), "_test.rego") {
			continue
		}
		o, err := resource.ModulePolicy(name+"."+resource.RegoName(file), m.Raw)
		if err := add(file, o, err); err != nil {
			return nil, err
		}
	}
	if len(b.Data) > 0 {
		o, err := resource.DataPolicy(name+".data", b.Data)
		if err := add("the documents", o, err); err != nil {
			return nil, err
		}
	}
	if len(out.Objects) == 0 {
		return nil, errors.New("holds no policies")
	}
	slices.SortFunc(out.Objects, func(x, y resource.Object) int { return strings.Compare(x.Metadata.Name, y.Metadata.Name) })
	if out.Revision == "" {
		out.Revision = digest(out.Objects)
	}
	for i := range out.Objects {
		out.Objects[i].Metadata.Annotations = map[string]string{Annotation: name, RevisionAnnotation: out.Revision}
	}
	return out, nil
}

// digest tells contents apart.
func digest(objects []resource.Object) string {
	h := sha256.New()
	for _, o := range objects {
		fmt.Fprintf(h, "%s %d\n%s\n", o.Metadata.Name, len(o.Spec), o.Spec)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))[:16]
}
