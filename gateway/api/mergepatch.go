package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/resource"
)

const mergePatchType = "application/merge-patch+json"

// mergePatch is a JSON merge patch (RFC 7396) whose top is an object.
type mergePatch map[string]any

func parsePatch(body []byte) (mergePatch, error) {
	var m mergePatch
	if err := decodeNumbers(body, &m); err != nil {
		return nil, problem.New(problem.InvalidPatch, "not a JSON object: %v", err)
	}
	if m == nil {
		return nil, problem.New(problem.InvalidPatch, "null: want a JSON object")
	}
	return m, nil
}

// revision is the revision the patch says it is based on; 0 when it says none.
func (m mergePatch) revision() uint64 {
	meta, _ := m["metadata"].(map[string]any)
	n, _ := meta["revision"].(json.Number)
	rev, err := n.Int64()
	if err != nil || rev < 0 {
		return 0
	}
	return uint64(rev)
}

// apply returns the patched resource, checked like any other.
func (m mergePatch) apply(old *resource.Object) (resource.Object, error) {
	b, err := json.Marshal(old)
	if err != nil {
		return resource.Object{}, err
	}
	var doc any
	if err := decodeNumbers(b, &doc); err != nil {
		return resource.Object{}, err
	}
	if b, err = json.Marshal(merge(doc, map[string]any(m))); err != nil {
		return resource.Object{}, err
	}
	o, err := resource.DecodeOne(b)
	if err != nil {
		return o, withoutLines(err)
	}
	if o.Kind != old.Kind || o.Metadata.Name != old.Metadata.Name {
		return o, resource.Faults{{Field: "metadata.name", Problem: fmt.Sprintf("a patch cannot turn %s %s into %s %s",
			old.Kind, old.Metadata.Name, o.Kind, o.Metadata.Name)}}
	}
	return o, nil
}

// merge is MergePatch of RFC 7396, section 2.
func merge(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	for name, value := range p {
		if value == nil {
			delete(t, name)
		} else {
			t[name] = merge(t[name], value)
		}
	}
	return t
}

// decodeNumbers decodes exactly one JSON value, keeping numbers as written.
func decodeNumbers(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("more follows after the first value")
	}
	return nil
}

// withoutLines drops the lines of a text the client never saw.
func withoutLines(err error) error {
	faults, ok := err.(resource.Faults)
	if !ok {
		return err
	}
	for i := range faults {
		faults[i].Line = 0
	}
	return faults
}
