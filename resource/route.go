package resource

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Versions of a function. The resource of the function's name is the version in
// force, the one that was applied last. Each that it replaced, when it had
// another version, stays as a resource named name@version. So versions run side
// by side, and traffic, links (name@version) and rollback choose between them.

// VersionName is the name of the resource that keeps a version of a function
// beside the one in force.
func VersionName(name, version string) string { return name + "@" + version }

// CutVersion splits the name of a kept version; ok is false for any other name.
func CutVersion(name string) (function, version string, ok bool) {
	function, version, ok = strings.Cut(name, "@")
	return function, version, ok
}

// documentNames are the resources of manifests, by what must stand in them once:
// kind/name, and of functions every version. They lead to where each was read.
type documentNames map[string]origin

// add notes a resource. It is false, and says where the other one stands, when
// there is one in whose place it would be. A function without a version would
// be in that of every other.
func (n documentNames) add(o *Object, from origin) (other origin, ok bool) {
	key := o.Kind + "/" + o.Metadata.Name
	if o.Kind != KindFunction {
		return n.take(from, key)
	}
	var spec struct{ Version string }
	_ = json.Unmarshal(o.Spec, &spec) // what cannot be read is a fault elsewhere
	if spec.Version == "" {
		if other, taken := n[key]; taken {
			return other, false
		}
		return n.take(from, VersionName(key, ""))
	}
	if other, taken := n[VersionName(key, "")]; taken {
		return other, false
	}
	if other, ok = n.take(from, VersionName(key, spec.Version)); ok {
		n[key] = from // the last one is in force
	}
	return other, ok
}

func (n documentNames) take(from origin, key string) (other origin, ok bool) {
	if other, taken := n[key]; taken {
		return other, false
	}
	n[key] = from
	return origin{}, true
}

// find is where a resource was read, or a version of a function.
func (n documentNames) find(name string) (origin, bool) {
	if from, ok := n[name]; ok {
		return from, true
	}
	from, ok := n[VersionName(name, "")]
	return from, ok
}

// keptVersion types o when it is a kept version; nil when it is anything else.
// The Function has the function's name, without the version.
func keptVersion(o *Object) (*Function, error) {
	name, version, kept := CutVersion(o.Metadata.Name)
	if o.Kind != KindFunction || !kept {
		return nil, nil
	}
	fn := &Function{Metadata: o.Metadata}
	if err := json.Unmarshal(o.Spec, &fn.Spec); err != nil {
		return nil, err
	}
	if fn.Spec.Version != version {
		return nil, fmt.Errorf("version is %q: want that of the name", fn.Spec.Version)
	}
	fn.Metadata.Name = name
	return fn, nil
}

// Route is a function with all its versions and its traffic. It never changes.
type Route struct {
	// versions begin with the one in force; the others are in the order of their names.
	versions []*Function
	// shares are who gets events, up to which place; nil is the one in force alone.
	shares []routeShare
}

type routeShare struct {
	fn   *Function
	upto uint64 // of routePlaces, without it
}

// routePlaces is how finely traffic is split.
const routePlaces = 1 << 16

// Versions are the versions of the function, the one in force first; only read.
func (r *Route) Versions() []*Function { return r.versions }

// Split reports whether events are split between versions.
func (r *Route) Split() bool { return len(r.shares) > 1 }

// Pick chooses the version for an event: always the same for one key, and
// without a key for one source and id, as long as the traffic is the same. A
// change of the traffic moves no more keys than it must between neighbours in
// the list. It does not allocate.
func (r *Route) Pick(key, source, id string) *Function {
	switch len(r.shares) {
	case 0:
		return r.versions[0]
	case 1:
		return r.shares[0].fn
	}
	h := uint64(fnvOffset)
	if key == "" {
		h, key = fnv(fnv(h, source), "\x00"), id
	}
	place := mix(fnv(h, key)) % routePlaces
	for i := range r.shares {
		if place < r.shares[i].upto {
			return r.shares[i].fn
		}
	}
	return r.shares[len(r.shares)-1].fn
}

// FNV-1a of 64 bits. Package hash/fnv would allocate for every event.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func fnv(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

// mix spreads what short keys differ in over all bits (the finalizer of MurmurHash3).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// VersionsInUse lists the versions of all functions that get events: where
// traffic says so those with a weight, else the one in force, and those that
// links name. What policies name is not known beforehand.
func (s *Set) VersionsInUse() []*Function {
	named := map[*Function]bool{}
	for _, l := range s.Links {
		if name, version := l.Spec.FunctionName(); version != "" {
			named[s.Function(name, version)] = true
		}
	}
	var used []*Function
	for _, fn := range s.Functions {
		r := s.routes[fn.Metadata.Name]
		if r == nil {
			used = append(used, fn)
			continue
		}
		for _, v := range r.versions {
			if named[v] || r.gets(v) {
				used = append(used, v)
			}
		}
	}
	return used
}

// gets reports whether the traffic leads to a version.
func (r *Route) gets(v *Function) bool {
	for _, s := range r.shares {
		if s.fn == v {
			return true
		}
	}
	return len(r.shares) == 0 && v == r.versions[0]
}

// Share is the part of the events that a version gets, from 0 to 1, when no
// link names a version.
func (r *Route) Share(version string) float64 {
	if len(r.shares) == 0 && r.versions[0].Spec.Version == version {
		return 1
	}
	var from uint64
	for _, s := range r.shares {
		if s.fn.Spec.Version == version {
			return float64(s.upto-from) / routePlaces
		}
		from = s.upto
	}
	return 0
}

func (r *Route) version(version string) *Function {
	for _, fn := range r.versions {
		if fn.Spec.Version == version {
			return fn
		}
	}
	return nil
}

// versionNames lists the versions for people.
func (r *Route) versionNames() string {
	names := make([]string, len(r.versions))
	for i, fn := range r.versions {
		names[i] = fn.Spec.Version
		if names[i] == "" {
			names[i] = `""`
		}
	}
	return strings.Join(names, ", ")
}

// addRoutes joins the functions in force with their other versions. Kept
// versions of a function that is gone are left out.
func (s *Set) addRoutes(kept []*Function) (faults Faults) {
	s.routes = make(map[string]*Route, len(s.Functions))
	for _, fn := range s.Functions {
		s.routes[fn.Metadata.Name] = &Route{versions: []*Function{fn}}
	}
	for _, fn := range kept {
		if r := s.routes[fn.Metadata.Name]; r != nil && r.version(fn.Spec.Version) == nil {
			r.add(fn)
		}
	}
	for _, fn := range s.Functions {
		faults = append(faults, s.routes[fn.Metadata.Name].share(fn)...)
	}
	return faults
}

// add puts a version behind the one in force, in order.
func (r *Route) add(fn *Function) {
	i := 1
	for i < len(r.versions) && r.versions[i].Spec.Version < fn.Spec.Version {
		i++
	}
	r.versions = append(r.versions, nil)
	copy(r.versions[i+1:], r.versions[i:])
	r.versions[i] = fn
}

// share computes the places from the traffic of the version in force. A version
// that there is not is a fault, and gets nothing.
func (r *Route) share(fn *Function) (faults Faults) {
	total := 0
	for i, t := range fn.Spec.Traffic {
		if r.version(t.Version) == nil {
			faults = append(faults, Fault{Resource: KindFunction + "/" + fn.Metadata.Name, Field: index("spec.traffic", i) + ".version",
				Problem: fmt.Sprintf("%q: no such version of the function: want one of %s", t.Version, r.versionNames())})
			continue
		}
		total += t.Weight
	}
	upto := 0
	for _, t := range fn.Spec.Traffic {
		if v := r.version(t.Version); v != nil && t.Weight > 0 {
			upto += t.Weight
			r.shares = append(r.shares, routeShare{v, uint64(upto) * routePlaces / uint64(total)})
		}
	}
	return faults
}
