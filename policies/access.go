package policies

import (
	"slices"
	"strings"
)

// Unindexed is a link that is tried for every event, whatever its type and attributes.
type Unindexed struct {
	Link string
	// Reason says why it cannot be found by anything.
	Reason string
}

// Unindexed lists the links that are tried for every event, by name.
func (s *Snapshot) Unindexed() []Unindexed {
	var out []Unindexed
	for _, i := range s.index.everyEvent() {
		l := s.links[i].link
		u := Unindexed{l.Metadata.Name, "type * and no filters"}
		if len(l.Spec.Filters) > 0 {
			u.Reason = "type *, and no filter asks for a value, a beginning or an end of an attribute"
		}
		out = append(out, u)
	}
	return out
}

// Access says how events find the link: for each of its types by which value,
// beginning or end of an attribute, or that it is tried for every event of the
// type. It is "" when there is no such link.
func (s *Snapshot) Access(link string) string {
	i := slices.IndexFunc(s.links, func(c compiledLink) bool { return c.link.Metadata.Name == link })
	switch {
	case i < 0:
		return ""
	case s.links[i].off != "":
		return "none: " + s.links[i].off
	}
	types := minimalTypes(s.links[i].link.Spec.Types)
	ways := make([]string, len(types))
	for j, t := range types {
		ways[j] = s.accessBy(int32(i), t)
	}
	return strings.Join(ways, "; ")
}

func (s *Snapshot) accessBy(link int32, pattern string) string {
	prefix, isPrefix := strings.CutSuffix(pattern, "*")
	keys := s.index.keysOf(s.index.bucketOf(pattern), link)
	switch filtered := len(s.links[link].link.Spec.Filters) > 0; {
	case len(keys) > 0 && pattern == "*":
		return keys.String()
	case len(keys) > 0 && isPrefix:
		return "type begins with " + prefix + " and " + keys.String()
	case len(keys) > 0:
		return "type " + pattern + " and " + keys.String()
	case pattern == "*":
		return "tried for every event"
	case isPrefix && filtered:
		return "tried for every event whose type begins with " + prefix
	case isPrefix:
		return "type begins with " + prefix
	case filtered:
		return "tried for every event of type " + pattern
	}
	return "type " + pattern
}
