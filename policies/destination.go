package policies

import (
	"fmt"
	"slices"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// destination is the function a link or a policy names: one version, or where
// traffic is split, the route that picks one for each event.
type destination struct {
	function *resource.Function
	route    *resource.Route
}

// pick is the version that ev gets.
func (d destination) pick(ev *event.Event, key string) *resource.Function {
	if d.route == nil {
		return d.function
	}
	return d.route.Pick(key, ev.Source, ev.ID)
}

// versions are those that events may get.
func (d destination) versions() []*resource.Function {
	if d.route == nil {
		return []*resource.Function{d.function}
	}
	return d.route.Versions()
}

// version is the place of fn among the versions between which traffic is split.
func (d destination) version(fn *resource.Function) int {
	if d.route == nil {
		return 0
	}
	return slices.Index(d.route.Versions(), fn)
}

// destination finds name or name@version; otherwise it says why there is none.
func (s *Snapshot) destination(ref string) (destination, string) {
	spec := resource.LinkSpec{Function: ref}
	name, version := spec.FunctionName()
	inForce := s.functions[name]
	switch route := s.set.Route(name); {
	case inForce == nil:
		return destination{}, fmt.Sprintf("function %s does not exist", name)
	case version == "" && route != nil && route.Split():
		return destination{inForce, route}, ""
	case version == "" && route != nil:
		return destination{function: route.Pick("", "", "")}, ""
	case version == "" || version == inForce.Spec.Version:
		return destination{function: inForce}, ""
	}
	if fn := s.set.Function(name, version); fn != nil {
		return destination{function: fn}, ""
	}
	return destination{}, fmt.Sprintf("function %s has no version %s: the one in force is %q", name, version, inForce.Spec.Version)
}

// addedTarget is where a policy sends an event beside the links. Its link is
// named policy:<policy>/<function> and delivers by the defaults.
func (s *Snapshot) addedTarget(policy, ref string) (*resource.Link, destination, string) {
	to, why := s.destination(ref)
	if why != "" {
		return nil, to, why
	}
	return s.madeLink("policy:"+policy+"/"+ref, ref), to, ""
}

// madeLink is a link that no resource is, and that delivers by the defaults.
func (s *Snapshot) madeLink(name, ref string) *resource.Link {
	l, ok := s.added.Load(name)
	if !ok {
		l, _ = s.added.LoadOrStore(name, &resource.Link{
			Metadata: resource.Metadata{Name: name, Revision: s.revision},
			Spec:     resource.LinkSpec{Function: ref, Types: []string{"*"}},
		})
	}
	return l.(*resource.Link)
}
