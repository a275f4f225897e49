package policies

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/policies/cesql"
	"github.com/signalbox-dev/signalbox/policies/need"
	"github.com/signalbox-dev/signalbox/resource"
)

// Filter is a compiled list of filters of the CloudEvents Subscriptions
// dialects, all of which must hold; an empty one lets everything pass. It is
// immutable and safe for concurrent use.
type Filter struct {
	all allOf
	// needs is what every event has that passes.
	needs []need.Clause
}

// NewFilter compiles filters. The fields of faults begin with field, such as
// spec.filters.
func NewFilter(field string, filters []resource.Filter) (*Filter, resource.Faults) {
	var faults resource.Faults
	f := &Filter{}
	for i := range filters {
		f.all = append(f.all, compileFilter(index(field, i), &filters[i], &faults))
	}
	f.needs = f.all.needs(true)
	return f, faults
}

// Match reports whether ev passes. It does not allocate.
func (f *Filter) Match(ev *event.Event) bool { return f.all.match(ev) }

// Why says which filters keep ev from passing, at most maxReasons of them; "" when it passes.
func (f *Filter) Why(ev *event.Event) string {
	var reasons []string
	for _, p := range f.all {
		if w := p.why(ev); w != "" && len(reasons) < maxReasons {
			reasons = append(reasons, w)
		}
	}
	return strings.Join(reasons, "; ")
}

// maxReasons bounds the filters that Why names.
const maxReasons = 3

// predicate is one compiled filter.
type predicate interface {
	match(ev *event.Event) bool
	// why is "" when ev matches, else the field of the filter and what it found.
	why(ev *event.Event) string
	// needs is what every event has that matches (want), or that does not.
	needs(want bool) []need.Clause
}

func compileFilter(field string, x *resource.Filter, faults *resource.Faults) predicate {
	switch {
	case x.Exact != nil:
		return compileAttributes(field+".exact", exactly, x.Exact)
	case x.Prefix != nil:
		return compileAttributes(field+".prefix", beginning, x.Prefix)
	case x.Suffix != nil:
		return compileAttributes(field+".suffix", ending, x.Suffix)
	case x.All != nil:
		return allOf(compileList(field+".all", x.All, faults))
	case x.Any != nil:
		return &anyOf{field + ".any", compileList(field+".any", x.Any, faults)}
	case x.Not != nil:
		return &noneOf{field + ".not", compileFilter(field+".not", x.Not, faults)}
	case x.SQL != "":
		return compileSQL(field+".sql", x.SQL, faults)
	}
	*faults = append(*faults, resource.Fault{Field: field, Problem: "empty: want exactly one of exact, prefix, suffix, all, any, not, sql"})
	return allOf{}
}

func compileList(field string, filters []resource.Filter, faults *resource.Faults) []predicate {
	list := make([]predicate, len(filters))
	for i := range filters {
		list[i] = compileFilter(index(field, i), &filters[i], faults)
	}
	return list
}

// dialect is how an attribute is compared.
type dialect uint8

const (
	exactly dialect = iota
	beginning
	ending
)

func compileAttributes(field string, d dialect, want map[string]string) allOf {
	var list allOf
	for _, name := range slices.Sorted(maps.Keys(want)) {
		list = append(list, &attributeIs{field + "." + name, d, name, want[name]})
	}
	return list
}

// attributeIs compares the canonical string of one attribute, with case; an
// attribute that is missing never matches.
type attributeIs struct {
	field string
	dialect
	name, want string
}

func (p *attributeIs) match(ev *event.Event) bool {
	v, ok := ev.Attribute(p.name)
	if !ok {
		return false
	}
	switch p.dialect {
	case beginning:
		return strings.HasPrefix(v, p.want)
	case ending:
		return strings.HasSuffix(v, p.want)
	}
	return v == p.want
}

func (p *attributeIs) why(ev *event.Event) string {
	if p.match(ev) {
		return ""
	}
	v, ok := ev.Attribute(p.name)
	if !ok {
		return fmt.Sprintf("filter %s: the event has no %s", p.field, p.name)
	}
	return fmt.Sprintf("filter %s: %q is not %s%q", p.field, v, [...]string{"", "a string that begins with ", "a string that ends with "}[p.dialect], p.want)
}

func (p *attributeIs) needs(want bool) []need.Clause {
	if !want {
		return nil
	}
	return []need.Clause{{{Attribute: p.name, Op: [...]need.Op{need.Equals, need.Begins, need.Ends}[p.dialect], Value: p.want}}}
}

type allOf []predicate

func (p allOf) match(ev *event.Event) bool {
	for _, c := range p {
		if !c.match(ev) {
			return false
		}
	}
	return true
}

func (p allOf) why(ev *event.Event) string {
	for _, c := range p {
		if w := c.why(ev); w != "" {
			return w
		}
	}
	return ""
}

func (p allOf) needs(want bool) []need.Clause {
	if want {
		return everyNeed(p, want)
	}
	return eitherNeed(p, want)
}

// everyNeed is for predicates that are all want.
func everyNeed(list []predicate, want bool) (clauses []need.Clause) {
	for _, c := range list {
		clauses = append(clauses, c.needs(want)...)
	}
	return clauses
}

// eitherNeed is for predicates of which one at least is want.
func eitherNeed(list []predicate, want bool) (clauses []need.Clause) {
	for i, c := range list {
		if n := c.needs(want); i == 0 {
			clauses = n
		} else {
			clauses = need.Either(clauses, n)
		}
	}
	return clauses
}

type anyOf struct {
	field string
	list  []predicate
}

func (p *anyOf) match(ev *event.Event) bool {
	for _, c := range p.list {
		if c.match(ev) {
			return true
		}
	}
	return false
}

func (p *anyOf) why(ev *event.Event) string {
	if p.match(ev) {
		return ""
	}
	reasons := make([]string, len(p.list))
	for i, c := range p.list {
		reasons[i] = strings.TrimPrefix(c.why(ev), "filter "+p.field)
	}
	return fmt.Sprintf("filter %s: none holds (%s)", p.field, strings.Join(reasons, "; "))
}

func (p *anyOf) needs(want bool) []need.Clause {
	if want {
		return eitherNeed(p.list, want)
	}
	return everyNeed(p.list, want)
}

type noneOf struct {
	field string
	child predicate
}

func (p *noneOf) match(ev *event.Event) bool { return !p.child.match(ev) }

func (p *noneOf) why(ev *event.Event) string {
	if p.match(ev) {
		return ""
	}
	return fmt.Sprintf("filter %s: the event matches what it must not", p.field)
}

func (p *noneOf) needs(want bool) []need.Clause { return p.child.needs(!want) }

type sqlIs struct {
	field, source string
	expr          *cesql.Expression
}

func compileSQL(field, src string, faults *resource.Faults) predicate {
	expr, err := cesql.Parse(src)
	if err != nil {
		*faults = append(*faults, resource.Fault{Field: field, Problem: err.Error()})
		return allOf{}
	}
	for _, u := range expr.Unknown() {
		*faults = append(*faults, resource.Fault{Field: field, Problem: fmt.Sprintf(
			"function %s: want ABS, LENGTH, LOWER, UPPER, TRIM, INT, BOOL, STRING, IS_INT or IS_BOOL of 1 argument, LEFT or RIGHT of 2, SUBSTRING of 2 or 3, CONCAT or CONCAT_WS", u)})
	}
	return &sqlIs{field, src, expr}
}

func (p *sqlIs) match(ev *event.Event) bool { return p.expr.Match(ev) }

func (p *sqlIs) why(ev *event.Event) string {
	if p.match(ev) {
		return ""
	}
	if err := p.expr.Why(ev); err != nil {
		return fmt.Sprintf("filter %s: %v in %s", p.field, err, p.source)
	}
	return fmt.Sprintf("filter %s: false: %s", p.field, p.expr.Blame(ev))
}

// needs nothing of an event that does not pass: an error may be why.
func (p *sqlIs) needs(want bool) []need.Clause {
	if !want {
		return nil
	}
	return p.expr.Needs()
}

func index(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
