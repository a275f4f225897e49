package policies

import (
	"cmp"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/policies/need"
)

// indexBuilder gathers the links of each type and prefix before it is known by
// what each is found best.
type indexBuilder struct {
	links    int
	patterns map[string][]filing
}

type filing struct {
	link    int32
	clauses []need.Clause
}

func newIndexBuilder(links int) indexBuilder {
	return indexBuilder{links, make(map[string][]filing, links)}
}

func (b *indexBuilder) add(link int32, types []string, f *Filter) {
	if len(types) > 1 {
		types = minimalTypes(types)
	}
	for _, t := range types {
		b.patterns[t] = append(b.patterns[t], filing{link, f.needs})
	}
}

func (b *indexBuilder) build() *typeIndex {
	x := &typeIndex{exact: make(map[string]*bucket, len(b.patterns)), prefixes: map[int]map[string]*bucket{}, lengths: b.lengths()}
	prefixes := map[string][]filing{}
	for t, filings := range b.patterns {
		p, isPrefix := strings.CutSuffix(t, "*")
		if !isPrefix {
			x.exact[t] = x.newBucket(filings)
			continue
		}
		short := cutTo(x.lengths, p)
		if len(short) < len(p) {
			x.loosen(filings, b.links)
		}
		prefixes[short] = append(prefixes[short], filings...)
	}
	for p, filings := range prefixes {
		if x.prefixes[len(p)] == nil {
			x.prefixes[len(p)] = map[string]*bucket{}
		}
		x.prefixes[len(p)][p] = x.newBucket(sorted(filings))
	}
	x.postings = slices.Clip(x.postings)
	return x
}

// loosen notes that the links' types have to be compared.
func (x *typeIndex) loosen(filings []filing, links int) {
	if x.loose == nil {
		x.loose = make([]bool, links)
	}
	for _, f := range filings {
		x.loose[f.link] = true
	}
}

// sorted is filings by link, each once.
func sorted(filings []filing) []filing {
	slices.SortFunc(filings, func(a, b filing) int { return cmp.Compare(a.link, b.link) })
	return slices.CompactFunc(filings, func(a, b filing) bool { return a.link == b.link })
}

// lengths are those of the prefixes that are looked up, sorted; 0 is among them
// when it is in use.
func (b *indexBuilder) lengths() (lengths []int) {
	used := map[int]bool{}
	for t := range b.patterns {
		if p, isPrefix := strings.CutSuffix(t, "*"); isPrefix && !used[len(p)] {
			used[len(p)] = true
			if len(p) > 0 {
				lengths = append(lengths, len(p))
			}
		}
	}
	if kept := keptLengths(lengths); kept != nil {
		lengths = kept
	}
	if used[0] {
		lengths = append(lengths, 0)
	}
	slices.Sort(lengths)
	return lengths
}

// entry is a link with one key it is found by.
type entry struct {
	need.Key
	link int32
}

func compareEntries(a, b entry) int {
	return cmp.Or(strings.Compare(a.Attribute, b.Attribute), cmp.Compare(a.Op, b.Op), cmp.Compare(len(a.Value), len(b.Value)),
		strings.Compare(a.Value, b.Value), cmp.Compare(a.link, b.link))
}

// newBucket files each link under the clause that fewest events hold, as far as
// the values in the bucket tell.
func (x *typeIndex) newBucket(filings []filing) *bucket {
	var spread spread
	if len(filings) > 1 {
		spread = spreadOf(filings)
	}
	b, rest := &bucket{}, []int32(nil)
	var entries []entry
	for _, f := range filings {
		if len(f.clauses) == 0 {
			rest = append(rest, f.link)
			continue
		}
		for _, k := range spread.best(f.clauses) {
			entries = append(entries, entry{k, f.link})
		}
	}
	b.rest = x.post(slices.Compact(rest))
	foldLengths(entries)
	slices.SortFunc(entries, compareEntries)
	entries = slices.Compact(entries)
	for len(entries) > 0 {
		n := run(entries, func(e entry) bool { return e.Attribute == entries[0].Attribute })
		b.keys = append(b.keys, x.newAttributeIndex(entries[:n]))
		entries = entries[n:]
	}
	b.keys = slices.Clip(b.keys)
	return b
}

func (x *typeIndex) post(links []int32) list {
	from := uint32(len(x.postings))
	x.postings = append(x.postings, links...)
	return list{from, uint32(len(x.postings))}
}

// run is how many entries from the first are of one kind.
func run(entries []entry, same func(entry) bool) int {
	n := 1
	for n < len(entries) && same(entries[n]) {
		n++
	}
	return n
}

func (x *typeIndex) newAttributeIndex(entries []entry) attributeIndex {
	a := attributeIndex{name: entries[0].Attribute}
	for len(entries) > 0 {
		op, length := entries[0].Op, len(entries[0].Value)
		n := run(entries, func(e entry) bool { return e.Op == op && (op == need.Equals || len(e.Value) == length) })
		v := x.newValues(entries[:n])
		switch op {
		case need.Equals:
			a.equals = v
		case need.Begins:
			a.begins = append(a.begins, lengthValues{length, v})
		case need.Ends:
			a.ends = append(a.ends, lengthValues{length, v})
		}
		entries = entries[n:]
	}
	return a
}

func (x *typeIndex) newValues(entries []entry) (v values) {
	distinct := 1
	for i := 1; i < len(entries); i++ {
		if entries[i].Value != entries[i-1].Value {
			distinct++
		}
	}
	if distinct > fewValues {
		v.many = make(map[string]list, distinct)
	} else {
		v.few = make([]value, 0, distinct)
	}
	for len(entries) > 0 {
		n := run(entries, func(e entry) bool { return e.Value == entries[0].Value })
		l := list{from: uint32(len(x.postings))}
		for _, e := range entries[:n] {
			x.postings = append(x.postings, e.link)
		}
		l.to = uint32(len(x.postings))
		if v.many != nil {
			v.many[entries[0].Value] = l
		} else {
			v.few = append(v.few, value{entries[0].Value, l})
		}
		entries = entries[n:]
	}
	return v
}

// spread is how many values the links of a bucket ask for, by attribute and comparison.
type spread map[spreadOver]map[string]struct{}

type spreadOver struct {
	attribute string
	op        need.Op
}

func spreadOf(filings []filing) spread {
	s := spread{}
	for _, f := range filings {
		for _, c := range f.clauses {
			for _, k := range c {
				if s[spreadOver{k.Attribute, k.Op}] == nil {
					s[spreadOver{k.Attribute, k.Op}] = map[string]struct{}{}
				}
				s[spreadOver{k.Attribute, k.Op}][k.Value] = struct{}{}
			}
		}
	}
	return s
}

// best is the clause that the fewest events hold, were the values asked for as
// frequent as one another. Of equal ones it is that with the shorter text.
func (s spread) best(clauses []need.Clause) need.Clause {
	best := clauses[0]
	for _, c := range clauses[1:] {
		if s.compare(c, best) < 0 {
			best = c
		}
	}
	return best
}

func (s spread) compare(a, b need.Clause) int {
	if c := cmp.Compare(s.share(a), s.share(b)); c != 0 {
		return c
	}
	return slices.CompareFunc(a, b, func(x, y need.Key) int {
		return cmp.Or(cmp.Compare(x.Op, y.Op), cmp.Compare(len(y.Value), len(x.Value)), strings.Compare(x.Attribute, y.Attribute), strings.Compare(x.Value, y.Value))
	})
}

// share estimates the part of the events that hold c: any value is worst.
func (s spread) share(c need.Clause) float64 {
	const anyValue, most = 1, 0.98
	sum := 0.0
	for _, k := range c {
		if k.AnyValue() {
			return anyValue
		}
		sum += 1 / float64(1+max(1, len(s[spreadOver{k.Attribute, k.Op}])))
	}
	return min(sum, most)
}

// maxLengths bounds the look-ups for the beginnings, and for the ends, of one attribute.
const maxLengths = 12

// foldLengths files beginnings and ends of other lengths than maxLengths of
// them under what they begin, or end, with: that is needed as well.
func foldLengths(entries []entry) {
	lengths := map[spreadOver][]int{}
	for _, e := range entries {
		over := spreadOver{e.Attribute, e.Op}
		if e.Op != need.Equals && e.Value != "" && !slices.Contains(lengths[over], len(e.Value)) {
			lengths[over] = append(lengths[over], len(e.Value))
		}
	}
	for over, all := range lengths {
		lengths[over] = keptLengths(all)
	}
	for i := range entries {
		e := &entries[i]
		kept := lengths[spreadOver{e.Attribute, e.Op}]
		if e.Op == need.Equals || e.Value == "" || len(kept) == 0 {
			continue
		}
		at, exact := slices.BinarySearch(kept, len(e.Value))
		if exact {
			continue
		}
		if n := kept[at-1]; e.Op == need.Begins {
			e.Value = e.Value[:n]
		} else {
			e.Value = e.Value[len(e.Value)-n:]
		}
	}
}

// keptLengths are maxLengths of them, the shortest among them, or nil when
// there are no more; sorted.
func keptLengths(all []int) []int {
	if len(all) <= maxLengths {
		return nil
	}
	slices.Sort(all)
	kept := make([]int, maxLengths)
	for i := range kept {
		kept[i] = all[i*len(all)/maxLengths]
	}
	return kept
}
