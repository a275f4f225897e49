package resource

import (
	"encoding/json"
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"
)

const (
	// maxDepth bounds the nesting of a manifest, so that hostile input ends early.
	maxDepth = 64
	// maxFaults bounds what one manifest is told about itself.
	maxFaults = 100
)

// Decode reads the documents of a manifest (YAML, or one JSON object). file is
// used in faults only. Either every document is right and all objects are
// returned, or the error is Faults, each with line and field, and none is. Only
// plain YAML is taken: no aliases, no merge keys, no tags of its own, no member
// twice. A manifest without a document is no objects and no error.
func Decode(file string, src []byte) ([]Object, error) {
	var objects []Object
	var faults Faults
	seen := documentNames{}
	err := documents(src, func(root *yaml.Node) {
		o, fs := decodeDocument(root)
		if _, once := seen.add(&o, origin{}); len(fs) == 0 && !once {
			fs = Faults{{Line: lineOf(root, "metadata.name"), Field: "metadata.name", Problem: twice(&o) + " in this manifest: want it once"}}
		}
		faults = append(faults, fs...)
		objects = append(objects, o)
	})
	if err != nil {
		faults = append(faults, Fault{Line: yamlErrorLine(err), Problem: "not YAML: " + yamlErrorText(err)})
	}
	if len(faults) == 0 {
		return objects, nil
	}
	if len(faults) > maxFaults {
		faults = append(faults[:maxFaults], Fault{Problem: fmt.Sprintf("and %d more", len(faults)-maxFaults)})
	}
	for i := range faults {
		faults[i].File = file
	}
	return nil, faults
}

// twice says that a resource, or a version of a function, stands twice.
func twice(o *Object) string {
	var spec struct{ Version string }
	if o.Kind == KindFunction && json.Unmarshal(o.Spec, &spec) == nil && spec.Version != "" {
		return fmt.Sprintf("%s/%s with version %s stands twice", o.Kind, o.Metadata.Name, spec.Version)
	}
	return o.Kind + "/" + o.Metadata.Name + " stands twice"
}

// DecodeOne reads exactly one resource, as the API's bodies hold it.
func DecodeOne(src []byte) (Object, error) {
	objects, err := Decode("", src)
	if err != nil {
		return Object{}, err
	}
	if len(objects) != 1 {
		return Object{}, Faults{{Problem: fmt.Sprintf("holds %d resources: want exactly one", len(objects))}}
	}
	return objects[0], nil
}

// decodeDocument checks the shape against the kind's Go types, converts, and validates.
func decodeDocument(root *yaml.Node) (Object, Faults) {
	var o Object
	if root.Kind != yaml.MappingNode {
		return o, Faults{{Line: root.Line, Problem: "want a mapping with apiVersion, kind, metadata and spec"}}
	}
	w := walker{}
	if kind := mapValue(root, "kind"); kind != nil && kind.Kind == yaml.ScalarNode {
		if k, err := LookupKind(kind.Value); err == nil && k.Name == kind.Value {
			w.spec = reflect.TypeOf(k.newSpec()).Elem()
		}
	}
	w.check(root, reflect.TypeFor[Object](), "", 0)
	if len(w.faults) > 0 {
		return o, w.faults
	}
	if err := convert(root, &o); err != nil {
		return Object{}, Faults{{Line: root.Line, Problem: err.Error()}}
	}
	faults := o.Validate()
	for i := range faults {
		faults[i].Line = lineOf(root, faults[i].Field)
	}
	return o, faults
}

func convert(root *yaml.Node, o *Object) error {
	v, err := toJSON(root, 0)
	if err != nil {
		return err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, o)
}

// LineOf returns the line of field (such as spec.rego) in the document of
// manifest src that holds the resource kind/name; 0 when it is not there. Of a
// field that is not there it is the line of what should hold it. Of several
// versions of a function it is in the last, which is the one in force, or in the
// one that a name such as f@v1 says.
func LineOf(src []byte, kind, name, field string) int {
	line := 0
	name, version, _ := CutVersion(name)
	_ = documents(src, func(root *yaml.Node) {
		k, m := mapValue(root, "kind"), mapValue(root, "metadata")
		if k == nil || m == nil || k.Value != kind {
			return
		}
		if n := mapValue(m, "name"); n != nil && n.Value == name && (version == "" || hasVersion(root, version)) {
			line = lineOf(root, field)
		}
	})
	return line
}

func hasVersion(root *yaml.Node, version string) bool {
	spec := mapValue(root, "spec")
	if spec == nil {
		return false
	}
	v := mapValue(spec, "version")
	return v != nil && v.Value == version
}
