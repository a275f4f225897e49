package policies

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

func attributes(kv ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return m
}

// TestALinkIsFoundByTheBestItsFiltersNeed: each link stands in its set beside
// one that asks for other values.
func TestALinkIsFoundByTheBestItsFiltersNeed(t *testing.T) {
	exact := func(kv ...string) resource.Filter { return resource.Filter{Exact: attributes(kv...)} }
	prefix := func(kv ...string) resource.Filter { return resource.Filter{Prefix: attributes(kv...)} }
	suffix := func(kv ...string) resource.Filter { return resource.Filter{Suffix: attributes(kv...)} }
	sql := func(s string) resource.Filter { return resource.Filter{SQL: s} }
	anyOf := func(f ...resource.Filter) resource.Filter { return resource.Filter{Any: f} }
	not := func(f resource.Filter) resource.Filter { return resource.Filter{Not: &f} }
	for name, c := range map[string]struct {
		types   []string
		filters []resource.Filter
		want    string
	}{
		"a type":                       {[]string{"com.x"}, nil, "type com.x"},
		"a prefix of types":            {[]string{"com.*"}, nil, "type begins with com."},
		"every type":                   {[]string{"*"}, nil, "tried for every event"},
		"several types":                {[]string{"com.*", "com.x", "org.x"}, nil, "type begins with com.; type org.x"},
		"exact":                        {[]string{"com.x"}, []resource.Filter{exact("source", "/a")}, "type com.x and source = /a"},
		"exact, of every type":         {[]string{"*"}, []resource.Filter{exact("tenant", "acme")}, "tenant = acme"},
		"exact type in a filter":       {[]string{"*"}, []resource.Filter{exact("type", "com.x")}, "type = com.x"},
		"a prefix":                     {[]string{"com.*"}, []resource.Filter{prefix("subject", "images/")}, "type begins with com. and subject begins with images/"},
		"a suffix":                     {[]string{"*"}, []resource.Filter{suffix("subject", ".png")}, "subject ends with .png"},
		"the equal one of several":     {[]string{"*"}, []resource.Filter{suffix("subject", ".png"), prefix("subject", "images/"), exact("tenant", "acme")}, "tenant = acme"},
		"what tells most links apart":  {[]string{"*"}, []resource.Filter{exact("common", "1"), prefix("many", "x")}, "many begins with x"},
		"any over one attribute":       {[]string{"*"}, []resource.Filter{anyOf(exact("tenant", "a"), exact("tenant", "b", "seq", "1"))}, "tenant = a or b"},
		"any over two attributes":      {[]string{"*"}, []resource.Filter{anyOf(exact("tenant", "a"), suffix("subject", "b"))}, "subject ends with b or tenant = a"},
		"any with an open alternative": {[]string{"*"}, []resource.Filter{anyOf(exact("tenant", "a"), not(exact("subject", "b")))}, "tried for every event"},
		"any where one covers another": {[]string{"*"}, []resource.Filter{anyOf(exact("tenant", "abc"), prefix("tenant", "ab"), prefix("tenant", "abcd"))}, "tenant begins with ab"},
		"not":                          {[]string{"*"}, []resource.Filter{not(exact("tenant", "a"))}, "tried for every event"},
		"not not":                      {[]string{"*"}, []resource.Filter{not(not(exact("tenant", "a")))}, "tenant = a"},
		"no any of not":                {[]string{"*"}, []resource.Filter{not(anyOf(not(exact("tenant", "a")), exact("seq", "1")))}, "tenant = a"},
		"not all of not":               {[]string{"*"}, []resource.Filter{not(resource.Filter{All: []resource.Filter{not(exact("tenant", "a")), not(exact("tenant", "b"))}})}, "tenant = a or b"},
		"an open filter of a type":     {[]string{"com.x"}, []resource.Filter{not(exact("tenant", "a"))}, "tried for every event of type com.x"},
		"an open filter of a prefix":   {[]string{"com.*"}, []resource.Filter{not(exact("tenant", "a"))}, "tried for every event whose type begins with com."},
		"sql with =":                   {[]string{"*"}, []resource.Filter{sql("tenant = 'acme' AND seq > 5")}, "tenant = acme"},
		"sql with IN":                  {[]string{"*"}, []resource.Filter{sql("tenant IN ('a', 'b')")}, "tenant = a or b"},
		"sql with LIKE":                {[]string{"*"}, []resource.Filter{sql("subject LIKE 'images/%'")}, "subject begins with images/"},
		"sql that looks at one":        {[]string{"*"}, []resource.Filter{sql("seq > 5")}, "seq exists"},
		"sql with NOT EXISTS":          {[]string{"*"}, []resource.Filter{sql("NOT EXISTS seq")}, "tried for every event"},
		"not of an sql error":          {[]string{"*"}, []resource.Filter{not(sql("tenant != 'a'"))}, "tried for every event"},
		"a value with a blank":         {[]string{"*"}, []resource.Filter{exact("tenant", "a b")}, `tenant = "a b"`},
	} {
		t.Run(name, func(t *testing.T) {
			links := []*resource.Link{withFilters(link("l", "a", c.types...), c.filters...)}
			for i := range 9 {
				links = append(links, withFilters(link(fmt.Sprintf("other%d", i), "a", c.types...), exact("common", "1"), prefix("many", fmt.Sprint(i))))
			}
			s := newEngine(t, set(links)).Snapshot()
			if got := s.Access("l"); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if u := s.Unindexed(); (len(u) > 0) != (c.want == "tried for every event") {
				t.Errorf("unindexed: %v", u)
			}
		})
	}
}

func TestUnindexedLinksSayWhy(t *testing.T) {
	s := newEngine(t, set([]*resource.Link{
		link("all", "a", "*"),
		withFilters(link("open", "a", "*"), resource.Filter{SQL: "NOT EXISTS tenant"}),
		link("typed", "a", "t"),
		link("nowhere", "nobody", "*"),
	})).Snapshot()
	want := []Unindexed{{"all", "type * and no filters"}, {"open", "type *, and no filter asks for a value, a beginning or an end of an attribute"}}
	if got := s.Unindexed(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	if got := s.Access("nowhere") + s.Access("none"); got != "none: function nobody does not exist" {
		t.Error(got)
	}
}

// TestBeginningsOfManyLengths are looked up at a few lengths only, and found.
func TestBeginningsOfManyLengths(t *testing.T) {
	var links []*resource.Link
	long := strings.Repeat("abcdefghij", 8)
	for n := 1; n <= len(long); n++ {
		links = append(links,
			withFilters(link(fmt.Sprintf("begin%02d", n), "a", "*"), resource.Filter{Prefix: attributes("subject", long[:n])}),
			withFilters(link(fmt.Sprintf("end%02d", n), "a", "*"), resource.Filter{Suffix: attributes("subject", long[len(long)-n:])}))
	}
	s := set(links)
	e := newEngine(t, s)
	index := e.Snapshot().index.prefixes[0][""].keys[0]
	if len(index.begins) != maxLengths || len(index.ends) != maxLengths {
		t.Errorf("%d and %d lengths", len(index.begins), len(index.ends))
	}
	for n := range len(long) {
		for _, x := range []string{long[:n], long[n:], long[:n] + "z", "z" + long[n:], long[:n] + long[n:]} {
			if event := ev("t", "subject", x); chosen(t, e, event) != bruteForce(s, event) {
				t.Errorf("subject %q: %s, want %s", x, chosen(t, e, event), bruteForce(s, event))
			}
		}
	}
}

// TestManyAttributes are looked up by those that the event has.
func TestManyAttributes(t *testing.T) {
	var links []*resource.Link
	for i := range 100 {
		links = append(links, withFilters(link(fmt.Sprintf("l%02d", i), "a", "*"), resource.Filter{Exact: attributes(fmt.Sprintf("a%d", i), "x")}))
	}
	for _, name := range []string{"id", "source", "type", "specversion", "subject", "time", "datacontenttype", "dataschema"} {
		links = append(links, withFilters(link(name, "a", "*"), resource.Filter{Prefix: attributes(name, "1")}))
	}
	e := newEngine(t, set(links))
	x := ev("1t", "subject", "1", "a7", "x", "a8", "y", "a99", "x", "other", "x")
	x.ID, x.Source, x.Time, x.DataContentType, x.DataSchema = "1", "1", "1", "1", "1"
	if got, want := chosen(t, e, x), "l07 l99 id source type specversion subject time datacontenttype dataschema"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	buf := make([]resource.Target, 0, 16)
	if n := testing.AllocsPerRun(50, func() { e.Choose(t.Context(), x, "", buf) }); n != 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
	if got := chosen(t, e, ev("t", "a7", "x")); got != "l07 id specversion" {
		t.Errorf("without most attributes: %s", got)
	}
}

// TestPrefixesOfManyLengths: types, too, are looked up at a few lengths only.
func TestPrefixesOfManyLengths(t *testing.T) {
	long := strings.Repeat("abcdefghij", 8)
	links := []*resource.Link{link("all", "a", "*")}
	for n := 1; n <= len(long); n++ {
		links = append(links, link(fmt.Sprintf("l%02d", n), "a", long[:n]+"*", "other"+long[:n]+"*"))
	}
	s := set(links)
	e := newEngine(t, s)
	if n := len(e.Snapshot().index.lengths); n != maxLengths+1 {
		t.Errorf("%d lengths", n)
	}
	for n := range len(long) {
		for _, typ := range []string{long[:n], long[:n] + "z", "other" + long[:n] + "z", "z" + long[n:]} {
			if x := ev(typ); chosen(t, e, x) != bruteForce(s, x) {
				t.Errorf("type %q: %s, want %s", typ, chosen(t, e, x), bruteForce(s, x))
			}
		}
	}
	if got := e.Snapshot().Access("l40"); got != "type begins with "+long[:40]+"; type begins with other"+long[:40] {
		t.Error(got)
	}
}
