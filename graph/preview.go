package graph

import (
	"bytes"
	"encoding/json"
	"maps"

	"github.com/signalbox-dev/signalbox/resource"
)

// Preview is what a change would bring with it.
type Preview struct {
	// Warnings are those that the change introduces.
	Warnings []Finding `json:"warnings"`
	// Radius is what it reaches.
	Radius Radius `json:"radius"`
}

// PreviewOf compares the resources before and after objects were written;
// before and after are all of them, the versions of functions among them.
func PreviewOf(before, after, objects []resource.Object, seen Observed) Preview {
	old, _ := resource.NewSet(0, before)
	fresh, _ := resource.NewSet(0, after)
	was, will := Build(old, seen), Build(fresh, seen)
	schemas := map[string][]string{}
	for _, s := range fresh.Schemas {
		schemas[s.Metadata.Name] = s.Spec.Types
	}
	p := Preview{Warnings: Introduced(was, will), Radius: Affected(was, will, changesOf(before, objects), schemas)}
	if p.Warnings == nil {
		p.Warnings = []Finding{}
	}
	return p
}

// changesOf says of each object what its writing would do, in their order.
func changesOf(before, objects []resource.Object) []Change {
	had := make(map[[2]string]*resource.Object, len(before))
	for i := range before {
		had[[2]string{before[i].Kind, before[i].Metadata.Name}] = &before[i]
	}
	changes := make([]Change, len(objects))
	for i := range objects {
		o := &objects[i]
		changes[i] = Change{Resource: o.Kind + "/" + o.Metadata.Name, Action: Added}
		was := had[[2]string{o.Kind, o.Metadata.Name}]
		switch {
		case was == nil:
		case same(was, o):
			changes[i].Action = Unchanged
		default:
			changes[i].Action = Changed
		}
	}
	return changes
}

// same tells resources that differ in nothing anybody acts upon.
func same(a, b *resource.Object) bool {
	return bytes.Equal(canonical(a.Spec), canonical(b.Spec)) && maps.Equal(a.Metadata.Labels, b.Metadata.Labels) &&
		maps.Equal(a.Metadata.Annotations, b.Metadata.Annotations)
}

// canonical writes JSON with sorted members and without blanks.
func canonical(spec json.RawMessage) []byte {
	d := json.NewDecoder(bytes.NewReader(spec))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return spec
	}
	b, _ := json.Marshal(v) // what was decoded can be written
	return b
}
