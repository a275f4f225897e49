package policies

import (
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/policies/need"
)

// typeIndex finds the links an event may match: by its exact type, then by its
// prefixes, of which there is one map for each length in use. "*" is the prefix
// of length 0.
type typeIndex struct {
	exact map[string]*bucket
	// lengths are at most maxLengths and 0, sorted. A prefix of another length
	// stands with the next shorter one, and its links in loose.
	lengths  []int
	prefixes map[int]map[string]*bucket
	// loose says of links whether their types have to be compared; nil is none.
	loose []bool
	// postings hold the links of every list, each list without duplicates and sorted.
	postings []int32
}

// list is a part of postings.
type list struct{ from, to uint32 }

// bucket holds the links of one type or prefix. A link that needs something of
// an attribute is found by that; the rest is tried for every event of the type.
type bucket struct {
	rest list
	keys []attributeIndex
}

// attributeIndex finds links by what they need of one attribute: its value, its
// beginning or its end, with one set of values for each length in use.
type attributeIndex struct {
	name   string
	equals values
	begins []lengthValues
	ends   []lengthValues
}

type lengthValues struct {
	length int
	values values
}

// values finds a list by a string. Few are compared one by one: a map takes
// more room and more time for them.
type values struct {
	few  []value
	many map[string]list
}

type value struct {
	text  string
	links list
}

// fewValues is how many values are compared one by one.
const fewValues = 8

func (v *values) get(s string) list {
	if v.many != nil {
		return v.many[s]
	}
	for i := range v.few {
		if v.few[i].text == s {
			return v.few[i].links
		}
	}
	return list{}
}

// search is the working memory of one look-up.
type search struct {
	*typeIndex
	found []int32
	lists int
}

func (s *search) add(l list) {
	if l.from < l.to {
		s.found = append(s.found, s.postings[l.from:l.to]...)
		s.lists++
	}
}

// collect appends the links to be tried for ev, sorted, each once.
func (x *typeIndex) collect(ev *event.Event, found []int32) []int32 {
	s := search{typeIndex: x, found: found}
	if b := x.exact[ev.Type]; b != nil {
		s.bucket(b, ev)
	}
	for _, n := range x.lengths {
		if n > len(ev.Type) {
			break
		}
		if b := x.prefixes[n][ev.Type[:n]]; b != nil {
			s.bucket(b, ev)
		}
	}
	if s.lists < 2 {
		return s.found
	}
	found = s.found[len(found):]
	slices.Sort(found)
	return s.found[:len(s.found)-len(found)+len(slices.Compact(found))]
}

func (s *search) bucket(b *bucket, ev *event.Event) {
	s.add(b.rest)
	if len(b.keys) > manyKeys {
		s.byAttributes(b, ev)
		return
	}
	for i := range b.keys {
		k := &b.keys[i]
		if v, ok := ev.Attribute(k.name); ok {
			s.attribute(k, v)
		}
	}
}

// manyKeys is from how many attributes on it is cheaper to look for each one of the event.
const manyKeys = 16

// byAttributes looks for the event's attributes among those of the bucket, which are sorted.
func (s *search) byAttributes(b *bucket, ev *event.Event) {
	find := func(name, v string) {
		i, found := slices.BinarySearchFunc(b.keys, name, func(k attributeIndex, name string) int { return strings.Compare(k.name, name) })
		if found {
			s.attribute(&b.keys[i], v)
		}
	}
	for _, name := range [...]string{"id", "source", "type", "specversion", "subject", "time", "datacontenttype", "dataschema"} {
		if v, ok := ev.Attribute(name); ok {
			find(name, v)
		}
	}
	for i := range ev.Extensions {
		find(ev.Extensions[i].Name, ev.Extensions[i].Value)
	}
}

func (s *search) attribute(k *attributeIndex, v string) {
	s.add(k.equals.get(v))
	for i := range k.begins {
		n := k.begins[i].length
		if n > len(v) {
			break
		}
		s.add(k.begins[i].values.get(v[:n]))
	}
	for i := range k.ends {
		n := k.ends[i].length
		if n > len(v) {
			break
		}
		s.add(k.ends[i].values.get(v[len(v)-n:]))
	}
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

// bucketOf is that of a type or prefix in which a link stands.
func (x *typeIndex) bucketOf(pattern string) *bucket {
	if p, ok := strings.CutSuffix(pattern, "*"); ok {
		p = cutTo(x.lengths, p)
		return x.prefixes[len(p)][p]
	}
	return x.exact[pattern]
}

// cutTo shortens p to the next length that there is; the lengths are sorted,
// and one is not above that of p.
func cutTo(lengths []int, p string) string {
	i, exact := slices.BinarySearch(lengths, len(p))
	if !exact {
		i--
	}
	return p[:lengths[i]]
}

// fits reports whether the types of a link that was found have to be compared no more, or fit.
func (x *typeIndex) fits(link int32, types []string, typ string) bool {
	return x.loose == nil || !x.loose[link] || matchingType(types, typ) != ""
}

// everyEvent lists the links that are tried for every event there is.
func (x *typeIndex) everyEvent() []int32 {
	b := x.prefixes[0][""]
	if b == nil {
		return nil
	}
	return x.postings[b.rest.from:b.rest.to]
}

// keysOf finds by which keys a link stands in a bucket; none is in the rest.
func (x *typeIndex) keysOf(b *bucket, link int32) (keys need.Clause) {
	in := func(l list) bool {
		_, found := slices.BinarySearch(x.postings[l.from:l.to], link)
		return found
	}
	for i := range b.keys {
		k := &b.keys[i]
		keys = k.equals.keys(keys, k.name, need.Equals, in)
		for j := range k.begins {
			keys = k.begins[j].values.keys(keys, k.name, need.Begins, in)
		}
		for j := range k.ends {
			keys = k.ends[j].values.keys(keys, k.name, need.Ends, in)
		}
	}
	return keys
}

// keys appends those whose list is wanted, sorted by value.
func (v *values) keys(found need.Clause, attribute string, op need.Op, wanted func(list) bool) need.Clause {
	start := len(found)
	for _, x := range v.few {
		if wanted(x.links) {
			found = append(found, need.Key{Attribute: attribute, Op: op, Value: x.text})
		}
	}
	for text, links := range v.many {
		if wanted(links) {
			found = append(found, need.Key{Attribute: attribute, Op: op, Value: text})
		}
	}
	slices.SortFunc(found[start:], func(a, b need.Key) int { return strings.Compare(a.Value, b.Value) })
	return found
}
