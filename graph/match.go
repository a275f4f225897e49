package graph

import (
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/resource"
)

// Listeners finds the links that a type leads to in time that follows the
// matches, since both are counted in ten thousands. It does not look at their
// filters. It never changes.
type Listeners struct {
	// exact and prefix are the links by their types; a prefix is without its '*'.
	exact, prefix map[string][]string
	// exactNames and prefixNames are the keys, sorted; lengths are the prefixes', ascending.
	exactNames, prefixNames []string
	lengths                 []int
}

// NewListeners indexes links by their types.
func NewListeners(links []*resource.Link) *Listeners {
	x := &Listeners{exact: map[string][]string{}, prefix: map[string][]string{}}
	for _, l := range links {
		for _, t := range l.Spec.Types {
			if p, ok := strings.CutSuffix(t, "*"); ok {
				x.prefix[p] = append(x.prefix[p], l.Metadata.Name)
				continue
			}
			x.exact[t] = append(x.exact[t], l.Metadata.Name)
		}
	}
	for t := range x.exact {
		x.exactNames = append(x.exactNames, t)
	}
	for p := range x.prefix {
		x.prefixNames = append(x.prefixNames, p)
		x.lengths = append(x.lengths, len(p))
	}
	slices.Sort(x.exactNames)
	slices.Sort(x.prefixNames)
	slices.Sort(x.lengths)
	x.lengths = slices.Compact(x.lengths)
	return x
}

// Of are the names of the links that an event of a type fits, each once, sorted.
func (x *Listeners) Of(typ string) []string {
	links := x.listeners(typ, false)
	slices.Sort(links)
	return slices.Compact(links)
}

// listeners are the links that an event of the type fits; with pattern, of some
// type that the pattern stands for.
func (x *Listeners) listeners(typ string, pattern bool) []string {
	var links []string
	if pattern {
		typ = strings.TrimSuffix(typ, "*")
		links = append(below(x.exactNames, x.exact, typ), below(x.prefixNames, x.prefix, typ)...)
	} else {
		links = append(links, x.exact[typ]...)
	}
	for _, n := range x.lengths {
		if n > len(typ) {
			break
		}
		links = append(links, x.prefix[typ[:n]]...)
	}
	return links
}

// below are the links of all names that begin with a prefix.
func below(names []string, links map[string][]string, prefix string) []string {
	var all []string
	i, _ := slices.BinarySearch(names, prefix)
	for ; i < len(names) && strings.HasPrefix(names[i], prefix); i++ {
		all = append(all, links[names[i]]...)
	}
	return all
}
