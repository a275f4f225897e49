package policies

import (
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/policies/cesql"
)

// typeIndex finds the links an event may match: by its exact type, then by its
// prefixes, of which there is one map for each length in use. "*" is the
// prefix of length 0. No link stands in two buckets that one type leads to.
type typeIndex struct {
	exact    map[string]*bucket
	lengths  []int
	prefixes map[int]map[string]*bucket
}

// bucket holds the links of one type or prefix. A link that needs an attribute
// to have one value is found by that value, one of each attribute in use; the
// rest is tried for every event of the type.
type bucket struct {
	rest []int32
	keys []attributeIndex
}

type attributeIndex struct {
	name    string
	byValue map[string][]int32
}

// collect appends the links to be tried for ev, sorted.
func (x *typeIndex) collect(ev *event.Event, found []int32) []int32 {
	start, lists := len(found), 0
	if b := x.exact[ev.Type]; b != nil {
		found, lists = b.collect(ev, found, lists)
	}
	for _, n := range x.lengths {
		if n > len(ev.Type) {
			break
		}
		if b := x.prefixes[n][ev.Type[:n]]; b != nil {
			found, lists = b.collect(ev, found, lists)
		}
	}
	if lists > 1 {
		slices.Sort(found[start:])
	}
	return found
}

func (b *bucket) collect(ev *event.Event, found []int32, lists int) ([]int32, int) {
	if len(b.rest) > 0 {
		found = append(found, b.rest...)
		lists++
	}
	for i := range b.keys {
		v, ok := ev.Attribute(b.keys[i].name)
		if !ok {
			continue
		}
		if l := b.keys[i].byValue[v]; len(l) > 0 {
			found = append(found, l...)
			lists++
		}
	}
	return found, lists
}

// minimalTypes leaves out duplicates and types that a prefix among them covers.
func minimalTypes(types []string) []string {
	var out []string
	for i, t := range types {
		covered := slices.ContainsFunc(types, func(o string) bool {
			return o != t && matchesType(o, strings.TrimSuffix(t, "*")) && strings.HasSuffix(o, "*")
		})
		if !covered && !slices.Contains(types[:i], t) {
			out = append(out, t)
		}
	}
	return out
}

// matchesType reports whether typ is of pattern, a type or a prefix ending in '*'.
func matchesType(pattern, typ string) bool {
	if p, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(typ, p)
	}
	return pattern == typ
}

// indexBuilder gathers the links of each bucket before their keys are chosen.
type indexBuilder map[string][]indexed

type indexed struct {
	link       int32
	equalities []cesql.Equality
}

func (b indexBuilder) add(link int32, types []string, f *Filter) {
	eq := f.all.equalities(nil)
	for _, t := range minimalTypes(types) {
		b[t] = append(b[t], indexed{link, eq})
	}
}

func (b indexBuilder) build() *typeIndex {
	x := &typeIndex{exact: make(map[string]*bucket, len(b)), prefixes: map[int]map[string]*bucket{}}
	for t, links := range b {
		p, isPrefix := strings.CutSuffix(t, "*")
		if !isPrefix {
			x.exact[t] = newBucket(links)
			continue
		}
		if x.prefixes[len(p)] == nil {
			x.prefixes[len(p)] = map[string]*bucket{}
			x.lengths = append(x.lengths, len(p))
		}
		x.prefixes[len(p)][p] = newBucket(links)
	}
	slices.Sort(x.lengths)
	return x
}

// newBucket files each link under that one of its equalities whose attribute
// has the most values in the bucket.
func newBucket(links []indexed) *bucket {
	values := map[string]map[string]bool{}
	for _, l := range links {
		for _, e := range l.equalities {
			if values[e.Attribute] == nil {
				values[e.Attribute] = map[string]bool{}
			}
			values[e.Attribute][e.Value] = true
		}
	}
	b := &bucket{}
	for _, l := range links {
		var best *cesql.Equality
		for i := range l.equalities {
			e := &l.equalities[i]
			if best == nil || len(values[e.Attribute]) > len(values[best.Attribute]) ||
				(len(values[e.Attribute]) == len(values[best.Attribute]) && e.Attribute < best.Attribute) {
				best = e
			}
		}
		b.file(l.link, best)
	}
	return b
}

func (b *bucket) file(link int32, e *cesql.Equality) {
	if e == nil {
		b.rest = append(b.rest, link)
		return
	}
	i := slices.IndexFunc(b.keys, func(k attributeIndex) bool { return k.name == e.Attribute })
	if i < 0 {
		i = len(b.keys)
		b.keys = append(b.keys, attributeIndex{e.Attribute, map[string][]int32{}})
	}
	b.keys[i].byValue[e.Value] = append(b.keys[i].byValue[e.Value], link)
}

// unindexed is how many links are tried for every event there is.
func (x *typeIndex) unindexed() int {
	if b := x.prefixes[0][""]; b != nil {
		return len(b.rest)
	}
	return 0
}
