package resource

import (
	"encoding/json"
	"fmt"
	"sort"
)

// Set is every resource at one revision, typed; what packages compile.
type Set struct {
	// Revision is the number of the last change the set contains.
	Revision uint64
	// Functions are those in force, one of each name: the version applied last.
	// These and the others are sorted by name. Links holds also those a function's
	// `on` stands for.
	Functions []*Function
	Links     []*Link
	Policies  []*Policy
	Schemas   []*Schema
	Webhooks  []*Webhook
	Replays   []*Replay
	Keys      []*Key
	// routes finds by name; NewSet builds it.
	routes map[string]*Route
}

// Function finds a function by name and version in constant time; version ""
// is the one in force, whatever its traffic. It is nil when there is none. Only
// a Set made by NewSet finds anything.
func (s *Set) Function(name, version string) *Function {
	r := s.routes[name]
	switch {
	case r == nil:
		return nil
	case version == "":
		return r.versions[0]
	}
	return r.version(version)
}

// Route finds the versions of a function; nil when there is none in force. Only
// a Set made by NewSet finds anything.
func (s *Set) Route(name string) *Route { return s.routes[name] }

// Target is a function chosen by a link.
type Target struct {
	Link     *Link
	Function *Function
}

// NewSet types the objects. An object that does not decode is a fault that
// names it, and is left out; the rest stands.
func NewSet(revision uint64, objects []Object) (Set, Faults) {
	return newSet(revision, objects, nil)
}

// Next types objects as NewSet does, those of a later revision of the same
// ledger. Links that did not change since are those of s: with thousands of
// them that is most of the work.
func (s *Set) Next(revision uint64, objects []Object) (Set, Faults) {
	known := make(map[string]*Link, len(s.Links))
	for _, l := range s.Links {
		if l.Metadata.UID != "" {
			known[l.Metadata.Name] = l
		}
	}
	return newSet(revision, objects, known)
}

// sameVersion reports whether a and b are one version of one resource, as the ledger wrote it.
func sameVersion(a, b *Metadata) bool {
	return a.UID == b.UID && a.Revision == b.Revision && a.UpdatedAt.Equal(b.UpdatedAt)
}

func newSet(revision uint64, objects []Object, known map[string]*Link) (Set, Faults) {
	s := Set{Revision: revision}
	var faults Faults
	var kept []*Function // versions that others have followed
	for i := range objects {
		o := &objects[i]
		if o.Kind == KindLink {
			if l := known[o.Metadata.Name]; l != nil && sameVersion(&l.Metadata, &o.Metadata) {
				s.Links = append(s.Links, l)
				continue
			}
		}
		fn, err := keptVersion(o)
		if fn != nil {
			kept = append(kept, fn)
			continue
		}
		if err == nil {
			err = s.addObject(o)
		}
		if err != nil {
			faults = append(faults, Fault{Resource: o.Kind + "/" + o.Metadata.Name, Field: "spec", Problem: err.Error()})
		}
	}
	sort.Slice(s.Functions, func(i, j int) bool { return s.Functions[i].Metadata.Name < s.Functions[j].Metadata.Name })
	faults = append(faults, s.addRoutes(kept)...)
	s.addImpliedLinks()
	sort.Slice(s.Links, func(i, j int) bool { return s.Links[i].Metadata.Name < s.Links[j].Metadata.Name })
	sort.Slice(s.Policies, func(i, j int) bool { return s.Policies[i].Metadata.Name < s.Policies[j].Metadata.Name })
	sort.Slice(s.Schemas, func(i, j int) bool { return s.Schemas[i].Metadata.Name < s.Schemas[j].Metadata.Name })
	sort.Slice(s.Webhooks, func(i, j int) bool { return s.Webhooks[i].Metadata.Name < s.Webhooks[j].Metadata.Name })
	sort.Slice(s.Replays, func(i, j int) bool { return s.Replays[i].Metadata.Name < s.Replays[j].Metadata.Name })
	return s, faults
}

func (s *Set) addObject(o *Object) error {
	switch o.Kind {
	case KindFunction:
		v := &Function{Metadata: o.Metadata}
		if err := json.Unmarshal(o.Spec, &v.Spec); err != nil {
			return err
		}
		s.Functions = append(s.Functions, v)
		return nil
	case KindLink:
		v := &Link{Metadata: o.Metadata}
		if err := json.Unmarshal(o.Spec, &v.Spec); err != nil {
			return err
		}
		s.Links = append(s.Links, v)
		return nil
	case KindPolicy:
		v := &Policy{Metadata: o.Metadata}
		if err := json.Unmarshal(o.Spec, &v.Spec); err != nil {
			return err
		}
		s.Policies = append(s.Policies, v)
		return nil
	case KindSchema:
		v := &Schema{Metadata: o.Metadata}
		if err := json.Unmarshal(o.Spec, &v.Spec); err != nil {
			return err
		}
		s.Schemas = append(s.Schemas, v)
		return nil
	case KindWebhook:
		v := &Webhook{Metadata: o.Metadata}
		if err := json.Unmarshal(o.Spec, &v.Spec); err != nil {
			return err
		}
		s.Webhooks = append(s.Webhooks, v)
		return nil
	case KindReplay:
		return s.addReplay(o)
	case KindKey:
		return s.addKey(o)
	}
	return fmt.Errorf("unknown kind %q", o.Kind)
}

// addImpliedLinks makes the links that `on` is short for: one per function,
// named after it, unless a Link of that name exists, which then wins.
func (s *Set) addImpliedLinks() {
	named := make(map[string]bool, len(s.Links))
	for _, l := range s.Links {
		named[l.Metadata.Name] = true
	}
	for _, fn := range s.Functions {
		if len(fn.Spec.On) == 0 || named[fn.Metadata.Name] {
			continue
		}
		s.Links = append(s.Links, &Link{
			Metadata: Metadata{Name: fn.Metadata.Name, UID: fn.Metadata.UID, Labels: fn.Metadata.Labels, Revision: fn.Metadata.Revision},
			Spec:     LinkSpec{Function: fn.Metadata.Name, Types: fn.Spec.On},
		})
	}
}
