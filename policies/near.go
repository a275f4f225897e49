package policies

import (
	"strings"

	"github.com/signalbox-dev/signalbox/event"
)

const (
	// nearFilters is the most that filters make of a distance while a type matches,
	// nearType the distance of a type that is almost the one.
	nearFilters = 9
	nearType    = 10
)

// near is how far the link is from matching ev, of which pattern is the type
// that matches, if any; see LinkExplanation.Near.
func (c *compiledLink) near(pattern string, ev *event.Event) int {
	failing := c.filter.failing(ev)
	if pattern != "" {
		return min(failing, nearFilters)
	}
	nearest := NearNothing
	for _, t := range c.link.Spec.Types {
		nearest = min(nearest, typeDistance(t, ev.Type))
	}
	if nearest == NearNothing {
		return nearest
	}
	return min(nearest+failing, NearNothing-1)
}

// failing is how many filters of the list keep ev from passing.
func (f *Filter) failing(ev *event.Event) (n int) {
	for _, p := range f.all {
		if !p.match(ev) {
			n++
		}
	}
	return n
}

// typeDistance is nearType for types that differ in case only, and more the
// fewer of their parts agree, from the first on.
func typeDistance(pattern, typ string) int {
	prefix, isPrefix := strings.CutSuffix(pattern, "*")
	if strings.EqualFold(prefix, typ) || (isPrefix && len(typ) >= len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix)) {
		return nearType
	}
	a, b := strings.Split(strings.TrimSuffix(prefix, "."), "."), strings.Split(typ, ".")
	parts := max(len(a), len(b))
	if isPrefix {
		parts = len(a)
	}
	shared := 0
	for shared < min(len(a), len(b)) && a[shared] == b[shared] {
		shared++
	}
	if shared == 0 {
		return NearNothing
	}
	return nearType + (NearNothing-nearType)*max(0, parts-shared)/parts
}
